//! Checkpoints: the newest, the one before, and that of the start of the last epoch, to which a training that diverges
//! rolls back. A file is whole or not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_torch::{ParamStore, weights};

use super::TrainError;
use super::ema::Ema;
use super::optimizer::Optimizer;
use crate::collective::Collective;
use crate::reduction::broadcast_store;

/// The numbers of a checkpoint beside its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainState {
    /// Steps done.
    pub step: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Running mean of the loss.
    pub loss: f64,
    /// Running mean of the task's primary metric on training batches.
    pub metric: f64,
    /// Steps skipped because something was not finite.
    pub skipped: u64,
    /// Steps skipped in a row up to now.
    pub skipped_in_a_row: u32,
    /// Whether the training was rolled back and goes on with a lower learning rate.
    pub rolled_back: bool,
    /// Digest of what is trained and how; another one refuses the file.
    pub digest: String,
}

impl TrainState {
    /// Before the first step.
    pub fn begin(digest: &str) -> TrainState {
        let digest = digest.to_string();
        TrainState {
            step: 0,
            seconds: 0.0,
            loss: 0.0,
            metric: 0.0,
            skipped: 0,
            skipped_in_a_row: 0,
            rolled_back: false,
            digest,
        }
    }

    fn to_metadata(&self) -> BTreeMap<String, String> {
        // Numbers as bits, so that what is read back is the same number.
        let bits = |x: f64| x.to_bits().to_string();
        let all = [
            ("program", format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
            ("step", self.step.to_string()),
            ("seconds", bits(self.seconds)),
            ("loss", bits(self.loss)),
            ("metric", bits(self.metric)),
            ("skipped", self.skipped.to_string()),
            ("in_a_row", self.skipped_in_a_row.to_string()),
            ("rolled_back", u8::from(self.rolled_back).to_string()),
            ("digest", self.digest.clone()),
        ];
        all.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }

    fn from_metadata(words: &BTreeMap<String, String>, path: &Path) -> Result<TrainState, TrainError> {
        let place = |name: &str| format!("{}: {name}", path.display());
        let number = |name: &str| -> Result<u64, TrainError> {
            let word = words.get(name).ok_or_else(|| TrainError::checkpoint(place(name), "is missing"))?;
            word.parse().map_err(|_| TrainError::checkpoint(place(name), "is no number"))
        };
        let real = |name: &str| number(name).map(f64::from_bits);
        Ok(TrainState {
            step: number("step")?,
            seconds: real("seconds")?,
            loss: real("loss")?,
            metric: real("metric")?,
            skipped: number("skipped")?,
            skipped_in_a_row: number("in_a_row")? as u32,
            rolled_back: number("rolled_back")? != 0,
            digest: words.get("digest").cloned().unwrap_or_default(),
        })
    }
}

/// The tensors of a checkpoint.
pub struct CheckpointTensors<'a> {
    /// The weights.
    pub store: &'a mut ParamStore,
    /// The optimizer.
    pub optimizer: &'a mut Optimizer,
    /// The averaged weights, if any.
    pub ema: Option<&'a mut Ema>,
}

/// The files of a training's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointFiles(PathBuf);

impl CheckpointFiles {
    /// Beside `path`, which is the newest.
    pub fn new(path: impl Into<PathBuf>) -> CheckpointFiles {
        CheckpointFiles(path.into())
    }

    fn with(&self, word: &str) -> PathBuf {
        let name = self.0.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.0.with_file_name(format!("{name}.{word}.safetensors"))
    }

    fn previous(&self) -> PathBuf {
        self.with("previous")
    }

    fn epoch(&self) -> PathBuf {
        self.with("epoch")
    }

    /// Writes the newest; the one that was becomes the one before. At an epoch's begin it is kept for going back, too.
    ///
    /// # Errors
    /// When the disk refuses; the checkpoints of before stay.
    pub fn save(
        &self,
        tensors: CheckpointTensors<'_>,
        state: &TrainState,
        epoch_begins: bool,
    ) -> Result<(), TrainError> {
        let mut all = tensors.store.named();
        all.extend(tensors.optimizer.state());
        all.extend(tensors.ema.map(|e| e.state()).unwrap_or_default());
        if epoch_begins {
            weights::save(&self.epoch(), &all, &state.to_metadata())?;
        }
        let next = self.with("next");
        weights::save(&next, &all, &state.to_metadata())?;
        let moved = || -> std::io::Result<()> {
            if self.0.exists() {
                fs::rename(&self.0, self.previous())?;
            }
            fs::rename(&next, &self.0)
        };
        moved()
            .map_err(|e| TrainError::checkpoint(self.0.display().to_string(), format!("cannot be put in place ({e})")))
    }

    /// Whether there is any.
    pub fn exist(&self) -> bool {
        self.0.exists() || self.previous().exists()
    }

    /// Reads the newest that is whole. Gives its state, and a message about a damaged one.
    ///
    /// # Errors
    /// When none is whole, or the newest whole one belongs to another training.
    pub fn load(
        &self,
        into: &mut CheckpointTensors<'_>,
        digest: &str,
    ) -> Result<(TrainState, Option<String>), TrainError> {
        if !self.0.exists() {
            return Ok((read(&self.previous(), into, digest)?, None));
        }
        match read(&self.0, into, digest) {
            Err(TrainError::Net(damaged)) if self.previous().exists() => {
                let state = read(&self.previous(), into, digest)?;
                Ok((state, Some(format!("{damaged}; going on from the checkpoint before it"))))
            }
            state => Ok((state?, None)),
        }
    }

    /// Reads that of the start of the last epoch.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn load_epoch(&self, into: &mut CheckpointTensors<'_>, digest: &str) -> Result<TrainState, TrainError> {
        read(&self.epoch(), into, digest)
    }

    /// Removes all; the training is done.
    pub fn remove(&self) {
        for path in [self.0.clone(), self.previous(), self.epoch(), self.with("next")] {
            // That one stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

impl CheckpointTensors<'_> {
    /// Makes tensors and state those of rank 0, which alone reads files.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn broadcast(&mut self, collective: &dyn Collective, own: &TrainState) -> Result<TrainState, TrainError> {
        if collective.alone() {
            return Ok(own.clone());
        }
        let failed = |e: serde_json::Error| TrainError::checkpoint("the state of rank 0", e.to_string());
        let words = collective.text_of_first(&serde_json::to_string(&own.to_metadata()).map_err(failed)?)?;
        let state = TrainState::from_metadata(&serde_json::from_str(&words).map_err(failed)?, Path::new("rank 0"))?;
        broadcast_store(collective, self.store)?;
        self.optimizer.broadcast(collective)?;
        if let Some(ema) = &self.ema {
            ema.broadcast(collective)?;
        }
        Ok(state)
    }
}

/// Reads one file. Nothing has changed when the file is damaged.
fn read(path: &Path, into: &mut CheckpointTensors<'_>, digest: &str) -> Result<TrainState, TrainError> {
    let (mut tensors, metadata) = weights::load(path)?;
    let state = TrainState::from_metadata(&metadata, path)?;
    if state.digest != digest {
        return Err(TrainError::checkpoint(path.display().to_string(), "belongs to another training"));
    }
    into.optimizer.restore(&mut tensors)?;
    if let Some(ema) = &mut into.ema {
        ema.restore(&mut tensors)?;
    }
    into.store.fill(&tensors)?;
    Ok(state)
}
