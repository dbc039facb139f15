//! Networks in the formats of phones' runtimes. The runtimes' own converters do the work, in a Python that has them.
//!
//! [`convert`] is one conversion with its comparison, in a process of its own; [`tflite`] gives a file for the engine
//! `litert`, which is converted by a process that stays, and kept.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cache;
mod error;
mod job;
mod python;
mod tflite;

pub use error::{CACHE, PYTHON, PhonesError};
pub use job::convert;
pub use python::Python;
pub use tflite::{Tflite, converter, tflite};
