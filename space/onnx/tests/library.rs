//! Tests of ONNX files, in float32 and int8.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../../tests/covering/mod.rs"]
mod covering;
mod int8;
mod onnx;
