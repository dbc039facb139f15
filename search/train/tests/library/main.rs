//! The crates of training and spaces together, without the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collective;
#[path = "../../../../space/tests/covering/mod.rs"]
mod covering;
mod families;
mod ranks;
mod supernet;
mod teaching;
