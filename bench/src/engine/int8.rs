//! int8 files on ONNX Runtime: calibration of ranges on images, and the speed-up over float32.

use std::collections::BTreeMap;

use mobilenas_onnx::INPUT;
use mobilenas_onnx::int8::{CalibrationMethod, Int8Exporter, Observer};
use mobilenas_torch::NetError;
use rand::Rng;
use tch::{Kind, Tensor};

use super::onnxruntime::File;
use super::{EngineError, Session as _};
use crate::interleaved::{Interleaving, interleave};
use crate::stats::{median, median_interval};
use mobilenas_host::Clock;

/// Calibrates a network: observes the ranges of its values.
pub struct Calibrator {
    int8: Int8Exporter,
    file: File,
    seen: BTreeMap<String, Observer>,
}

impl Calibrator {
    /// Nothing seen yet. The network runs in float32 on so many threads.
    ///
    /// # Errors
    /// When the runtime is not here, or refuses the network.
    pub fn new(int8: Int8Exporter, method: CalibrationMethod, threads: usize) -> Result<Calibrator, EngineError> {
        let file = File::load(&int8.calibration_model(), threads)?;
        let seen = int8.calibrated_values().map(|v| (v.to_string(), Observer::new(method))).collect();
        Ok(Calibrator { int8, file, seen })
    }

    /// Runs one batch `[B, C, H, W]` and takes in its values.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn see(&mut self, images: &Tensor) -> Result<(), EngineError> {
        let seen = &mut self.seen;
        if let Some(input) = seen.get_mut(INPUT) {
            let torch = |e: tch::TchError| NetError::Torch { at: INPUT.into(), message: e.to_string() };
            let flat = images.f_to_kind(Kind::Float).and_then(|t| t.f_reshape([-1])).map_err(torch)?;
            input.observe(&Vec::<f32>::try_from(flat).map_err(torch)?);
        }
        self.file.outputs(images, |name, values| {
            if let Some(own) = seen.get_mut(name) {
                own.observe(values);
            }
        })
    }

    /// The bytes of the int8 file.
    ///
    /// # Errors
    /// When no batch was seen, or a value or a weight was not finite.
    pub fn write(&self) -> Result<Vec<u8>, EngineError> {
        let ranges = self.seen.iter().map(|(name, seen)| (name.clone(), seen.range())).collect();
        Ok(self.int8.write(&ranges).map_err(NetError::from)?)
    }
}

/// Interleaved times of two files.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Gain {
    /// Median of the float32 file in ms.
    pub float32_ms: f64,
    /// Median of the int8 file in ms.
    pub int8_ms: f64,
    /// Median over the rounds of the time in int8 over that in float32.
    pub ratio: f64,
    /// The interval of that median, 95 % sure.
    pub ratio_interval: (f64, f64),
    /// Rounds.
    pub rounds: usize,
}

/// Rounds of a comparison: enough for an interval of the median that holds the middle fifth of them.
const ROUNDS: Interleaving = Interleaving { rounds: 100, warm: 10, lead: 1, again: false, references: 1 };

/// Times two files of one network, interleaved.
///
/// # Errors
/// When the runtime refuses.
pub fn gain(
    clock: &dyn Clock,
    (float32, int8): (&mut File, &mut File),
    images: &Tensor,
    rng: &mut dyn Rng,
) -> Result<Gain, EngineError> {
    let run = |which: usize| if which == 0 { int8.run(images).map(drop) } else { float32.run(images).map(drop) };
    let (series, reference) = interleave(clock, ROUNDS, 1, rng, |_| Ok(()), run)?;
    let one = series.into_iter().next().unwrap_or_default();
    let nan = f64::NAN;
    Ok(Gain {
        float32_ms: median(&reference).unwrap_or(nan),
        int8_ms: median(&one.ms).unwrap_or(nan),
        ratio: one.ratio(),
        ratio_interval: median_interval(&one.ratio, 0.95).unwrap_or((nan, nan)),
        rounds: ROUNDS.rounds,
    })
}
