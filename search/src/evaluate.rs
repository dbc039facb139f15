//! Scoring: a subnet's accuracy with statistics of its own, and its latency as it is deployed.

mod crew;
pub mod inherited;
mod list;

use std::sync::Arc;

use mobilenas_bench::beside::Beside;
use mobilenas_bench::engine::{self, Engine as _, Setting, libtorch::Libtorch};
use mobilenas_bench::{Clock, Protocol};
use mobilenas_reports::record::{self, Latency};
use mobilenas_reports::score;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Apart, Names, Net, Owned, Shared, Store, weights};
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind, Tensor};

use crate::blocks::{Blocks, Candidate};
use crate::config::{Proxy, Statistics};
use crate::data::{Raw, SearchVal, Test};
use crate::device;
use crate::latency_table::Table;
use crate::metric::Lab;
use crate::proxy;
use crate::stop::Stop;
use crate::train::TrainError;
use crate::train::batches::View;
use crew::Crew;
use list::List;

/// How networks are timed.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Warm-up and repeats.
    pub protocol: Protocol,
    /// Images in a batch.
    pub batch: usize,
    /// Intra-op threads.
    pub threads: usize,
    /// Name of the engine.
    pub engine: String,
    /// How blocks of candidates are timed beside the reference in fresh processes, if they are.
    pub beside: Option<Beside>,
}

impl Timing {
    /// Times a network as it is deployed. Its weights do not matter, so it gets fresh ones.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn latency(&self, graph: &Arc<Graph>, clock: &dyn Clock) -> Result<Latency, TrainError> {
        let store = Store::init(graph, Names::Own, 0, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let setting = Setting { batch: self.batch, threads: self.threads };
        let engine = engine::engine(&self.engine)
            .ok_or_else(|| TrainError::Torch(format!("there is no engine {}", self.engine)))?;
        let samples = engine::latency(engine, &net, setting, clock, &self.protocol)?;
        Ok(Latency {
            median_ms: samples.median(),
            p10_ms: samples.quantile(0.1),
            p90_ms: samples.quantile(0.9),
            samples: samples.0.len(),
        })
    }
}

/// Top-1 of a trained network on the test split, in percent. Beside it only the judging of a written int8 file takes that split.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn test_top1(net: &Net, view: &View, split: &Test, size: usize) -> Result<f64, TrainError> {
    List::new(view, split.indices(), size, net.device())?.top1(net, &Crew::new(tch::get_num_threads() as usize)?)
}

/// Everything that candidates are scored with.
pub struct Scorer<'a> {
    supernet: Store,
    validation: List,
    calibration: List,
    crew: Crew,
    statistics: Statistics,
    timing: Timing,
    table: Option<&'a Table>,
    clock: &'a dyn Clock,
    constants: record::Mes,
    unit_ms: f64,
    blocks: Option<Blocks>,
    last_latency: Option<Latency>,
    seed: u64,
}

/// What scoring a subnet came to: seconds by part, and top-1 in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Taking slices of the supernet.
    pub bind: f64,
    /// Estimating the batch norms' statistics.
    pub recalibrate: f64,
    /// Running the search-validation images.
    pub evaluate: f64,
    /// Top-1 on them.
    pub top1: f64,
}

impl Spent {
    /// All parts together.
    pub fn seconds(&self) -> f64 {
        self.bind + self.recalibrate + self.evaluate
    }
}

/// A subnet on slices of the supernet, with batch-norm statistics of its own as scoring takes them.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn subnet(
    supernet: &Store,
    graph: Arc<Graph>,
    view: &View,
    (statistics, calibration): (Statistics, &[usize]),
) -> Result<Net, TrainError> {
    let net = bind(supernet, graph, statistics)?;
    let crew = Crew::new(tch::get_num_threads() as usize)?;
    recalibrate(&net, statistics, &mut calibrating(view, calibration, supernet.device())?, &crew)?;
    Ok(net)
}

fn bind(supernet: &Store, graph: Arc<Graph>, statistics: Statistics) -> Result<Net, TrainError> {
    Ok(match statistics {
        Statistics::Trained => Net::bind(graph, &Apart(supernet))?,
        Statistics::Recalibrated => Net::bind(graph, &Shared(supernet))?,
    })
}

/// Estimates the statistics of a subnet that has none of its own from training.
fn recalibrate(net: &Net, statistics: Statistics, images: &mut List, crew: &Crew) -> Result<(), TrainError> {
    match statistics {
        Statistics::Trained => Ok(()),
        Statistics::Recalibrated => images.recalibrate(net, crew),
    }
}

