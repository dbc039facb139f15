//! What times the graphs of a table beside the reference.

use std::sync::Arc;

use mobilenas_device::{DeviceError, DeviceRecord, Seen};
use mobilenas_record::run as record;
use mobilenas_space::ir::{Graph, ShapeError};
use mobilenas_torch::NetError;

use super::file::TableError;
use super::row::TableSource;
use crate::Series;
use crate::engine::EngineError;
use crate::on_device::{OnDeviceError, Say};

/// Most blocks that are interleaved: libtorch remembers the kernels of a thousand convolutions, and these hold fewer.
pub(super) const GROUP: usize = 40;
/// Most whole networks that are interleaved.
pub(super) const NETS: usize = 12;

/// What can go wrong while a table is built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// libtorch.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Another device.
    #[error(transparent)]
    Device(#[from] OnDeviceError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A block that is no chain's link.
    #[error("{engine}: runs no blocks that read several values, as {block} does; expected another engine: {others}")]
    SeveralInputs {
        /// What runs the blocks.
        engine: String,
        /// The kind of the block.
        block: &'static str,
        /// The engines that run such blocks.
        others: String,
    },
    /// The reference network is gone.
    #[error("the reference network is not among the families")]
    Reference,
}

impl BuildError {
    /// Whether the user can mend it: another file, fewer threads, or the settings of a device.
    pub fn is_input(&self) -> bool {
        match self {
            BuildError::Table(_)
            | BuildError::SeveralInputs { .. }
            | BuildError::Engine(EngineError::Threads { .. }) => true,
            BuildError::Device(e) => e.is_input(),
            BuildError::Engine(_) | BuildError::Net(_) | BuildError::Shape(_) | BuildError::Reference => false,
        }
    }

    /// Whether the user asked to stop.
    pub fn is_stop(&self) -> bool {
        matches!(self, BuildError::Device(OnDeviceError::Device(DeviceError::Stopped)))
    }
}

/// Where times are taken.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the table's header says.
    pub source: TableSource,
    /// This machine.
    pub host: Option<record::Host>,
    /// Or another device.
    pub device: Option<DeviceRecord>,
}

/// Times of some graphs.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The times of each.
    pub series: Vec<Series>,
    /// The reference's in ms, one a round.
    pub reference: Vec<f64>,
    /// What was seen of another device.
    pub seen: Option<Seen>,
}

/// What times graphs beside the reference.
pub trait Timer {
    /// What runs them, and by which protocol.
    fn engine(&self) -> record::Engine;

    /// Where.
    fn place(&self) -> Place;

    /// Whether it times blocks that read several values.
    fn takes_several(&self) -> bool {
        false
    }

    /// Takes what says something beside the progress.
    fn tell(&mut self, _say: Say) {}

    /// Times graphs, `twice` with cold and with warm caches; `at` shows where it is. `None` if it was asked to stop.
    ///
    /// # Errors
    /// When what runs them refuses.
    fn time(
        &mut self,
        graphs: &[Arc<Graph>],
        reference: &Arc<Graph>,
        twice: bool,
        at: &dyn Fn(&str),
    ) -> Result<Option<Timed>, BuildError>;
}
