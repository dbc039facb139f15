//! Where a training stands, in one file that is whole or not there.

use std::collections::BTreeMap;
use std::path::Path;

use mobilenas_torch::{Store, weights};

use super::TrainError;
use super::optimizer::AdamW;

/// What stands beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Stand {
    /// Steps done.
    pub step: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Running mean of the loss.
    pub loss: f64,
    /// Digest of what is trained and how; another one refuses the file.
    pub digest: String,
}

/// Writes weights, optimizer and stand.
///
/// # Errors
/// When the disk refuses; the checkpoint of before stays.
pub fn save(path: &Path, store: &Store, optimizer: &AdamW, stand: &Stand) -> Result<(), TrainError> {
    let mut all = store.named();
    all.extend(optimizer.state());
    let about = BTreeMap::from([
        ("step".to_string(), stand.step.to_string()),
        // Bits, so that what is read back is the same number.
        ("seconds".to_string(), stand.seconds.to_bits().to_string()),
        ("loss".to_string(), stand.loss.to_bits().to_string()),
        ("digest".to_string(), stand.digest.clone()),
    ]);
    Ok(weights::save(path, &all, &about)?)
}

/// Reads weights, optimizer and stand.
///
/// # Errors
/// When the file is damaged or belongs to another training.
pub fn load(path: &Path, store: &mut Store, optimizer: &mut AdamW, digest: &str) -> Result<Stand, TrainError> {
    let (mut tensors, about) = weights::load(path)?;
    let word = |name: &str| {
        about.get(name).ok_or_else(|| TrainError::checkpoint(format!("{}: {name}", path.display()), "is missing"))
    };
    if word("digest")? != digest {
        return Err(TrainError::checkpoint(path.display().to_string(), "belongs to another training"));
    }
    let number = |name: &str| -> Result<u64, TrainError> {
        word(name)?.parse().map_err(|_| TrainError::checkpoint(format!("{}: {name}", path.display()), "is no number"))
    };
    optimizer.restore(&mut tensors)?;
    store.fill(&tensors)?;
    Ok(Stand {
        step: number("step")?,
        seconds: f64::from_bits(number("seconds")?),
        loss: f64::from_bits(number("loss")?),
        digest: digest.to_string(),
    })
}
