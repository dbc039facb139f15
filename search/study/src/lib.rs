//! A study of the search itself: the rank correlation of the supernet, the search against random search, found networks
//! against published ones. Every phase begins where the study's file ends.

mod baselines;
mod estimate;
mod fidelity;
mod folder;
mod plan;
mod run;
mod sample;
mod scorer;
mod scores;
mod selection;
mod statistics;
mod supernets;
mod timing;
mod training;
mod vs_random;
pub mod words;

pub use folder::Folder;
pub use plan::{Study, StudyPlan};
pub use run::StudyOutcome;
pub use scorer::serve;
