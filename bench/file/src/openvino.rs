//! OpenVINO's library, loaded on first use from the path in the environment variable [`LIBRARY`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openvino::{CompiledModel, Core, DeviceType, InferRequest, Model, PropertyKey, RwPropertyKey};

use crate::error::first_line;

/// The variable that holds the path of OpenVINO's C library.
pub const LIBRARY: &str = "MOBILENAS_OPENVINO";
/// How the library's name begins.
const NAME: &str = "libopenvino_c.so";

/// Loads the library, once for the process; gives its version.
fn library() -> Result<&'static str, String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let advice = format!("expected the path of {NAME} there (`cargo xtask` fetches one and sets it)");
        let path = std::env::var_os(LIBRARY).filter(|v| !v.is_empty());
        let path = PathBuf::from(path.ok_or_else(|| format!("{LIBRARY} is not set, {advice}"))?);
        let refuse = |e: &dyn std::fmt::Display| format!("{LIBRARY}={}: {}, {advice}", path.display(), first_line(e));
        // The bindings look up what they need at the first call, and do not return if it is missing.
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAME)) {
            return Err(refuse(&"another library"));
        }
        let whole = path.canonicalize().map_err(|e| refuse(&e))?;
        openvino_sys::library::load_from(whole).map_err(|e| refuse(&e))?;
        Ok(openvino::version().build_number.split('-').next().unwrap_or_default().to_string())
    });
    found.as_deref().map_err(Clone::clone)
}

/// Whether the library is here.
///
/// # Errors
/// What is wrong in one line, when it is not.
pub fn here() -> Result<(), String> {
    library().map(drop)
}

/// The library's version, or that it is not here.
pub fn version() -> String {
    library().map_or_else(|_| "not here".to_string(), ToString::to_string)
}

/// A model that OpenVINO has read.
pub struct Loaded {
    core: Core,
    /// The model, which may still be given other sizes.
    pub model: Model,
}

/// A model that is ready to run. What is first goes first when it is dropped.
pub struct Ready {
    /// Runs it.
    pub request: InferRequest,
    /// The compiled model.
    pub compiled: CompiledModel,
    /// The threads that it says to have.
    pub threads: usize,
    _core: Core,
}

impl Loaded {
    /// Reads the bytes of an ONNX file.
    ///
    /// # Errors
    /// What is wrong in one line, when the library is not here or refuses.
    pub fn of_onnx(bytes: &[u8]) -> Result<Loaded, String> {
        let mut core = core()?;
        let model = core.read_model_from_buffer(bytes, None).map_err(in_words)?;
        Ok(Loaded { core, model })
    }

    /// Reads a file: an ONNX file, or OpenVINO's own XML with the weights beside it.
    ///
    /// # Errors
    /// What is wrong in one line, when the library is not here or refuses.
    pub fn of_file(file: &Path) -> Result<Loaded, String> {
        let mut core = core()?;
        let name = file.to_str().ok_or("found a name that is not UTF-8, expected one that is")?;
        let model = core.read_model_from_file(name, "").map_err(in_words)?;
        Ok(Loaded { core, model })
    }

    /// Compiles it for the CPU: float32 as it stands in the file, one request at a time, so many threads.
    ///
    /// # Errors
    /// What is wrong in one line, when the library refuses, or takes another number of threads.
    pub fn compile(mut self, threads: usize) -> Result<Ready, String> {
        let number = threads.to_string();
        for (key, value) in [
            // Where the processor has them, layers would be computed in bfloat16.
            (RwPropertyKey::HintInferencePrecision, "f32"),
            (RwPropertyKey::HintPerformanceMode, "LATENCY"),
            (RwPropertyKey::NumStreams, "1"),
            (RwPropertyKey::InferenceNumThreads, number.as_str()),
            // Which cores a process runs on is said by who starts it; of these all count.
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
            (RwPropertyKey::HintEnableHyperThreading, "YES"),
        ] {
            self.core.set_property(&DeviceType::CPU, &key, value).map_err(in_words)?;
        }
        let mut compiled = self.core.compile_model(&self.model, DeviceType::CPU).map_err(in_words)?;
        let says = |key: RwPropertyKey| {
            let said = compiled.get_property(&PropertyKey::Rw(key)).map_err(in_words);
            said.map(std::borrow::Cow::into_owned)
        };
        let (took, precision) =
            (says(RwPropertyKey::InferenceNumThreads)?, says(RwPropertyKey::HintInferencePrecision)?);
        if took != number || precision != "f32" {
            return Err(format!("it takes {took} threads and {precision}, expected {number} and f32"));
        }
        let request = compiled.create_infer_request().map_err(in_words)?;
        Ok(Ready { request, compiled, threads, _core: self.core })
    }
}

fn core() -> Result<Core, String> {
    library()?;
    Core::new().map_err(first_line)
}

/// The last line of what OpenVINO says: those before tell where in its source.
pub fn in_words(e: openvino::InferenceError) -> String {
    let text = e.message.as_deref().unwrap_or_default();
    let told = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    told.map_or_else(|| first_line(&e.kind), str::to_string)
}
