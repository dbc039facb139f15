//! The one search loop: unit, supernet, variants, trials, winners, report. Every phase begins where the journal ends.

mod about;
pub mod ask;
mod budget;
mod error;
mod finalists;
mod folder;
mod remeasure;
pub mod retraining;
mod run;
mod scoring;
mod search_pipeline;
mod subnet;
pub mod train_job;
mod trials;
mod winners;

pub use error::RunError;
pub use folder::Folder;
pub use mobilenas_bench::latency_table::networks::REFERENCE;
pub use run::{SearchOutcome, report};
pub use search_pipeline::SearchPipeline;
pub use subnet::{stored_supernet, subnet};
