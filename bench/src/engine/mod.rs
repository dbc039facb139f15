//! Engines: what runs a network on this machine. One file each, one line in [`ENGINES`].

pub mod judge;
pub mod libtorch;
pub mod onnxruntime;
pub mod onnxruntime_int8;
pub mod torchscript;

use mobilenas_torch::{Net, NetError};
use tch::{Device, Kind, Tensor};

use crate::protocol::{Protocol, Samples, measure};
use mobilenas_host::clock::Clock;

/// All engines.
pub static ENGINES: &[&dyn Engine] = &[
    &libtorch::Libtorch,
    &libtorch::Plain,
    &torchscript::TorchScript,
    &onnxruntime::OnnxRuntime,
    &onnxruntime_int8::OnnxRuntimeInt8,
];

/// An engine by name.
pub fn engine(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().copied().find(|e| e.name() == name)
}

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such engine.
    #[error("engine {name:?}: unknown, expected one of {}", names())]
    Unknown {
        /// Its name.
        name: String,
    },
    /// libtorch, or the network itself.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The engine is not here, or refused.
    #[error("engine {engine}: {message}")]
    Engine {
        /// Its name.
        engine: &'static str,
        /// What it says, and what was expected.
        message: String,
    },
}

fn names() -> String {
    ENGINES.iter().map(|e| e.name()).collect::<Vec<_>>().join(", ")
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

    /// The version of what runs the networks.
    fn version(&self) -> String;

    /// The precision of its layers' arithmetic, for records.
    fn precision(&self) -> &'static str {
        "float32"
    }

    /// Whether maps between operations lie with their channels last in memory: so a block that is timed alone is given
    /// its map as the block before would leave it.
    fn channels_last(&self) -> bool {
        true
    }

    /// Makes a network ready to run. `net` keeps its weights; the session has what it needs of them.
    ///
    /// # Errors
    /// When the engine is not here, or refuses the network.
    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError>;
}

/// A network that is ready to run.
pub trait Session {
    /// Runs one batch `[B, C, H, W]` to logits `[B, classes]`.
    ///
    /// # Errors
    /// When the engine refuses.
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError>;

    /// The most bytes that the engine's allocator held at once while one batch ran, beyond what it held before; `None` if the
    /// engine does not say.
    ///
    /// # Errors
    /// When the engine refuses.
    fn peak_bytes(&mut self, _images: &Tensor) -> Result<Option<u64>, EngineError> {
        Ok(None)
    }

    /// What the engine chose for this network while preparing it, as place and choice; kept with the record.
    fn choices(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The most bytes of tensors that libtorch held at once on this thread while something ran.
fn watched(run: impl FnOnce() -> Result<Tensor, EngineError>) -> Result<Option<u64>, EngineError> {
    let watch = mobilenas_native::AllocationWatch::begin();
    let _logits = run()?;
    Ok(Some(watch.peak()))
}

/// One batch of images of zeros, as the network takes them.
///
/// # Errors
/// When libtorch refuses.
pub fn blank(net: &Net, batch: usize) -> Result<Tensor, EngineError> {
    let dims = net.graph().input().dims.iter().map(|d| i64::from(*d));
    let size: Vec<i64> = std::iter::once(batch as i64).chain(dims).collect();
    let images = Tensor::f_zeros(&size, (Kind::Float, Device::Cpu));
    Ok(images.map_err(|e| NetError::Torch { at: "images".into(), message: e.to_string() })?)
}

/// Times a network on an engine, on one batch of images of zeros. libtorch's number of threads is restored.
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
    let before = tch::get_num_threads();
    let timed = || {
        let (mut session, images) = (engine.prepare(net, setting)?, blank(net, setting.batch)?);
        measure(clock, protocol, || session.run(&images).map(drop))
    };
    let samples = timed();
    tch::set_num_threads(before);
    samples
}
