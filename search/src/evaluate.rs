//! Scoring: a subnet's accuracy with statistics of its own, and its latency as it is deployed.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_bench::engine::{self, Setting};
use mobilenas_bench::{Clock, Protocol};
use mobilenas_reports::record::{self, Latency};
use mobilenas_reports::score;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Apart, Mode, Names, Net, Owned, Shared, Store};
use tch::{Device, Kind, Tensor};

use crate::config::{Proxy, Statistics};
use crate::data::{SearchVal, Test};
use crate::latency_table::Table;
use crate::metric::Lab;
use crate::proxy;
use crate::train::batches::{Batch, View};
use crate::train::{TrainError, resized};

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

/// Bytes of images that are kept as tensors; more are read again each time they are needed.
const KEPT: usize = 1 << 30;

/// A list of images on a device: kept as tensors, once for each resolution, or read again each time.
struct List {
    view: View,
    indices: Vec<usize>,
    size: usize,
    device: Device,
    kept: bool,
    native: Vec<Batch>,
    resized: HashMap<u32, Vec<Tensor>>,
}

impl List {
    fn new(view: &View, indices: &[usize], size: usize, device: Device) -> Result<List, TrainError> {
        let (c, h, w) = view.shape(None);
        // Those of one resolution beside the native ones; others are rare, and smaller.
        let kept = 2 * 4 * c * h * w * indices.len() <= KEPT;
        let moved = |batch: Result<Batch, TrainError>| batch?.to(device);
        let native = if kept { view.batches(indices, size).map(moved).collect::<Result<_, _>>()? } else { Vec::new() };
        let (view, indices) = (view.clone(), indices.to_vec());
        Ok(List { view, indices, size, device, kept, native, resized: HashMap::new() })
    }

    /// The first images, at a side, and their labels.
    fn first(&self, side: u32, n: usize) -> Result<(Tensor, Tensor), TrainError> {
        let few = &self.indices[..self.indices.len().min(n)];
        let batch = self
            .view
            .batches(few, n)
            .next()
            .ok_or_else(|| TrainError::Torch("no images to recalibrate with".into()))??;
        Ok((resized(&batch.images, side)?, batch.labels))
    }

    /// Gives each batch's images, at a side, and its labels to a reader.
    fn each(
        &mut self,
        side: u32,
        mut read: impl FnMut(&Tensor, &Tensor) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        if !self.kept {
            for batch in self.view.batches(&self.indices, self.size) {
                let batch = batch?.to(self.device)?;
                read(&resized(&batch.images, side)?, &batch.labels)?;
            }
            return Ok(());
        }
        if !self.resized.contains_key(&side) {
            let images = self.native.iter().map(|b| resized(&b.images, side)).collect::<Result<_, _>>()?;
            self.resized.insert(side, images);
        }
        let images = self.resized.get(&side).map_or(&[][..], Vec::as_slice);
        images.iter().zip(&self.native).try_for_each(|(x, b)| read(x, &b.labels))
    }

    /// Estimates a network's batch-norm statistics afresh.
    fn recalibrate(&mut self, net: &Net) -> Result<(), TrainError> {
        let mut images = Vec::new();
        self.each(net.graph().input().dims[1], |x, _| {
            images.push(x.shallow_clone());
            Ok(())
        })?;
        Ok(net.recalibrate(images.iter())?)
    }

    /// Share of images whose largest logit is their label's, in percent.
    fn top1(&mut self, net: &Net) -> Result<f64, TrainError> {
        let _guard = tch::no_grad_guard();
        let (mut right, mut all) = (0i64, 0i64);
        self.each(net.graph().input().dims[1], |images, labels| {
            let hits = net.forward(images, Mode::Eval)?.f_argmax(-1, false).and_then(|p| p.f_eq_tensor(labels));
            let hits = hits.and_then(|h| h.f_sum(Kind::Int64)).map_err(TrainError::torch)?;
            right += i64::try_from(hits).map_err(TrainError::torch)?;
            all += labels.size()[0];
            Ok(())
        })?;
        Ok(100.0 * right as f64 / all.max(1) as f64)
    }
}

/// Top-1 of a trained network on the test split, in percent. Beside it only the judging of a written int8 file takes that split.
///
/// # Errors
/// When libtorch refuses, or too many images are damaged.
pub fn test_top1(net: &Net, view: &View, split: &Test, size: usize) -> Result<f64, TrainError> {
    List::new(view, split.indices(), size, net.device())?.top1(net)
}

/// Everything that candidates are scored with.
pub struct Scorer<'a> {
    supernet: Store,
    validation: List,
    calibration: List,
    statistics: Statistics,
    timing: Timing,
    table: Option<&'a Table>,
    clock: &'a dyn Clock,
    constants: record::Mes,
    unit_ms: f64,
    last_latency: Option<Latency>,
    seed: u64,
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
    bind(supernet, graph, statistics, &mut calibrating(view, calibration, supernet.device())?)
}

fn bind(supernet: &Store, graph: Arc<Graph>, statistics: Statistics, images: &mut List) -> Result<Net, TrainError> {
    if statistics == Statistics::Trained {
        return Ok(Net::bind(graph, &Apart(supernet))?);
    }
    let net = Net::bind(graph, &Shared(supernet))?;
    images.recalibrate(&net)?;
    Ok(net)
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
            statistics: b.statistics,
            timing: b.timing,
            table: b.table,
            clock: b.clock,
            constants: b.constants,
            unit_ms: b.unit_ms,
            last_latency: None,
            seed: b.seed,
        })
    }

    /// Details of the latency measured last; taken out.
    pub fn take_latency(&mut self) -> Option<Latency> {
        self.last_latency.take()
    }
}

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
        let latency = self.timing.latency(graph, self.clock)?;
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
        let net = bind(&self.supernet, graph.clone(), self.statistics, &mut self.calibration)?;
        self.validation.top1(&net)
    }
}
