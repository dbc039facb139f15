//! What is found in an image, and what errors call the task.

use mobilenas_dense::mask::Rle;
use mobilenas_dense::rcnn::Instance;
use tch::TchError;

use crate::batch::DenseTargets;
use crate::{Targets, TaskError};

pub(super) const NAME: &str = "detection";

pub(super) fn torch(e: TchError) -> TaskError {
    TaskError::torch(NAME)(e)
}

pub(super) fn dense(targets: &Targets) -> Result<&DenseTargets, TaskError> {
    match targets {
        Targets::Dense(all) => Ok(all),
        Targets::Classes { .. } => Err(TaskError::Target { task: NAME, expected: "list of boxes" }),
    }
}

/// What was found in an image.
#[derive(Clone, Debug)]
pub struct Detected {
    /// Boxes, classes and scores, the best first.
    pub instances: Vec<Instance>,
    /// Columns and rows of the image that the network reads.
    pub size: (f64, f64),
    /// For each instance, the probabilities of its mask, row by row.
    pub(super) masks: Vec<Vec<f64>>,
    pub(super) side: usize,
    pub(super) threshold: f64,
}

impl Detected {
    /// The mask of an instance in an image of (width, height).
    pub fn mask(&self, i: usize, (width, height): (usize, usize)) -> Rle {
        let (x, y) = (width as f64 / self.size.0, height as f64 / self.size.1);
        let bbox = self.instances[i].bbox.scaled(x, y);
        mobilenas_dense::rcnn::pasted(&self.masks[i], self.side, &bbox, (width, height), self.threshold)
    }
}
