//! The real program, run as users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod config_parts;
mod forked;
#[path = "../../../space/torch/tests/steady/mod.rs"]
mod steady;

mod batch_norms;
mod bench_run;
mod configs;
mod data;
mod dense;
mod devices;
mod end_to_end;
mod files;
mod gate;
mod images;
mod int8;
mod latency_list;
mod latency_table;
mod litert;
mod messages;
mod models;
mod openvino;
mod phones;
mod pytorch;
mod ranks;
mod report;
mod spaces;
mod strategies;
mod study;
mod training;
mod weights;
