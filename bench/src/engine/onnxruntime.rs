//! ONNX Runtime: runs the ONNX file that the program exports, on the CPU. The library is loaded on first use from the
//! path in the environment variable [`LIBRARY`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mobilenas_space::onnx::proto::{self, Model};
use mobilenas_space::onnx::{Batch, INPUT, OUTPUT, Options};
use mobilenas_torch::Net;
use mobilenas_torch::onnx::to_onnx;
use ort::environment::Environment;
use ort::session::{Session as Loaded, SessionInputValue, SessionOutputs};
use ort::value::Tensor as OrtTensor;
use tch::Tensor;

use super::{Engine, EngineError, Session, Setting};

/// The variable that holds the path of ONNX Runtime's library.
pub const LIBRARY: &str = "ORT_DYLIB_PATH";

/// Batch norms folded, float32, all of ONNX Runtime's optimisations.
#[derive(Clone, Copy, Debug)]
pub struct OnnxRuntime;

const NAME: &str = "onnxruntime";

fn refused(e: impl std::fmt::Display) -> EngineError {
    let text = e.to_string();
    EngineError::Engine { engine: NAME, message: text.lines().next().unwrap_or_default().to_string() }
}

/// The library in use.
struct Library {
    path: PathBuf,
    environment: Environment,
}

/// Loads the library, once for the process.
fn library() -> Result<&'static Library, EngineError> {
    static FOUND: OnceLock<Result<Library, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let advice = "expected the path of libonnxruntime.so there (`cargo xtask` fetches one and sets it)";
        let path = std::env::var_os(LIBRARY).filter(|v| !v.is_empty());
        let path = PathBuf::from(path.ok_or_else(|| format!("{LIBRARY} is not set, {advice}"))?);
        let whole = path.canonicalize().map_err(|e| format!("{LIBRARY}={}: {e}, {advice}", path.display()))?;
        let environment = ort::init_from(&whole).map_err(|e| format!("{LIBRARY}={}: {e}, {advice}", path.display()))?;
        let environment = environment.with_telemetry(false).build().map_err(|e| e.to_string())?;
        Ok(Library { path: whole, environment })
    });
    found.as_ref().map_err(refused)
}

/// `1.32.0` of `libonnxruntime.so.1.32.0`.
fn version_in(library: &Path) -> Option<String> {
    let name = library.file_name()?.to_str()?;
    name.split_once(".so.").map(|(_, version)| version.to_string())
}

impl Engine for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        let version = |l: &Library| version_in(&l.path).unwrap_or_else(|| ort::info().to_string());
        library().map_or_else(|_| "not here".to_string(), version)
    }

    fn channels_last(&self) -> bool {
        false
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
    input: Option<(Vec<i64>, OrtTensor<f32>)>,
    channels: i64,
}

impl File {
    /// Loads an ONNX file with the input [`INPUT`] and the output [`OUTPUT`]; `threads` are ONNX Runtime's intra-op
    /// threads.
    ///
    /// # Errors
    /// When the library is not here, or refuses the file.
    pub fn load(bytes: &[u8], threads: usize) -> Result<File, EngineError> {
        let builder = Loaded::builder(&library()?.environment).map_err(refused)?;
        let builder = builder.with_intra_threads(threads).map_err(refused)?;
        let builder = builder.with_inter_threads(1).map_err(refused)?;
        let mut builder = if sums_overflow() { builder.with_precise_qmm().map_err(refused)? } else { builder };
        let session = builder.commit_from_memory(bytes).map_err(refused)?;
        let shape = session.inputs().first().and_then(|i| i.dtype().tensor_shape().map(|s| s.to_vec()));
        let channels = shape.and_then(|s| s.get(1).copied()).unwrap_or(-1);
        Ok(File { session, threads, input: None, channels })
    }

    /// Runs one batch; `read` gets the name and the values of every output that holds floats.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn outputs(&mut self, images: &Tensor, mut read: impl FnMut(&str, &[f32])) -> Result<(), EngineError> {
        self.answer(images, |outputs| {
            for (name, value) in outputs {
                read(name, value.try_extract_tensor::<f32>().map_err(refused)?.1);
            }
            Ok(())
        })
    }

    /// Runs one batch and reads its outputs.
    fn answer<R>(
        &mut self,
        images: &Tensor,
        read: impl FnOnce(&SessionOutputs) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let images = match images.size()[..] {
            [b, 1, h, w] if self.channels > 1 => images.f_expand([b, self.channels, h, w], false).map_err(refused)?,
            _ => images.shallow_clone(),
        };
        let size = images.size();
        if self.input.as_ref().is_none_or(|(s, _)| *s != size) {
            let zeros = vec![0f32; images.numel()];
            self.input = Some((size.clone(), OrtTensor::from_array((size, zeros)).map_err(refused)?));
        }
        let Some((_, input)) = &mut self.input else { return Err(refused("no input")) };
        images.f_copy_data(input.extract_tensor_mut().1, images.numel()).map_err(refused)?;
        let wanted: SessionInputValue = (&*input).into();
        read(&self.session.run(vec![(INPUT, wanted)]).map_err(refused)?)
    }
}

/// Whether ONNX Runtime's fast 8-bit matrix products saturate here: on x86 without VNNI. The exact ones are then used;
/// elsewhere they are only slower.
fn sums_overflow() -> bool {
    #[cfg(target_arch = "x86_64")]
    let overflow =
        !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    let overflow = false;
    overflow
}

/// The model after the runtime's own graph optimisations.
///
/// # Errors
/// When the library is not here, or refuses the file.
pub fn rewritten(bytes: &[u8]) -> Result<Model, EngineError> {
    let file = tempfile::Builder::new().suffix(".onnx").tempfile().map_err(refused)?;
    let builder = Loaded::builder(&library()?.environment).map_err(refused)?;
    let mut builder = builder.with_optimized_model_path(file.path()).map_err(refused)?;
    builder.commit_from_memory(bytes).map_err(refused)?;
    proto::read(&std::fs::read(file.path()).map_err(refused)?).map_err(refused)
}

impl Session for File {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        self.answer(images, |outputs| {
            let logits = outputs.get(OUTPUT).ok_or_else(|| refused(format!("no output {OUTPUT}")))?;
            let (shape, values) = logits.try_extract_tensor::<f32>().map_err(refused)?;
            Tensor::f_from_slice(values).and_then(|t| t.f_reshape(&shape[..])).map_err(refused)
        })
    }

    fn choices(&self) -> Vec<(String, String)> {
        vec![("threads".to_string(), self.threads.to_string())]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_librarys_name() {
        assert_eq!(version_in(Path::new("/x/libonnxruntime.so.1.32.0")).as_deref(), Some("1.32.0"));
        assert_eq!(version_in(Path::new("/x/libonnxruntime.so")), None);
    }
}
