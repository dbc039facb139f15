//! The program: configs, the evaluator, the search pipeline, studies, the command line.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod bounds;
pub mod cli;
pub mod config;
pub mod contact_sheet;
pub mod evaluator;
pub mod experiment;
pub mod folder;
pub mod journal;
pub mod metric;
pub mod pipeline;
pub mod proxy;
pub mod quantize;
pub mod strategy;
pub mod study;
pub mod worker;
