//! Evaluating candidates: the task's metrics with batch-norm statistics of a subnet's own, and latency as deployed.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod error;
mod eval_pool;
mod images;
pub mod inherited;
mod pictures;
pub mod proxy;
mod quantized;
mod remote_latency;
pub mod settings;
mod subnet;

use std::sync::Arc;

use mobilenas_bench::engine::{Engine as _, libtorch::Libtorch};
use mobilenas_bench::latency_table::Table;
use mobilenas_bench::paired_latency::DigestedDesign;
use mobilenas_bench::{LatencyProtocol, PairedLatency};
use mobilenas_data::Target;
use mobilenas_data::TransformedDataset;
use mobilenas_data::dataset::{RawImage, SearchVal, Test};
use mobilenas_host::{Clock, Stop};
use mobilenas_record::run::{Latency, Mes};
use mobilenas_record::score;
use mobilenas_space::ir::Graph;
use mobilenas_task::Task;
use mobilenas_torch::{Net, ParamStore, device, weights};
use sha2::{Digest as _, Sha256};
use tch::{Kind, Tensor};

pub use error::EvalError;
pub use images::Scores;
pub use pictures::pictures;
pub use quantized::{Quantized, file_outputs, quantize};
pub use remote_latency::{RemoteLatencies, RemoteLatency};
pub use subnet::subnet;

use eval_pool::EvalPool;
use images::{EvalImages, calibrating};
use settings::{Proxy, Statistics};
use subnet::{bind, recalibrate};

/// What metrics may ask of a candidate.
pub trait Evaluator {
    /// Latency of the frozen network in ms.
    ///
    /// # Errors
    /// When the engine refuses, or a block is not in the table that latencies come from.
    fn latency(&mut self, graph: &Arc<Graph>) -> Result<f64, EvalError>;

    /// Mobile efficiency score of a parameter count and a latency in ms.
    fn mes(&self, params: f64, latency_ms: f64) -> f64;

    /// A zero-cost proxy of the untrained network.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn proxy(&mut self, proxy: Proxy, graph: &Arc<Graph>) -> Result<f64, EvalError>;

    /// The task's metrics on the search-validation split, with inherited weights.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    fn trained(&mut self, graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError>;

    /// Details of the latency measured last; taken out.
    fn take_latency(&mut self) -> Option<Latency>;

    /// The task's metrics of the network's int8 file on the same split, with the same weights.
    ///
    /// # Errors
    /// When ONNX Runtime is not here or refuses, or too many images are damaged.
    fn quantized(&mut self, graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError>;
}

/// The task's metrics of a trained network on the test split. Beside it only the judging of a written int8 file takes that
/// split.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn test_scores(
    net: &Net,
    images: &TransformedDataset,
    split: &Test,
    batch: usize,
    task: &dyn Task,
) -> Result<Scores, EvalError> {
    let pool = EvalPool::new(tch::get_num_threads() as usize)?;
    EvalImages::new(images, split.indices(), batch, net.device())?.scores(net, &pool, task)
}

/// The scores of a network on the images that candidates are scored on.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn validation_scores(
    net: &Net,
    images: &TransformedDataset,
    (split, limit, batch): (&SearchVal, Option<usize>, usize),
    task: &dyn Task,
) -> Result<Scores, EvalError> {
    let indices = split.indices();
    let scored = &indices[..indices.len().min(limit.unwrap_or(usize::MAX))];
    let pool = EvalPool::new(tch::get_num_threads() as usize)?;
    EvalImages::new(images, scored, batch, net.device())?.scores(net, &pool, task)
}

/// Everything that candidates are scored with.
pub struct SupernetEvaluator<'a> {
    supernet: ParamStore,
    task: &'static dyn Task,
    validation: EvalImages,
    calibration: EvalImages,
    pool: EvalPool,
    statistics: Statistics,
    protocol: LatencyProtocol,
    table: Option<&'a Table>,
    clock: &'a dyn Clock,
    constants: Mes,
    unit_ms: f64,
    blocks: Option<PairedLatency>,
    last_latency: Option<Latency>,
    /// Latencies that workers or a device measured, if they do.
    remote_latencies: Option<RemoteLatencies>,
    seed: u64,
}

/// What scoring a subnet came to: seconds by part, and the task's metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTimes {
    /// Taking slices of the supernet.
    pub bind: f64,
    /// Estimating the batch norms' statistics.
    pub recalibrate: f64,
    /// Running the search-validation images.
    pub evaluate: f64,
    /// The task's metrics on them.
    pub values: Vec<f64>,
}

impl ScoreTimes {
    /// All parts together.
    pub fn seconds(&self) -> f64 {
        self.bind + self.recalibrate + self.evaluate
    }
}

