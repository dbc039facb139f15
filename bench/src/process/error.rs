//! Why something could not be measured.

use mobilenas_device::DeviceError;
use mobilenas_host::WorkerError;
use mobilenas_space::ir::ShapeError;
use mobilenas_torch::NetError;

use super::messages::PROTOCOL;
use crate::engine::EngineError;
use crate::on_device::OnDeviceError;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A measuring process did not start, or gave no answer.
    #[error("worker {0}")]
    Worker(#[from] WorkerError),
    /// A measuring process of an incompatible build.
    #[error("worker {program}: found protocol {found}, expected {PROTOCOL}")]
    Protocol {
        /// The program.
        program: String,
        /// The version that it speaks.
        found: u32,
    },
    /// A request that a measuring process does not know.
    #[error("request {line:?}: expected call, kernel, window N, memory, block JSON or pin N")]
    Request {
        /// The request.
        line: String,
    },
    /// The pipes of a measuring process.
    #[error("the asking program is gone: {0}")]
    Pipe(#[from] std::io::Error),
    /// The system does not let the process run on some cores.
    #[error("cores {cores:?}: {source}")]
    Cores {
        /// The cores.
        cores: Vec<usize>,
        /// What the system says.
        source: std::io::Error,
    },
    /// No published network has this name.
    #[error("{model}: no such network, expected a published one")]
    UnknownModel {
        /// The name.
        model: String,
    },
    /// A design that is none.
    #[error("the design of {model}: {message}")]
    Design {
        /// Name of the network.
        model: String,
        /// The first mistake.
        message: String,
    },
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// libtorch.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Another device.
    #[error(transparent)]
    Device(OnDeviceError),
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

impl From<OnDeviceError> for MeasureError {
    fn from(e: OnDeviceError) -> MeasureError {
        match e {
            OnDeviceError::Device(DeviceError::Stopped) => MeasureError::Stopped,
            other => MeasureError::Device(other),
        }
    }
}
