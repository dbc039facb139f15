//! What an engine is: it prepares a network once, and its session runs batches.

use mobilenas_host::{Clock, load};
use mobilenas_space::ir::Value;
use mobilenas_torch::{Net, NetError};
use tch::{Device, Kind, Tensor};

use crate::protocol::{Protocol, Samples, measure};

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such engine.
    #[error("engine: found {name:?}, expected {expected}")]
    Unknown {
        /// The name.
        name: String,
        /// The names of those that there are.
        expected: String,
    },
    /// More threads than cores: the scheduler would be timed.
    #[error("found {threads} threads, expected at most one for each of {cores} cores")]
    Threads {
        /// Threads that were asked for.
        threads: usize,
        /// Cores that this process may run on.
        cores: usize,
    },
    /// A model file.
    #[error(transparent)]
    File(#[from] mobilenas_file::FileError),
    /// libtorch, or the network itself.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The library is missing, or refused.
    #[error("engine {engine}: {message}")]
    Engine {
        /// Its name.
        engine: &'static str,
        /// What the library says, and what was expected.
        message: String,
    },
}

/// Refuses to time anything with more threads than this process has cores.
///
/// # Errors
/// When there are fewer cores; where the system does not say how many there are, none.
pub fn enough_cores(threads: usize) -> Result<(), EngineError> {
    match load::allowed_cores().len() {
        0 => Ok(()),
        cores if threads > cores => Err(EngineError::Threads { threads, cores }),
        _ => Ok(()),
    }
}

/// How a network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Images in a batch.
    pub batch: usize,
    /// Intra-op threads.
    pub threads: usize,
}

/// Something that runs networks as they are deployed.
pub trait Engine: Sync {
    /// Its name in configs and records.
    fn name(&self) -> &'static str;

    /// Version of the library.
    fn version(&self) -> String;

    /// Numeric precision of its layers: `float32` or `int8`.
    fn precision(&self) -> &'static str {
        "float32"
    }

    /// Whether feature maps between operations are channels-last: a block that is timed alone gets its input in that
    /// layout.
    fn channels_last(&self) -> bool {
        true
    }

    /// Whether it runs blocks that read several values.
    fn takes_several(&self) -> bool {
        false
    }

    /// Makes what a deployed program brings along, such as a converted file. What it gives prepares the network then, as
    /// [`Engine::prepare`] does, and is the cold start.
    ///
    /// # Errors
    /// As for [`Engine::prepare`].
    fn make<'a>(&'a self, net: &'a Net, setting: Setting) -> Result<Start<'a>, EngineError> {
        Ok(Box::new(move || self.prepare(net, setting)))
    }

    /// Prepares a network for inference. The session keeps what it needs of the weights.
    ///
    /// # Errors
    /// When the engine is not here, or refuses the network.
    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError>;
}

/// Prepares a network of which the slow part is made.
pub type Start<'a> = Box<dyn FnOnce() -> Result<Box<dyn Session>, EngineError> + 'a>;

/// A prepared network.
pub trait Session {
    /// Runs one batch `[B, C, H, W]` to logits `[B, classes]`.
    ///
    /// # Errors
    /// When the engine refuses.
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError>;

    /// Runs a block, which may read several values, each with the batch as its first axis.
    ///
    /// # Errors
    /// When the engine refuses, as one does that does not take several values.
    fn run_block(&mut self, values: &[Tensor]) -> Result<Tensor, EngineError> {
        match values {
            [images] => self.run(images),
            _ => Err(NetError::Inputs { found: values.len(), expected: 1 }.into()),
        }
    }

    /// The most bytes that the engine's allocator held at once while one batch ran, beyond what it held before; `None`
    /// if the engine does not say.
    ///
    /// # Errors
    /// When the engine refuses.
    fn peak_bytes(&mut self, _images: &Tensor) -> Result<Option<u64>, EngineError> {
        Ok(None)
    }

    /// What the engine chose for this network, as place and choice; part of every record.
    fn choices(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Peak of the bytes that libtorch allocated on this thread during a call.
pub(super) fn watched(run: impl FnOnce() -> Result<Tensor, EngineError>) -> Result<Option<u64>, EngineError> {
    let watch = mobilenas_native::AllocationWatch::begin();
    let _logits = run()?;
    Ok(Some(watch.peak()))
}

/// A batch of zeros in the network's input shape `[B, C, H, W]`.
///
/// # Errors
/// When libtorch refuses.
pub fn blank(net: &Net, batch: usize) -> Result<Tensor, EngineError> {
    zeros(net.graph().input(), batch)
}

/// A batch of zeros for each value that a block reads.
///
/// # Errors
/// When libtorch refuses.
pub fn blanks(net: &Net, batch: usize) -> Result<Vec<Tensor>, EngineError> {
    net.graph().inputs().map(|value| zeros(value, batch)).collect()
}

fn zeros(value: &Value, batch: usize) -> Result<Tensor, EngineError> {
    let size: Vec<i64> = std::iter::once(batch as i64).chain(value.dims.iter().map(|d| i64::from(*d))).collect();
    let images = Tensor::f_zeros(&size, (Kind::Float, Device::Cpu));
    Ok(images.map_err(|e| NetError::Torch { at: "images".into(), message: e.to_string() })?)
}

/// Times a network on an engine with one batch of zeros. libtorch's number of threads is restored.
///
/// # Errors
/// When the engine refuses.
pub fn latency(
    engine: &dyn Engine,
    net: &Net,
    setting: Setting,
    clock: &dyn Clock,
    protocol: &Protocol,
) -> Result<Samples, EngineError> {
    enough_cores(setting.threads)?;
    let before = tch::get_num_threads();
    let timed = || {
        let (mut session, images) = (engine.prepare(net, setting)?, blank(net, setting.batch)?);
        measure(clock, protocol, || session.run(&images).map(drop))
    };
    let samples = timed();
    tch::set_num_threads(before);
    samples
}
