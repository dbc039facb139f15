//! One process.

use std::sync::Arc;

use mobilenas_torch::ProcessGroup;
use tch::Tensor;

use super::{Collective, CollectiveError};

/// A process by itself: sums are what they were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Collective for Local {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn all_reduce(&self, _: &Tensor) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn broadcast(&self, _: &Tensor) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn lead(&self, _: &str) {}

    fn follow(&self) -> Option<String> {
        None
    }

    fn answer(&self, _: &str) {}

    fn answers(&self) -> Vec<String> {
        Vec::new()
    }

    fn group(&self) -> Option<&Arc<ProcessGroup>> {
        None
    }
}
