//! Training: of a supernet by the sandwich rule, and of one network from scratch, by the same trainer.

pub mod augment;
pub mod batches;
pub mod checkpoint;
mod diary;
mod distill;
mod ema;
mod events;
mod finite;
pub mod optimizer;
pub mod schedule;
pub mod single;
pub mod supernet;
pub mod teacher;
pub mod trainer;

use mobilenas_torch::NetError;
use tch::{Reduction, TchError, Tensor};

pub use diary::Line;
pub use trainer::{Ended, Lesson, Plan, Shown, Trainer};

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A network or a weights file.
    #[error(transparent)]
    Net(#[from] NetError),
    /// libtorch.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The training has diverged.
    #[error("{what} is {value}, expected a finite number")]
    NotFinite {
        /// What is not finite.
        what: String,
        /// What it is.
        value: f64,
    },
    /// The training has diverged for good.
    #[error(
        "{steps} steps in a row were not finite, also with a lower learning rate (the last one: {why}); it begins at {begin}"
    )]
    Diverged {
        /// Steps left out in a row.
        steps: u32,
        /// Where it begins.
        begin: String,
        /// What was wrong with the last one.
        why: String,
    },
    /// The diary cannot be written.
    #[error("{}: {found}, expected a disk that takes the lines", path.display())]
    Diary {
        /// Its file.
        path: std::path::PathBuf,
        /// What the system says.
        found: String,
    },
    /// A teacher that cannot teach.
    #[error("teacher {teacher}: {found}, expected {expected}")]
    Teacher {
        /// The teacher.
        teacher: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A checkpoint that does not belong to this training.
    #[error("checkpoint: {what} {found}")]
    Checkpoint {
        /// The tensor or word.
        what: String,
        /// What is wrong with it.
        found: String,
    },
    /// The images.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// An engine.
    #[error(transparent)]
    Engine(#[from] mobilenas_bench::engine::EngineError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] mobilenas_space::ir::ShapeError),
}

impl TrainError {
    pub(crate) fn torch(e: TchError) -> TrainError {
        let text = e.to_string();
        TrainError::Torch(text.lines().next().unwrap_or_default().to_string())
    }

    pub(crate) fn checkpoint(what: impl Into<String>, found: impl Into<String>) -> TrainError {
        TrainError::Checkpoint { what: what.into(), found: found.into() }
    }
}

/// Cross-entropy with label smoothing, mean over the batch.
///
/// # Errors
/// When libtorch refuses.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor, TrainError> {
    logits.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, smoothing).map_err(TrainError::torch)
}

/// Cross-entropy of a batch: against its targets where images are mixed, else against its labels, smoothed.
///
/// # Errors
/// When libtorch refuses.
pub fn batch_loss(logits: &Tensor, batch: &batches::Batch, smoothing: f64) -> Result<Tensor, TrainError> {
    match &batch.targets {
        Some(targets) => distill::soft_cross_entropy(logits, targets),
        None => cross_entropy(logits, &batch.labels, smoothing),
    }
}

/// Images whose largest logit is their label's.
///
/// # Errors
/// When libtorch refuses.
pub fn right(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TrainError> {
    let hits = tch::no_grad(|| logits.f_argmax(-1, false)?.f_eq_tensor(labels)?.f_sum(tch::Kind::Float));
    hits.map_err(TrainError::torch)
}

/// Images at another size.
///
/// # Errors
/// When libtorch refuses.
pub fn resized(images: &Tensor, side: u32) -> Result<Tensor, TrainError> {
    let side = i64::from(side);
    match images.size()[2..] == [side, side] {
        true => Ok(images.shallow_clone()),
        false => images.f_upsample_bilinear2d([side, side], false, None, None).map_err(TrainError::torch),
    }
}
