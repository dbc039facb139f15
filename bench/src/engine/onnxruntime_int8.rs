//! The engine of int8 files: how long a network would take in int8.

use mobilenas_space::onnx::int8::CalibrationMethod;
use mobilenas_space::onnx::{Batch, Options};
use mobilenas_torch::onnx::to_int8;
use mobilenas_torch::{Net, NetError};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tch::Tensor;

use super::onnxruntime::{File, OnnxRuntime};
use super::{Engine, EngineError, Session, Setting, blank};
use crate::int8::Calibrator;

/// Batch norms folded, layers on 8-bit whole numbers, under ONNX Runtime.
///
/// The ranges come from one batch of noise: they decide numbers, and no operator of the file. So this is for times; what int8
/// costs in accuracy says `weights export --int8`, which calibrates on images.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntimeInt8;

/// One batch of noise as the network takes it, always the same.
fn noise(net: &Net, batch: usize) -> Result<Tensor, EngineError> {
    let blank = blank(net, batch)?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let values: Vec<f32> = (0..blank.numel()).map(|_| rng.random_range(-2.0..2.0)).collect();
    let noise = Tensor::f_from_slice(&values).and_then(|t| t.f_reshape(blank.size()));
    Ok(noise.map_err(|e| NetError::Torch { at: "images".into(), message: e.to_string() })?)
}

impl Engine for OnnxRuntimeInt8 {
    fn name(&self) -> &'static str {
        "onnxruntime-int8"
    }

    fn version(&self) -> String {
        OnnxRuntime.version()
    }

    fn precision(&self) -> &'static str {
        "int8"
    }

    fn channels_last(&self) -> bool {
        false
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        let options = Options { batch: Batch::Fixed(setting.batch as u32), ..Options::default() };
        let mut calibrator =
            Calibrator::new(to_int8(&net.freeze()?, &options)?, CalibrationMethod::MinMax, setting.threads)?;
        calibrator.see(&noise(net, setting.batch)?)?;
        Ok(Box::new(File::load(&calibrator.write()?, setting.threads)?))
    }
}
