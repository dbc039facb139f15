//! ONNX Runtime: runs the ONNX file that the program exports, on the CPU. The library is loaded on first use from the
//! path in the environment variable [`LIBRARY`].

use mobilenas_file::onnxruntime;
use mobilenas_onnx::proto::{self, Model};
use mobilenas_onnx::{Batch, OUTPUT, Options, input_name};
use mobilenas_torch::Net;
use mobilenas_torch::onnx::to_onnx;
use ort::session::{Session as Loaded, SessionInputValue, SessionOutputs};
use ort::value::Tensor as OrtTensor;
use tch::Tensor;

use super::{Engine, EngineError, Session, Setting};

pub use mobilenas_file::onnxruntime::LIBRARY;

/// Batch norms folded, float32, all of ONNX Runtime's optimisations.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntime;

const NAME: &str = "onnxruntime";

fn refused(e: impl std::fmt::Display) -> EngineError {
    let text = e.to_string();
    EngineError::Engine { engine: NAME, message: text.lines().next().unwrap_or_default().to_string() }
}

/// Whether the runtime is here.
///
/// # Errors
/// What is missing.
pub fn check() -> Result<(), EngineError> {
    onnxruntime::session(1).map(drop).map_err(refused)
}

impl Engine for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        onnxruntime::version()
    }

    fn channels_last(&self) -> bool {
        false
    }

    fn takes_several(&self) -> bool {
        true
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        let options = Options { batch: Batch::Fixed(setting.batch as u32), ..Options::default() };
        let bytes = to_onnx(&net.freeze()?, &options)?;
        Ok(Box::new(File::load(&bytes, setting.threads)?))
    }
}

/// An ONNX file ready to run.
pub struct File {
    session: Loaded,
    threads: usize,
    /// What the session reads, kept while batches have one size.
    inputs: Vec<(Vec<i64>, OrtTensor<f32>)>,
    channels: i64,
}

impl File {
    /// Loads an ONNX file with the inputs that the exporter names, and the output [`OUTPUT`]; `threads` are ONNX Runtime's intra-op
    /// threads.
    ///
    /// # Errors
    /// When the library is not here, or refuses the file.
    pub fn load(bytes: &[u8], threads: usize) -> Result<File, EngineError> {
        let session = onnxruntime::session(threads).map_err(refused)?.commit_from_memory(bytes).map_err(refused)?;
        let shape = session.inputs().first().and_then(|i| i.dtype().tensor_shape().map(|s| s.to_vec()));
        let channels = shape.and_then(|s| s.get(1).copied()).unwrap_or(-1);
        Ok(File { session, threads, inputs: Vec::new(), channels })
    }

    /// Runs one batch; `read` gets the name and the values of every output. Whole numbers, such as labels of detections,
    /// are given as floats.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn outputs(&mut self, images: &Tensor, mut read: impl FnMut(&str, &[f32])) -> Result<(), EngineError> {
        self.answer(std::slice::from_ref(images), |outputs| {
            for (name, value) in outputs {
                if let Ok((_, whole)) = value.try_extract_tensor::<i64>() {
                    let values: Vec<f32> = whole.iter().map(|v| *v as f32).collect();
                    read(name, &values);
                } else {
                    read(name, value.try_extract_tensor::<f32>().map_err(refused)?.1);
                }
            }
            Ok(())
        })
    }

    /// Runs one batch to its outputs of these names, in their order.
    ///
    /// # Errors
    /// When the runtime refuses, or the file has no such output.
    pub fn named(&mut self, images: &Tensor, names: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        self.answer(std::slice::from_ref(images), |outputs| names.iter().map(|name| output(outputs, name)).collect())
    }

    /// Runs one batch and reads its outputs.
    fn answer<R>(
        &mut self,
        values: &[Tensor],
        read: impl FnOnce(&SessionOutputs) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        self.inputs.truncate(values.len());
        for (i, given) in values.iter().enumerate() {
            let value = match given.size()[..] {
                [b, 1, h, w] if self.channels > 1 && i == 0 => {
                    given.f_expand([b, self.channels, h, w], false).map_err(refused)?
                }
                _ => given.shallow_clone(),
            };
            let (size, count) = (value.size(), value.numel());
            if self.inputs.get(i).is_none_or(|(s, _)| *s != size) {
                self.inputs.truncate(i);
                let input = OrtTensor::from_array((size.clone(), vec![0f32; count])).map_err(refused)?;
                self.inputs.push((size, input));
            }
            value.f_copy_data(self.inputs[i].1.extract_tensor_mut().1, count).map_err(refused)?;
        }
        let given = self.inputs.iter().enumerate().map(|(i, (_, x))| (input_name(i), SessionInputValue::from(x)));
        let wanted: Vec<_> = given.collect();
        read(&self.session.run(wanted).map_err(refused)?)
    }
}

/// The values of an output.
fn output(outputs: &SessionOutputs, name: &str) -> Result<Tensor, EngineError> {
    let found = outputs.get(name).ok_or_else(|| refused(format!("no output {name}")))?;
    let (shape, values) = found.try_extract_tensor::<f32>().map_err(refused)?;
    Tensor::f_from_slice(values).and_then(|t| t.f_reshape(&shape[..])).map_err(refused)
}

/// The model after the runtime's own graph optimisations.
///
/// # Errors
/// When the library is not here, or refuses the file.
pub fn rewritten(bytes: &[u8]) -> Result<Model, EngineError> {
    let file = tempfile::Builder::new().suffix(".onnx").tempfile().map_err(refused)?;
    let builder = onnxruntime::builder().map_err(refused)?;
    let mut builder = builder.with_optimized_model_path(file.path()).map_err(refused)?;
    builder.commit_from_memory(bytes).map_err(refused)?;
    proto::read(&std::fs::read(file.path()).map_err(refused)?).map_err(refused)
}

impl Session for File {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        self.run_block(std::slice::from_ref(images))
    }

    fn run_block(&mut self, values: &[Tensor]) -> Result<Tensor, EngineError> {
        let first = self.session.outputs().first().map_or(OUTPUT, |o| o.name()).to_string();
        self.answer(values, |outputs| output(outputs, &first))
    }

    fn choices(&self) -> Vec<(String, String)> {
        vec![("threads".to_string(), self.threads.to_string())]
    }
}
