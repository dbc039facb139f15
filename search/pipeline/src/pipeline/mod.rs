//! The one search loop: unit, supernet, variants, trials, winners, report. Every phase begins where the journal ends.

mod about;
pub mod ask;
mod budget;
mod device_latency;
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
mod scoring_pool;
mod search_pipeline;
mod subnet;
mod supernet_training;
pub mod train_job;
mod trials;
mod winners;
mod worker_latency;

pub use error::RunError;
pub use folder::Folder;
pub use follow::follow;
pub use mobilenas_bench::latency_table::networks::REFERENCE;
pub use order::end;
pub use run::{SearchOutcome, report};
pub use scoring_pool::{Among, ScoringPool};
pub use search_pipeline::{SearchPipeline, supernet_files};
pub use subnet::{stored_supernet, subnet, supernet_in};
pub use supernet_training::SupernetTraining;
