//! Tests of networks on libtorch: against reference implementations, and subnets against networks of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod blocks;
#[path = "../../heads/tests/common/mod.rs"]
mod common;
#[path = "../../tests/covering/mod.rs"]
mod covering;
mod heads;
mod inherit;
mod logits;
mod pytorch;
mod regions;
mod seeded;
mod side_by_side;
mod weights_files;
