//! Engines: what runs a network on this machine. One file each, one line in [`ENGINES`].

pub mod auto;
pub mod int8;
mod interface;
pub mod kernel_timing;
pub mod libtorch;
pub mod litert;
pub mod onnxruntime;
pub mod onnxruntime_int8;
pub mod openvino;
pub mod torchscript;

use mobilenas_host::nearest;

use interface::watched;
pub use interface::{Engine, EngineError, Session, Setting, Start, blank, blanks, enough_cores, latency};

/// All engines.
pub static ENGINES: &[&dyn Engine] = &[
    &libtorch::Libtorch,
    &libtorch::Plain,
    &torchscript::TorchScript,
    &onnxruntime::OnnxRuntime,
    &onnxruntime_int8::OnnxRuntimeInt8,
    &openvino::OpenVino,
    &litert::LiteRt,
    &auto::Auto,
];

/// An engine by name.
pub fn engine(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().copied().find(|e| e.name() == name)
}

/// An engine by name, which has to be there.
///
/// # Errors
/// When there is none of that name.
pub fn named(name: &str) -> Result<&'static dyn Engine, EngineError> {
    engine(name).ok_or_else(|| EngineError::Unknown { name: name.to_string(), expected: expected(name) })
}

/// What is wrong with a name that is no engine's.
pub fn unknown(name: &str) -> Option<String> {
    engine(name).is_none().then(|| format!("found {name:?}, expected {}", expected(name)))
}

/// The names of all engines, and the one that is nearest to a name.
fn expected(name: &str) -> String {
    let names: Vec<&str> = ENGINES.iter().map(|e| e.name()).collect();
    let hint = nearest(name, names.iter().copied()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
    format!("one of {}{hint}", names.join(", "))
}
