//! Tests over all families: goldens, names, spaces, latency keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod goldens;
mod latency_keys;
mod memory;
mod names;
mod regularization;
mod spaces;
