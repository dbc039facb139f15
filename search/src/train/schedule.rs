//! The learning rate: linear warm-up, then a cosine.

/// Learning rate over the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The peak.
    pub lr: f64,
    /// Where the cosine ends.
    pub min_lr: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Schedule {
    /// Learning rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let over = (step - self.warmup) as f64 / (self.steps.saturating_sub(self.warmup)).max(1) as f64;
        self.min_lr + (self.lr - self.min_lr) * 0.5 * (1.0 + (std::f64::consts::PI * over.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_linearly_and_falls_as_a_cosine() {
        let s = Schedule { lr: 1.0, min_lr: 0.1, warmup: 4, steps: 104 };
        assert_eq!([0, 1, 2, 3].map(|i| s.at(i)), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(s.at(4), 1.0);
        assert!((s.at(54) - 0.55).abs() < 1e-12);
        assert!((s.at(104) - 0.1).abs() < 1e-12);
        assert!((s.at(1000) - 0.1).abs() < 1e-12);
    }
}
