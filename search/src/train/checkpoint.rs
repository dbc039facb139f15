//! Where a training stands, in files that are whole or not there: the newest, the one before, and that of the last epoch's
//! begin, which a training that diverges goes back to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_torch::{Store, weights};

use super::TrainError;
use super::ema::Ema;
use super::optimizer::Optimizer;

/// What stands beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// Steps done.
    pub step: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Running mean of the loss.
    pub loss: f64,
    /// Running mean of the share of images that were right, in percent.
    pub right: f64,
    /// Steps left out because something was not finite.
    pub skipped: u64,
    /// Those in a row up to now.
    pub in_a_row: u32,
    /// Whether the training went back and goes on with a lower learning rate.
    pub lowered: bool,
    /// Digest of what is trained and how; another one refuses the file.
    pub digest: String,
}

impl Stand {
    /// Before the first step.
    pub fn begin(digest: &str) -> Stand {
        let digest = digest.to_string();
        Stand { step: 0, seconds: 0.0, loss: 0.0, right: 0.0, skipped: 0, in_a_row: 0, lowered: false, digest }
    }

    fn words(&self) -> BTreeMap<String, String> {
        // Numbers as bits, so that what is read back is the same number.
        let bits = |x: f64| x.to_bits().to_string();
        let all = [
            ("program", format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
            ("step", self.step.to_string()),
            ("seconds", bits(self.seconds)),
            ("loss", bits(self.loss)),
            ("right", bits(self.right)),
            ("skipped", self.skipped.to_string()),
            ("in_a_row", self.in_a_row.to_string()),
            ("lowered", u8::from(self.lowered).to_string()),
            ("digest", self.digest.clone()),
        ];
        all.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }

    fn read(words: &BTreeMap<String, String>, path: &Path) -> Result<Stand, TrainError> {
        let place = |name: &str| format!("{}: {name}", path.display());
        let number = |name: &str| -> Result<u64, TrainError> {
            let word = words.get(name).ok_or_else(|| TrainError::checkpoint(place(name), "is missing"))?;
            word.parse().map_err(|_| TrainError::checkpoint(place(name), "is no number"))
        };
        let real = |name: &str| number(name).map(f64::from_bits);
        Ok(Stand {
            step: number("step")?,
            seconds: real("seconds")?,
            loss: real("loss")?,
            right: real("right")?,
            skipped: number("skipped")?,
            in_a_row: number("in_a_row")? as u32,
            lowered: number("lowered")? != 0,
            digest: words.get("digest").cloned().unwrap_or_default(),
        })
    }
}

/// What a checkpoint holds beside the stand.
pub struct State<'a> {
    /// The weights.
    pub store: &'a mut Store,
    /// The optimizer.
    pub optimizer: &'a mut Optimizer,
    /// The averaged weights, if any.
    pub ema: Option<&'a mut Ema>,
}

/// The files of a training's checkpoints.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// Beside `path`, which is the newest.
    pub fn new(path: impl Into<PathBuf>) -> Files {
        Files(path.into())
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
    pub fn save(&self, state: State<'_>, stand: &Stand, epoch_begins: bool) -> Result<(), TrainError> {
        let mut all = state.store.named();
        all.extend(state.optimizer.state());
        all.extend(state.ema.map(|e| e.state()).unwrap_or_default());
        if epoch_begins {
            weights::save(&self.epoch(), &all, &stand.words())?;
        }
        let next = self.with("next");
        weights::save(&next, &all, &stand.words())?;
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

    /// Reads the newest that is whole into the state. Gives its stand, and a word about a damaged one.
    ///
    /// # Errors
    /// When none is whole, or the newest whole one belongs to another training.
    pub fn load(&self, state: &mut State<'_>, digest: &str) -> Result<(Stand, Option<String>), TrainError> {
        if !self.0.exists() {
            return Ok((read(&self.previous(), state, digest)?, None));
        }
        match read(&self.0, state, digest) {
            Err(TrainError::Net(damaged)) if self.previous().exists() => {
                let stand = read(&self.previous(), state, digest)?;
                Ok((stand, Some(format!("{damaged}; going on from the checkpoint before it"))))
            }
            stand => Ok((stand?, None)),
        }
    }

    /// Reads that of the last epoch's begin into the state.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn back(&self, state: &mut State<'_>, digest: &str) -> Result<Stand, TrainError> {
        read(&self.epoch(), state, digest)
    }

    /// Removes all; the training is done.
    pub fn remove(&self) {
        for path in [self.0.clone(), self.previous(), self.epoch(), self.with("next")] {
            // That one stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads one file into the state. Nothing of the state has changed when the file is damaged.
fn read(path: &Path, state: &mut State<'_>, digest: &str) -> Result<Stand, TrainError> {
    let (mut tensors, about) = weights::load(path)?;
    let stand = Stand::read(&about, path)?;
    if stand.digest != digest {
        return Err(TrainError::checkpoint(path.display().to_string(), "belongs to another training"));
    }
    state.optimizer.restore(&mut tensors)?;
    if let Some(ema) = &mut state.ema {
        ema.restore(&mut tensors)?;
    }
    state.store.fill(&tensors)?;
    Ok(stand)
}
