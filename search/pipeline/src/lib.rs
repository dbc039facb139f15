//! A search from its config to its report: configs, the experiment that a config describes, the phases of a search, and
//! trainings.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod bounds;
pub mod config;
pub mod experiment;
pub mod folder;
pub mod journal;
pub mod metric;
pub mod pipeline;
pub mod quantize;
pub mod strategy;
pub mod worker;

pub use mobilenas_evaluator as evaluator;
