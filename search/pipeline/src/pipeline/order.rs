//! How the first of several processes leads the others through the trainings of a search or a study.

use mobilenas_train::collective::Collective;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunError;
use crate::worker::Job;

/// What all processes do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Train the supernet of the space at a position by these settings.
    TrainSupernet(usize, Value),
    /// Do this training from scratch.
    Retrain(Value),
    /// Take the supernets that the first process has, one for each space, and score on them from now on.
    Supernet {
        /// As a study does, not as a search.
        study: bool,
    },
    /// Score candidates, each of which is one process's. Every process answers.
    Score(Vec<(usize, Job)>),
    /// End, with an exit code.
    End(i32),
}

impl Order {
    /// Tells the other processes.
    pub(super) fn give(&self, collective: &dyn Collective) -> Result<(), RunError> {
        if !collective.alone() {
            collective.lead(&serde_json::to_string(self)?);
        }
        Ok(())
    }
}

/// Ends the other processes with an exit code.
///
/// # Errors
/// When the order has no JSON.
pub fn end(collective: &dyn Collective, code: i32) -> Result<(), RunError> {
    Order::End(code).give(collective)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::SupernetConfig;

    #[test]
    fn orders_arrive_as_they_were_given() {
        let mut settings = SupernetConfig { random_subnets: 3, ..SupernetConfig::default() };
        settings.recipe.lr = 0.1 + 0.2;
        settings.recipe.sync_batch_norms = true;
        let text = serde_json::to_string(&Order::TrainSupernet(1, serde_json::to_value(&settings).unwrap())).unwrap();
        let read = match serde_json::from_str(&text).unwrap() {
            Order::TrainSupernet(1, value) => serde_json::from_value::<SupernetConfig>(value).unwrap(),
            other => unreachable!("{other:?}"),
        };
        assert!(read == settings && !text.contains('\n'), "{text}");
    }
}
