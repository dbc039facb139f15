//! Searches of the program on workers. The program is the one that the same `cargo test --workspace` has built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../../../tests/program/common.rs"]
mod common;
#[path = "../../../tests/program/config_parts.rs"]
mod config_parts;
#[path = "../../../tests/program/forked.rs"]
mod forked;

mod clusters;
mod pods;
mod studies;
mod workers;