/// The images of recalibration, in batches of one size, so that each weighs the same in the statistics.
fn calibrating(view: &View, indices: &[usize], device: Device) -> Result<List, TrainError> {
    List::new(view, whole(indices, CALIBRATION_BATCH), CALIBRATION_BATCH, device)
}

/// What a [`Scorer`] is made of, beside the supernet.
pub struct Bench<'a> {
    /// The training set, which both lists of images are cut from.
    pub view: &'a View,
    /// Images that candidates are scored on.
    pub validation: &'a SearchVal,
    /// How many of them; all when larger.
    pub validation_images: usize,
    /// Images that recalibrate batch norms, a fixed list.
    pub calibration: &'a [usize],
    /// Where a candidate's batch-norm statistics come from.
    pub statistics: Statistics,
    /// Images in a batch of scoring.
    pub batch: usize,
    /// Threads that calibrate and score.
    pub threads: usize,
    /// How networks are timed.
    pub timing: Timing,
    /// The table that latencies come from instead, if they do.
    pub table: Option<&'a Table>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Constants of the score.
    pub constants: record::Mes,
    /// One unit of latency in ms.
    pub unit_ms: f64,
    /// Where blocks of candidates are timed in fresh processes, if they are.
    pub blocks: Option<Blocks>,
    /// What the fresh weights of proxies derive from.
    pub seed: u64,
}

impl<'a> Scorer<'a> {
    /// Prepares the images.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(supernet: Store, b: Bench<'a>) -> Result<Scorer<'a>, TrainError> {
        let indices = b.validation.indices();
        let indices = &indices[..indices.len().min(b.validation_images)];
        let device = supernet.device();
        Ok(Scorer {
            supernet,
            validation: List::new(b.view, indices, b.batch, device)?,
            calibration: calibrating(b.view, b.calibration, device)?,
            crew: Crew::new(b.threads)?,
            statistics: b.statistics,
            timing: b.timing,
            table: b.table,
            clock: b.clock,
            constants: b.constants,
            unit_ms: b.unit_ms,
            blocks: b.blocks,
            last_latency: None,
            seed: b.seed,
        })
    }

    /// Digests of the supernet's weights and of the protocol, by which scores are kept for other runs. The protocol is all
    /// that a score depends on beside weights and graph: images as they stand in their files, how they are brought to a
    /// network, batches, the seed of fresh weights, and what computes.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn digests(&self, threads: u32) -> Result<[String; 2], TrainError> {
        let mut learnt = Sha256::new();
        for (name, entry) in self.supernet.entries() {
            let t = entry.tensor.detach().f_contiguous().map_err(TrainError::torch)?;
            learnt.update(format!("{name} {:?} {:?}\n", t.size(), t.kind()));
            let t = t.f_view([-1]).and_then(|t| t.f_to_kind(Kind::Float)).map_err(TrainError::torch)?;
            let values = Vec::<f32>::try_from(&t).map_err(TrainError::torch)?;
            values.iter().for_each(|v| learnt.update(v.to_le_bytes()));
        }
        let host = mobilenas_bench::Host::read();
        let own = self.calibration.view.words();
        let how = (env!("CARGO_PKG_VERSION"), WAYS, Libtorch.version(), host.cpu, threads, self.seed);
        let where_from = (self.supernet.device(), self.statistics, self.calibration.view.side);
        let mut protocol = Sha256::new();
        protocol.update(format!("{how:?} {own:?} {where_from:?}"));
        for list in [&self.calibration, &self.validation] {
            protocol.update(format!("{} {}\n", list.indices.len(), list.size));
            let data = &list.view.data;
            for &i in &list.indices {
                protocol.update(data.labels[i].to_le_bytes());
                match data.images.read(i) {
                    Ok(Raw::Levels(p)) => protocol.update(&p.levels),
                    Ok(Raw::File(bytes)) => protocol.update(&bytes),
                    Err(e) => protocol.update(e),
                }
            }
        }
        // 16 digits a digest: collisions are out of the question, and the files' names stay readable.
        let hex = |h: Sha256| h.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok([hex(learnt), hex(protocol)])
    }

    /// Scores a subnet: its top-1 on the search-validation images, in percent, and the seconds it took.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn spent(&mut self, graph: &Arc<Graph>) -> Result<Spent, TrainError> {
        let (clock, on) = (self.clock, self.supernet.device());
        let mut at = clock.now();
        let mut lap = || {
            device::wait(on);
            let now = clock.now();
            (now - std::mem::replace(&mut at, now)).as_secs_f64()
        };
        let net = bind(&self.supernet, graph.clone(), self.statistics)?;
        let bind = lap();
        recalibrate(&net, self.statistics, &mut self.calibration, &self.crew)?;
        let recalibrate = lap();
        let top1 = self.validation.top1(&net, &self.crew)?;
        Ok(Spent { bind, recalibrate, evaluate: lap(), top1 })
    }

    /// Images that recalibrate, and images that are scored.
    pub fn images(&self) -> [usize; 2] {
        [self.calibration.indices.len(), self.validation.indices.len()]
    }

    /// All images at a side, as they are given to networks, and the labels of those that are scored.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn exported(&mut self, side: u32) -> Result<weights::Named, TrainError> {
        let mut all = weights::Named::new();
        for (name, list) in [("calibration", &mut self.calibration), ("validation", &mut self.validation)] {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            list.each(side, |x, y| {
                images.push(x.shallow_clone());
                labels.push(y.shallow_clone());
                Ok(())
            })?;
            let join = |parts: &[Tensor]| Tensor::f_cat(parts, 0).map_err(TrainError::torch);
            all.insert(name.to_string(), join(&images)?);
            all.insert(format!("{name}_labels"), join(&labels)?);
        }
        Ok(all)
    }

    /// Times a block of candidates ahead, where they are timed in blocks. False if the run was asked to stop.
    pub fn time_ahead(&mut self, block: &[Candidate], stop: &Stop) -> bool {
        let Some(blocks) = &mut self.blocks else { return true };
        let new: Vec<Candidate> = block.iter().filter(|(digest, _)| blocks.get(digest).is_none()).cloned().collect();
        new.is_empty() || blocks.time(&new, self.clock, stop)
    }

    /// Seconds that were spent on a network ahead of its scoring.
    pub fn seconds_ahead(&self, digest: &str) -> f64 {
        self.blocks.as_ref().and_then(|b| b.get(digest)).map_or(0.0, |t| t.seconds)
    }

    /// Whether a network's latency is one that was kept of another run.
    pub fn was_kept(&self, digest: &str) -> bool {
        self.blocks.as_ref().and_then(|b| b.get(digest)).is_some_and(|t| t.kept)
    }

    /// Keeps a network's latency for other runs, where it is one that may be.
    pub fn keep_ahead(&mut self, digest: &str) {
        if let Some(blocks) = &mut self.blocks {
            blocks.keep(digest);
        }
    }

    /// Why latencies are no longer kept for other runs, told once.
    pub fn trouble_ahead(&mut self) -> Option<String> {
        self.blocks.as_mut().and_then(Blocks::trouble)
    }

    /// Details of the latency measured last; taken out.
    pub fn take_latency(&mut self) -> Option<Latency> {
        self.last_latency.take()
    }
}

