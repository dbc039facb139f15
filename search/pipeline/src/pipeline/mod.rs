//! The one search loop: unit, supernet, variants, trials, winners, report. Every phase begins where the journal ends.

mod about;
pub mod ask;
mod budget;
mod error;
mod finalists;
mod finetune;
mod folder;
mod follow;
mod inherited;
mod int8;
mod landmarks;
mod order;
mod remeasure;
pub mod retraining;
mod run;
mod scoring;
mod search_pipeline;
mod subnet;
mod supernet_training;
pub mod train_job;
mod trials;
mod winners;

pub use error::RunError;
pub use folder::Folder;
pub use follow::follow;
pub use mobilenas_bench::latency_table::networks::REFERENCE;
pub use order::end;
pub use run::{SearchOutcome, report};
pub use search_pipeline::{SearchPipeline, supernet_files};
pub use subnet::{stored_supernet, subnet};
pub use supernet_training::SupernetTraining;
