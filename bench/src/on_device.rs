//! Networks on another device: exported to ONNX, timed there in rounds beside the reference.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_device::{DeviceError, Network, Seen, Session};
use mobilenas_host::errln;
use mobilenas_host::write::write_whole;
use mobilenas_onnx::{Batch, Options};
use mobilenas_space::ir::Graph;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Names, Net, NetError, Owned, ParamStore, Values};
use tch::Device;
use tempfile::TempDir;

use crate::interleaved::{Interleaving, Series, interleave_by};

/// What can go wrong with networks on another device.
#[derive(Debug, thiserror::Error)]
pub enum OnDeviceError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A network that makes no file.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl OnDeviceError {
    /// Whether the user can mend it.
    pub fn is_input(&self) -> bool {
        match self {
            OnDeviceError::Device(e) => e.is_input(),
            OnDeviceError::Net(_) | OnDeviceError::Io { .. } => false,
        }
    }

    /// Whether it is about the network that was run, and the next one may do better.
    pub fn is_of_network(&self) -> bool {
        match self {
            OnDeviceError::Device(e) => e.is_of_network(),
            OnDeviceError::Net(_) => true,
            OnDeviceError::Io { .. } => false,
        }
    }
}

/// Writes a graph as it is deployed to an ONNX file, with fresh weights, on which latency does not depend.
///
/// # Errors
/// When the graph cannot be written, or the disk refuses.
pub fn export(graph: &Arc<Graph>, batch: Batch, path: &Path) -> Result<(), OnDeviceError> {
    let store = ParamStore::with(graph, Names::Standalone, Values::Quick, Device::Cpu)?;
    let net = Net::bind(graph.clone(), &Owned(&store))?.freeze()?;
    let bytes = to_onnx(&net, &Options { batch, ..Options::default() })?;
    write_whole(path, &bytes).map_err(|error| OnDeviceError::Io { path: path.to_path_buf(), error })
}

/// Says something.
pub type Say = Box<dyn Fn(&str)>;

/// Says what a device does: beside the progress of the phase at hand.
#[derive(Default)]
pub struct Voice(RefCell<Option<Say>>);

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voice")
    }
}

impl Voice {
    /// Says it.
    pub fn say(&self, text: &str) {
        match &*self.0.borrow() {
            Some(say) => say(text),
            None => errln!("{text}"),
        }
    }

    /// Takes what says it from now on.
    pub fn set(&self, say: Say) {
        *self.0.borrow_mut() = Some(say);
    }
}

/// A device that times networks.
#[derive(Debug)]
pub struct OnDevice<'a> {
    /// The device at work.
    pub session: Session<'a>,
    /// What it says.
    pub voice: &'a Voice,
    /// Images in a batch.
    pub batch: usize,
    /// Rounds.
    pub rounds: usize,
    /// What random orders derive from.
    pub seed: u64,
}

impl OnDevice<'_> {
    /// Times graphs in rounds beside a reference; `at` shows where it is.
    ///
    /// # Errors
    /// When a file cannot be written, the device or its program fails, or the user asks to stop.
    pub fn rounds(
        &mut self,
        graphs: &[Arc<Graph>],
        reference: &Arc<Graph>,
        references: usize,
        at: &dyn Fn(&str),
    ) -> Result<(Vec<Series>, Vec<f64>, Seen), OnDeviceError> {
        let io = |error| OnDeviceError::Io { path: std::env::temp_dir(), error };
        let dir = TempDir::with_prefix("mobilenas-device").map_err(io)?;
        let mut all = Vec::new();
        for (i, graph) in graphs.iter().chain([reference]).enumerate() {
            at(&format!("file {} of {}", i + 1, graphs.len() + 1));
            // A name that no other network has: what an earlier run left on the device is never taken for it.
            let name = format!("{i}-{}.onnx", &graph.digest()[..16.min(graph.digest().len())]);
            let file = dir.path().join(name);
            export(graph, Batch::Fixed(self.batch as u32), &file)?;
            all.push(self.session.network(&file, &graph.input().dims)?);
        }
        let rounds = self.rounds;
        let how = Interleaving { rounds, warm: 0, lead: 0, again: false, references };
        let mut random = rng(self.seed, Purpose::Timing, 3, 0);
        // Both closures need the device.
        let (session, networks) = (RefCell::new(&mut self.session), RefCell::new(all));
        let round = |i: usize| {
            at(&format!("round {} of {rounds}", i + 1));
            session.borrow_mut().settle()
        };
        let time = |i: usize| session.borrow_mut().time(&mut networks.borrow_mut()[i]);
        let (series, base) = interleave_by(how, graphs.len(), &mut random, round, time)?;
        let all: Vec<Network> = networks.into_inner();
        all.iter().for_each(|n| self.session.remove(n));
        Ok((series, base, self.session.take_seen()))
    }
}
