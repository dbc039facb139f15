//! Model files of any origin: their inputs, what is exactly known about them, and sessions that run them.
//!
//! A format is one file here and one line in [`FORMATS`]; command line, configs, `bench run` and the regression check
//! know it by its name.

pub mod compare;
mod error;
pub mod exact;
mod flags;
mod format;
pub mod litert;
mod onnx;
pub mod onnxruntime;
pub mod openvino;
mod openvino_file;
mod openvino_ir;
mod raw;
mod registry;
mod settings;
mod tflite;
mod tflite_model;
mod tflite_operators;
mod torchscript;
mod values;

pub use error::FileError;
pub use exact::FileExact;
pub use flags::{BaselineFiles, FileFlags};
pub use format::{Format, Session};
pub use registry::{FORMATS, format};
pub use settings::{GuardedFile, InputSetting, ModelFile};
pub use torchscript::VERSION as LIBTORCH;
pub use values::{Input, Kind, Output};