/// What a [`SupernetEvaluator`] is made of, beside the supernet.
pub struct EvaluatorConfig<'a> {
    /// The task.
    pub task: &'static dyn Task,
    /// The training set, which both lists of images are cut from.
    pub images: &'a TransformedDataset,
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
    pub protocol: LatencyProtocol,
    /// The table that latencies come from instead, if they do.
    pub table: Option<&'a Table>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Constants of the score.
    pub constants: Mes,
    /// One unit of latency in ms.
    pub unit_ms: f64,
    /// Where blocks of candidates are timed in fresh processes, if they are.
    pub blocks: Option<PairedLatency>,
    /// What the fresh weights of proxies derive from.
    pub seed: u64,
}

impl<'a> SupernetEvaluator<'a> {
    /// Prepares the images.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(supernet: ParamStore, b: EvaluatorConfig<'a>) -> Result<SupernetEvaluator<'a>, EvalError> {
        let indices = b.validation.indices();
        let indices = &indices[..indices.len().min(b.validation_images)];
        let device = supernet.device();
        Ok(SupernetEvaluator {
            supernet,
            task: b.task,
            validation: EvalImages::new(b.images, indices, b.batch, device)?,
            calibration: calibrating(b.images, b.calibration, device)?,
            pool: EvalPool::new(b.threads)?,
            statistics: b.statistics,
            protocol: b.protocol,
            table: b.table,
            clock: b.clock,
            constants: b.constants,
            unit_ms: b.unit_ms,
            blocks: b.blocks,
            last_latency: None,
            remote_latencies: None,
            seed: b.seed,
        })
    }

    /// Digests of the supernet's weights and of the protocol, by which scores are kept for other runs. The protocol is all
    /// that a score depends on beside weights and graph: images as they stand in their files, how they are brought to a
    /// network, batches, the seed of fresh weights, and what computes.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn digests(&self, threads: u32) -> Result<[String; 2], EvalError> {
        let mut learnt = Sha256::new();
        for (name, entry) in self.supernet.entries() {
            let t = entry.tensor.detach().f_contiguous()?;
            learnt.update(format!("{name} {:?} {:?}\n", t.size(), t.kind()));
            let t = t.f_view([-1]).and_then(|t| t.f_to_kind(Kind::Float))?;
            let values = Vec::<f32>::try_from(&t)?;
            values.iter().for_each(|v| learnt.update(v.to_le_bytes()));
        }
        let host = mobilenas_bench::Host::read();
        let own = self.calibration.images.words();
        let how = (env!("CARGO_PKG_VERSION"), WAYS, Libtorch.version(), host.machine.cpu, threads, self.seed);
        let where_from = (self.supernet.device(), self.statistics, self.calibration.images.side);
        let mut protocol = Sha256::new();
        protocol.update(format!("{how:?} {own:?} {where_from:?}"));
        for list in [&self.calibration, &self.validation] {
            protocol.update(format!("{} {}\n", list.indices.len(), list.batch));
            let data = &list.images.data;
            for &i in &list.indices {
                match &data.targets[i] {
                    Target::Class(class) => protocol.update(class.to_le_bytes()),
                    Target::Dense(label) => {
                        protocol.update(format!("{:?}", label.entry.objects));
                        let map = label.entry.map.as_ref().map(std::fs::read);
                        protocol.update(map.and_then(Result::ok).unwrap_or_default());
                    }
                }
                match data.images.read(i) {
                    Ok(RawImage::Pixels(p)) => protocol.update(&p.levels),
                    Ok(RawImage::File(bytes)) => protocol.update(&bytes),
                    Err(e) => protocol.update(e),
                }
            }
        }
        // 16 digits a digest: collisions are out of the question, and the files' names stay readable.
        let hex = |h: Sha256| h.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok([hex(learnt), hex(protocol)])
    }

    /// Scores a subnet: the task's metrics on the search-validation images, and the seconds it took.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn timed_scores(&mut self, graph: &Arc<Graph>) -> Result<ScoreTimes, EvalError> {
        let (clock, on) = (self.clock, self.supernet.device());
        let mut at = clock.now();
        let mut lap = || {
            device::wait(on);
            let now = clock.now();
            (now - std::mem::replace(&mut at, now)).as_secs_f64()
        };
        let net = bind(&self.supernet, graph.clone(), self.statistics)?;
        let bind = lap();
        recalibrate(&net, self.statistics, &mut self.calibration, &self.pool)?;
        let recalibrate = lap();
        let values = self.validation.scores(&net, &self.pool, self.task)?.values;
        Ok(ScoreTimes { bind, recalibrate, evaluate: lap(), values })
    }

    /// The supernet.
    pub fn supernet(&self) -> &ParamStore {
        &self.supernet
    }

    /// From now on latencies are those that workers or a device measured; `unit_ms` is one unit of latency there.
    pub fn measured_elsewhere(&mut self, unit_ms: f64) {
        self.unit_ms = unit_ms;
        self.remote_latencies = Some(RemoteLatencies::default());
    }

    /// Latencies that workers or a device measured, if they do.
    pub fn remote_latencies(&mut self) -> Option<&mut RemoteLatencies> {
        self.remote_latencies.as_mut()
    }

    /// Images that recalibrate, and images that are scored.
    pub fn images(&self) -> [usize; 2] {
        [self.calibration.indices.len(), self.validation.indices.len()]
    }

    /// All images at a side, as they are given to networks, and the labels of those that are scored.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn exported(&mut self, side: u32) -> Result<weights::Named, EvalError> {
        let mut all = weights::Named::new();
        for (name, list) in [("calibration", &mut self.calibration), ("validation", &mut self.validation)] {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            list.each(side, |x, targets| {
                images.push(x.shallow_clone());
                labels.extend(targets.labels().map(Tensor::shallow_clone));
                Ok(())
            })?;
            let join = |parts: &[Tensor]| Tensor::f_cat(parts, 0).map_err(EvalError::from);
            all.insert(name.to_string(), join(&images)?);
            all.insert(format!("{name}_labels"), join(&labels)?);
        }
        Ok(all)
    }

    /// Times a block of candidates ahead, where they are timed in blocks. False if the run was asked to stop.
    pub fn time_ahead(&mut self, block: &[DigestedDesign], stop: &Stop) -> bool {
        let Some(blocks) = &mut self.blocks else { return true };
        let new: Vec<DigestedDesign> =
            block.iter().filter(|(digest, _)| blocks.get(digest).is_none()).cloned().collect();
        new.is_empty() || blocks.time(&new, self.clock, stop)
    }

    /// Seconds that were spent on a network ahead of its scoring.
    pub fn seconds_ahead(&self, digest: &str) -> f64 {
        let elsewhere = self.remote_latencies.as_ref().map(|all| all.seconds(digest));
        let block = self.blocks.as_ref().and_then(|b| b.get(digest)).map(|t| t.seconds);
        elsewhere.or(block).unwrap_or(0.0)
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
        self.blocks.as_mut().and_then(PairedLatency::trouble)
    }
}

