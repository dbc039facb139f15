//! The learning rate: linear warm-up, a cosine, a power or two drops, and steps at its end.

use crate::recipe::{Decay, Per, Recipe};

/// Learning rate over the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The peak.
    pub lr: f64,
    /// Where the cosine ends.
    pub min_lr: f64,
    /// Where the warm-up begins; one step's share of the peak if none.
    pub warmup_lr: Option<f64>,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps of warm-up and cosine together.
    pub steps: u64,
    /// Steps at the end of the cosine, after the others.
    pub cooldown: u64,
    /// Steps that share one learning rate of the cosine, and of a warm-up in epochs.
    pub every: u64,
    /// Whether the warm-up moves with every step.
    pub smooth_warmup: bool,
    /// How it falls.
    pub decay: Decay,
}

/// When the learning rate drops in steps: parts of the training, the warm-up with it, as mmdetection's after 8 and 11 of 12
/// epochs.
const DROPS: [(u64, u64); 2] = [(8, 12), (11, 12)];
/// What is left after a drop.
const DROP: f64 = 0.1;

/// mmsegmentation's power.
const POWER: f64 = 0.9;

impl Schedule {
    /// The schedule of a recipe, for epochs of so many steps.
    pub fn new(recipe: &Recipe, per_epoch: f64) -> Schedule {
        let steps = |epochs: f64| (epochs * per_epoch).round() as u64;
        let scale = recipe
            .lr_base_size
            .map_or(1.0, |b| (recipe.batch as f64 * f64::from(recipe.grad_accum_steps)) / f64::from(b));
        Schedule {
            lr: recipe.lr * scale,
            min_lr: recipe.min_lr,
            warmup_lr: recipe.warmup_lr,
            warmup: recipe.warmup_steps.unwrap_or_else(|| steps(recipe.warmup)),
            steps: steps(recipe.epochs).max(1),
            cooldown: steps(recipe.cooldown),
            every: if recipe.schedule_interval == Per::Epoch { per_epoch.round().max(1.0) as u64 } else { 1 },
            smooth_warmup: recipe.warmup_steps.is_some(),
            decay: recipe.lr_schedule,
        }
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        self.steps + self.cooldown
    }

    /// Learning rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let held = step / self.every * self.every;
        if step < self.warmup {
            let at = if self.smooth_warmup { step } else { held };
            return match self.warmup_lr {
                Some(from) => from + (self.lr - from) * at as f64 / self.warmup as f64,
                None => self.lr * (at + 1) as f64 / self.warmup as f64,
            };
        }
        let over = held.saturating_sub(self.warmup) as f64 / (self.steps.saturating_sub(self.warmup)).max(1) as f64;
        let over = over.min(1.0);
        let left = match self.decay {
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * over).cos()),
            Decay::Poly => (1.0 - over).powf(POWER),
            Decay::Steps => {
                // Epochs of a whole number of steps may fall short of those of the training.
                let near = held + self.every / 2;
                let passed = DROPS.iter().filter(|(part, of)| near * of >= self.steps * part).count();
                DROP.powi(passed as i32)
            }
        };
        self.min_lr + (self.lr - self.min_lr) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} and {b}");
    }

    #[test]
    fn rises_linearly_and_falls_as_a_cosine() {
        let recipe = Recipe { lr: 1.0, min_lr: 0.1, warmup: 0.4, epochs: 10.4, ..Recipe::default() };
        let s = Schedule::new(&recipe, 10.0);
        assert_eq!([0, 1, 2, 3].map(|i| s.at(i)), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!((s.at(4), s.total()), (1.0, 104));
        near(s.at(54), 0.55);
        near(s.at(104), 0.1);
        near(s.at(1000), 0.1);
    }

    #[test]
    fn falls_as_a_power() {
        let recipe =
            Recipe { lr: 2.0, min_lr: 0.5, warmup: 0.0, epochs: 4.0, lr_schedule: Decay::Poly, ..Recipe::default() };
        let s = Schedule::new(&recipe, 10.0);
        near(s.at(0), 2.0);
        near(s.at(20), 0.5 + 1.5 * 0.5f64.powf(0.9));
        near(s.at(40), 0.5);
    }

    #[test]
    fn drops_after_eight_and_eleven_of_twelve_epochs() {
        let recipe = Recipe {
            lr: 2e-4,
            warmup_steps: Some(500),
            warmup_lr: Some(1e-6),
            epochs: 12.0,
            lr_schedule: Decay::Steps,
            schedule_interval: Per::Epoch,
            ..Recipe::default()
        };
        for per_epoch in [7330.4, 7330.6] {
            let s = Schedule::new(&recipe, per_epoch);
            let epoch = |n: u64| s.at((n as f64 * per_epoch) as u64 + 10);
            near(s.at(250), 1.005e-4);
            assert_eq!([s.at(500), epoch(1), epoch(7)], [2e-4; 3]);
            near(epoch(8), 2e-5);
            near(epoch(10), 2e-5);
            near(epoch(11), 2e-6);
        }
    }

    #[test]
    fn by_the_epoch_it_moves_in_stairs_and_rests_at_the_end() {
        // EfficientFormer's: five epochs up from 1e-5, ten at 1e-5 in the end, for a batch that scales the peak.
        let recipe = Recipe {
            lr: 1e-3,
            min_lr: 1e-5,
            lr_base_size: Some(1024),
            batch: 512,
            grad_accum_steps: 4,
            warmup: 5.0,
            warmup_lr: Some(1e-5),
            cooldown: 10.0,
            epochs: 300.0,
            schedule_interval: Per::Epoch,
            ..Recipe::default()
        };
        let s = Schedule::new(&recipe, 100.0);
        assert_eq!(s.total(), 31_000);
        near(s.lr, 2e-3);
        near(s.at(0), 1e-5);
        assert_eq!(s.at(99), s.at(0));
        near(s.at(100), 1e-5 + (2e-3 - 1e-5) / 5.0);
        assert_eq!(s.at(500), s.lr);
        assert_eq!(s.at(799), s.at(700));
        assert!(s.at(800) < s.at(799));
        near(s.at(30_500), 1e-5);
    }

    #[test]
    fn a_warm_up_in_steps_is_smooth_even_when_the_cosine_is_not() {
        let recipe = Recipe {
            lr: 2e-3,
            min_lr: 2e-4,
            warmup_steps: Some(30),
            warmup_lr: Some(2e-4),
            schedule_interval: Per::Epoch,
            ..Recipe::default()
        };
        let s = Schedule::new(&recipe, 20.0);
        near(s.at(0), 2e-4);
        near(s.at(15), 1.1e-3);
        assert!(s.at(16) > s.at(15));
        assert_eq!(s.at(41), s.at(59));
    }
}