/// By which of the program's ways of computing a subnet scores are made; raised when one changes.
const WAYS: u32 = 3;

/// Images in a batch of recalibration.
const CALIBRATION_BATCH: usize = 256;

fn whole(indices: &[usize], size: usize) -> &[usize] {
    let n = if indices.len() > size { indices.len() / size * size } else { indices.len() };
    &indices[..n]
}

impl Lab for Scorer<'_> {
    fn latency(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError> {
        if let Some(table) = self.table {
            return table.latency(graph).map_err(|e| TrainError::Torch(e.to_string()));
        }
        let latency = match &self.blocks {
            Some(blocks) => {
                let known = blocks.get(&graph.digest()).map(|t| t.latency.clone());
                known
                    .unwrap_or_else(|| Err("it was in no block that was timed".to_string()))
                    .map_err(TrainError::Torch)?
            }
            None => self.timing.latency(graph, self.clock)?,
        };
        let median = latency.median_ms;
        self.last_latency = Some(latency);
        Ok(median)
    }

    fn mes(&self, params: f64, latency_ms: f64) -> f64 {
        score::mes(&self.constants, params, latency_ms, self.unit_ms).unwrap_or(f64::NAN)
    }

    fn proxy(&mut self, proxy: Proxy, graph: &Arc<Graph>) -> Result<f64, TrainError> {
        let (images, labels) = self.calibration.first(graph.input().dims[1], proxy::IMAGES)?;
        match proxy {
            Proxy::Synflow => proxy::synflow(graph, self.seed),
            Proxy::Nwot => proxy::nwot(graph, &images, self.seed),
            Proxy::GradNorm => proxy::grad_norm(graph, &images, &labels, self.seed),
        }
    }

    fn top1(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError> {
        Ok(self.spent(graph)?.top1)
    }
}