/// By which of the program's ways of computing a subnet scores are made; raised when one changes.
const WAYS: u32 = 3;

impl Evaluator for SupernetEvaluator<'_> {
    fn latency(&mut self, graph: &Arc<Graph>) -> Result<f64, EvalError> {
        if let Some(table) = self.table {
            return Ok(table.latency(graph)?);
        }
        let latency = match (&self.remote_latencies, &self.blocks) {
            (Some(elsewhere), _) => elsewhere.get(&graph.digest()).map_err(EvalError::Latency)?,
            (None, Some(blocks)) => {
                let known = blocks.get(&graph.digest()).map(|t| t.latency.clone());
                known.unwrap_or_else(|| Err("it was not timed".to_string())).map_err(EvalError::Latency)?
            }
            (None, None) => self.protocol.latency(graph, self.clock)?,
        };
        let median = latency.median_ms;
        self.last_latency = Some(latency);
        Ok(median)
    }

    fn take_latency(&mut self) -> Option<Latency> {
        self.last_latency.take()
    }

    fn mes(&self, params: f64, latency_ms: f64) -> f64 {
        score::mes(&self.constants, params, latency_ms, self.unit_ms).unwrap_or(f64::NAN)
    }

    fn proxy(&mut self, proxy: Proxy, graph: &Arc<Graph>) -> Result<f64, EvalError> {
        let (images, targets) = self.calibration.first(graph.input().dims[1], proxy::IMAGES)?;
        match proxy {
            Proxy::Synflow => proxy::synflow(graph, self.seed),
            Proxy::Nwot => proxy::nwot(graph, &images, self.seed),
            Proxy::GradNorm => proxy::grad_norm(graph, &images, (self.task, &targets), self.seed),
        }
    }

    fn trained(&mut self, graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError> {
        Ok(self.timed_scores(graph)?.values)
    }

    fn quantized(&mut self, graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError> {
        let net = bind(&self.supernet, graph.clone(), self.statistics)?;
        recalibrate(&net, self.statistics, &mut self.calibration, &self.pool)?;
        let file = quantized::int8_file(&net, &mut self.calibration)?;
        Ok(quantized::int8_scores(&file, &net, &mut self.validation, self.task)?.values)
    }
}
