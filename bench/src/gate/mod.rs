//! The gate: whether a network, or the program that runs it, has changed since a baseline.
//!
//! | tier | what is compared | may |
//! |---|---|---|
//! | 0, [`exact`] | numbers that no machine changes, and counted instructions | fail |
//! | 1, [`paired`] | times of fresh process pairs in one job | fail, after a second run |
//! | 2, [`stored`] | times against those in the baseline's file | warn |
//! | 3, history | each metric over commits; in the reports, from this gate's JSON | point out |

pub mod baseline;
pub mod count;
pub mod exact;
pub mod finding;
pub mod kernel;
pub mod output;
pub mod paired;
pub mod pairs;
pub mod rounds;
pub mod settings;
pub mod stored;
pub mod worker;

pub use baseline::Baseline;
pub use exact::Exact;
pub use finding::{Finding, Report, Rules, Tier, Verdict};

use std::path::PathBuf;

/// What can go wrong in the gate; a verdict is never an error.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The baseline's file is there and no baseline.
    #[error("{}: {found}, expected {expected}", file.display())]
    Baseline {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A worker did not start, or stopped answering.
    #[error("worker {program}: {message}")]
    Worker {
        /// What was started.
        program: String,
        /// What it did, and what was expected.
        message: String,
    },
    /// No such network, or one that cannot be made.
    #[error("{model}: {message}")]
    Model {
        /// Its name.
        model: String,
        /// What is wrong.
        message: String,
    },
    /// A tool that was asked for is not here, or failed.
    #[error("{tool}: {message}")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// What happened, and what was expected.
        message: String,
    },
    /// An engine.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// libtorch.
    #[error(transparent)]
    Net(#[from] mobilenas_torch::NetError),
    /// A file could not be written.
    #[error("{}: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

/// A published network as a graph, by its name.
///
/// # Errors
/// When there is none of that name.
pub fn graph_of(model: &str) -> Result<(mobilenas_space::ir::Graph, u32), GateError> {
    let refuse = |message: String| GateError::Model { model: model.to_string(), message };
    let found = mobilenas_space::families::variant(model);
    let (family, info) = found.ok_or_else(|| refuse("no such network, expected a published one".into()))?;
    let template = family.template(model).ok_or_else(|| refuse("no template".into()))?;
    let plan = template.plan(&template.values(), info.resolution, CLASSES).map_err(|e| refuse(e.to_string()))?;
    Ok((plan.lower().map_err(|e| refuse(e.to_string()))?, info.resolution))
}

/// Classes of the networks that the gate makes: those of the published ones.
pub const CLASSES: u32 = 1000;
