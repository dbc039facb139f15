//! Training, calibration, evaluation.

/// What batch norms and dropout do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Batch statistics; running statistics stay as they are. For subnets, whose statistics are recalibrated.
    Train,
    /// Batch statistics; running statistics move towards them with momentum 0.1.
    TrainTracking,
    /// Batch statistics of the n-th batch, counted from 1; running statistics become the mean over the n batches.
    Calibrate(u32),
    /// Running statistics.
    Eval,
}

impl Mode {
    /// Whether dropout is active.
    pub fn trains(self) -> bool {
        matches!(self, Mode::Train | Mode::TrainTracking)
    }
}
