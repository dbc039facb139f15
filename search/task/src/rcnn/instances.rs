//! The task: what is found, and what is lost.

use mobilenas_dense::rcnn::RcnnRules;
use tch::Tensor;

use super::detected::{Detected, dense};
use super::loss::Losses;
use super::read::Read;
use crate::{Outputs, Targets, TaskError};

/// Detection in two stages, with masks. Outputs are `rpn_scores` `[B, N, 1]` and `rpn_boxes` `[B, N, 4]` of N anchors, and of
/// each region `scores` `[classes]` with the background last, `boxes` `[4 (classes - 1)]` and `masks`.
#[derive(Clone, Copy, Debug)]
pub struct Instances {
    /// Anchors, proposals, matching, and what is detected.
    pub rules: RcnnRules,
}

impl Instances {
    /// What is found in each image of a batch.
    ///
    /// # Errors
    /// When libtorch refuses, or the outputs are not such a detector's.
    pub fn detect(&self, outputs: &Outputs) -> Result<Vec<Detected>, TaskError> {
        let _guard = tch::no_grad_guard();
        Read::of(self.rules, outputs)?.detect()
    }

    /// The parts of the loss: whether anchors have an object, their boxes, the classes of regions, their boxes, their masks.
    ///
    /// # Errors
    /// As for [`Task::loss`].
    pub fn losses(&self, outputs: &Outputs, targets: &Targets, smoothing: f64) -> Result<[Tensor; 5], TaskError> {
        let read = Read::of(self.rules, outputs)?;
        Losses { read: &read, targets: dense(targets)? }.all(smoothing)
    }
}
