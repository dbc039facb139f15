//! Accuracy of a network's int8 file, calibrated on training images, on ONNX Runtime.

use std::sync::Arc;

use mobilenas_bench::engine::int8::Calibrator;
use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_data::TransformedDataset;
use mobilenas_onnx::int8::CalibrationMethod;
use mobilenas_onnx::{Batch, Options};
use mobilenas_space::ir::Graph;
use mobilenas_task::{Outputs, Task};
use mobilenas_torch::Net;
use mobilenas_torch::onnx::{to_int8, to_onnx};
use tch::{Device, Tensor};

use super::EvalError;
use super::images::{EvalImages, Scores, calibrating};

/// Images that calibrate at most, as for `weights export --int8`.
const IMAGES: usize = 512;

/// A network as ONNX in both forms, and what its int8 file scores.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The float32 file.
    pub float32: Vec<u8>,
    /// The int8 file.
    pub int8: Vec<u8>,
    /// The task's metrics of the int8 file.
    pub scores: Scores,
}

/// Quantises a trained network: training images calibrate it, and other images score it.
///
/// # Errors
/// When the runtime is not here or refuses, or too many images are damaged.
pub fn quantize(
    net: &Net,
    (train, calibration): (&TransformedDataset, &[usize]),
    (images, scored, batch): (&TransformedDataset, &[usize], usize),
    task: &dyn Task,
) -> Result<Quantized, EvalError> {
    let mut calibration = calibrating(train, calibration, net.device())?;
    let mut scored = EvalImages::new(images, scored, batch, net.device())?;
    let int8 = int8_file(net, &mut calibration)?;
    let scores = int8_scores(&int8, net, &mut scored, task)?;
    Ok(Quantized { float32: to_onnx(&net.freeze()?, &options())?, int8, scores })
}

fn options() -> Options {
    Options { batch: Batch::Dynamic, ..Options::default() }
}

/// The int8 file of a network, its ranges from the smallest to the largest value that the images cause.
pub(super) fn int8_file(net: &Net, images: &mut EvalImages) -> Result<Vec<u8>, EvalError> {
    let int8 = to_int8(&net.freeze()?, &options())?;
    let (mut calibrator, mut left) = (Calibrator::new(int8, CalibrationMethod::MinMax, 1)?, IMAGES as i64);
    images.each(net.graph().input().dims[1], |x, _| {
        let n = x.size().first().copied().unwrap_or_default().min(left);
        if n > 0 {
            calibrator.see(&x.f_narrow(0, 0, n)?.to_device(Device::Cpu))?;
        }
        left -= n;
        Ok(())
    })?;
    Ok(calibrator.write()?)
}

/// What a network's file gives for images.
///
/// # Errors
/// When the runtime refuses.
pub fn file_outputs(file: &mut File, graph: &Arc<Graph>, images: &Tensor) -> Result<Outputs, EvalError> {
    let names: Vec<&str> = graph.outputs.iter().map(|o| o.name).collect();
    Ok(Outputs::of(graph, file.named(images, &names)?))
}

/// The task's metrics of a file, on one thread.
pub(super) fn int8_scores(
    file: &[u8],
    net: &Net,
    images: &mut EvalImages,
    task: &dyn Task,
) -> Result<Scores, EvalError> {
    let (mut file, mut meter) = (File::load(file, 1)?, task.meter());
    images.each(net.graph().input().dims[1], |x, targets| {
        let outputs = file_outputs(&mut file, net.graph(), &x.to_device(Device::Cpu))?;
        let heads = outputs.heads.iter().map(|t| t.to_device(x.device())).collect();
        Ok(meter.update(&Outputs { heads, ..outputs }, targets)?)
    })?;
    Ok(Scores { values: meter.values(), images: meter.samples() })
}
