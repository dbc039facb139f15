//! ONNX Runtime in int8: how long a network would take when quantized.

use mobilenas_onnx::int8::CalibrationMethod;
use mobilenas_onnx::{Batch, Options};
use mobilenas_torch::onnx::to_int8;
use mobilenas_torch::{Net, NetError};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tch::Tensor;

use super::int8::Calibrator;
use super::onnxruntime::{File, OnnxRuntime};
use super::{Engine, EngineError, Session, Setting, blank};

/// Batch norms folded, int8 layers, under ONNX Runtime.
///
/// The ranges come from one batch of noise, which changes values but no operator: it is good for times alone. `weights export
/// --int8` calibrates on images and tells the accuracy.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntimeInt8;

/// The same batch of noise for every call, in the network's input shape.
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
