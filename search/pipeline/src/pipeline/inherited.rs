//! Short trainings that begin with inherited weights.

use mobilenas_train::recipe::Recipe;
use serde::{Deserialize, Serialize};

/// Weights that a training begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The supernet's file in the folder.
    pub supernet: String,
    /// Steps of the optimizer, in place of the job's epochs.
    pub steps: u64,
    /// Peak learning rate, if not the recipe's.
    pub lr: Option<f64>,
}

impl Inherited {
    /// Makes a recipe one of so many epochs: a tenth of them at most is warm-up, and none is cool-down.
    pub(super) fn shorten(&self, recipe: &mut Recipe, epochs: f64) {
        recipe.epochs = epochs;
        recipe.warmup = recipe.warmup.min(epochs / 10.0);
        recipe.warmup_steps = recipe.warmup_steps.map(|steps| steps.min(self.steps / 10));
        recipe.cooldown = 0.0;
        if let Some(lr) = self.lr {
            recipe.lr = lr;
            recipe.min_lr = recipe.min_lr.min(lr);
        }
    }
}
