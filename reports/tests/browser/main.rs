//! The pages in Chromium.
//!
//! `cargo test` ignores these tests; `cargo xtask test` runs them where Chromium is or can be installed.
//! `REPORTS_LOOK=folder` keeps screenshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chromium;
mod devtools;
#[path = "../synthetic/mod.rs"]
mod synthetic;
