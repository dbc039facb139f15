//! Tests over all networks and engines: exported files, int8, the tuned engine, other runtimes, the gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checker;
#[path = "../../space/tests/covering/mod.rs"]
mod covering;
mod gate_trials;
mod heads;
mod int8;
mod libtorch_engines;
mod litert;
mod nearness;
mod onnx;
mod runtimes;
#[path = "../../space/torch/tests/seeded/mod.rs"]
mod seeded;
#[path = "../../space/torch/tests/side_by_side/mod.rs"]
mod side_by_side;
