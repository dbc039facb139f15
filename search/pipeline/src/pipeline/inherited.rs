//! Trainings that begin with inherited weights.

use mobilenas_train::recipe::Recipe;
use serde::{Deserialize, Serialize};

/// Weights that a training begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The supernet's file in the folder.
    pub supernet: String,
    /// Steps of the optimizer, in place of the job's epochs: a short training. The whole recipe if left out.
    pub steps: Option<u64>,
    /// Peak learning rate, if not the recipe's.
    pub lr: Option<f64>,
}

impl Inherited {
    /// Makes a recipe one of so many epochs and steps: a tenth of them at most is warm-up, and none is cool-down.
    pub(super) fn shorten(&self, recipe: &mut Recipe, epochs: f64, steps: u64) {
        recipe.epochs = epochs;
        recipe.warmup = recipe.warmup.min(epochs / 10.0);
        recipe.warmup_steps = recipe.warmup_steps.map(|warmup| warmup.min(steps / 10));
        recipe.cooldown = 0.0;
        if let Some(lr) = self.lr {
            recipe.lr = lr;
            recipe.min_lr = recipe.min_lr.min(lr);
        }
    }
}
