//! Scoring: a subnet's accuracy with statistics of its own, and its latency as it is deployed.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_bench::{Clock, Protocol, libtorch};
use mobilenas_reports::record::{self, Latency};
use mobilenas_reports::score;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Mode, Names, Net, Owned, Shared, Store};
use tch::{Device, Kind, Tensor};

use crate::data::{Labelled, SearchVal, Test};
use crate::metric::Lab;
use crate::train::augment::Augment;
use crate::train::batches::{Batch, Norm, batch};
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
}

impl Timing {
    /// Times a network as it is deployed. Its weights do not matter, so it gets fresh ones.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn latency(&self, graph: &Arc<Graph>, clock: &dyn Clock) -> Result<Latency, TrainError> {
        let store = Store::init(graph, Names::Own, 0, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let samples = libtorch::latency(&net, self.batch, self.threads, clock, &self.protocol)?;
        Ok(Latency {
            median_ms: samples.median(),
            p10_ms: samples.quantile(0.1),
            p90_ms: samples.quantile(0.9),
            samples: samples.0.len(),
        })
    }
}

/// Images kept as tensors, once for each resolution.
#[derive(Debug)]
struct Kept {
    native: Vec<Batch>,
    resized: HashMap<u32, Vec<Tensor>>,
}

impl Kept {
    fn new(data: &Labelled, indices: &[usize], norm: Norm, size: usize) -> Result<Kept, TrainError> {
        let cut = indices.chunks(size.max(1));
        let native = cut.map(|part| batch(data, part, norm, Augment::NONE, 0, 0)).collect::<Result<_, _>>()?;
        Ok(Kept { native, resized: HashMap::new() })
    }

    fn at(&mut self, side: u32) -> Result<&[Tensor], TrainError> {
        if !self.resized.contains_key(&side) {
            let images = self.native.iter().map(|b| resized(&b.images, side)).collect::<Result<_, _>>()?;
            self.resized.insert(side, images);
        }
        Ok(self.resized.get(&side).map_or(&[], Vec::as_slice))
    }
}

/// Share of images whose largest logit is their label's, in percent.
fn top1(net: &Net, images: &[Tensor], native: &[Batch]) -> Result<f64, TrainError> {
    let _guard = tch::no_grad_guard();
    let (mut right, mut all) = (0i64, 0i64);
    for (x, b) in images.iter().zip(native) {
        let hits = net.forward(x, Mode::Eval)?.f_argmax(-1, false).and_then(|p| p.f_eq_tensor(&b.labels));
        let hits = hits.and_then(|h| h.f_sum(Kind::Int64)).map_err(TrainError::torch)?;
        right += i64::try_from(hits).map_err(TrainError::torch)?;
        all += b.labels.size()[0];
    }
    Ok(100.0 * right as f64 / all.max(1) as f64)
}

/// Top-1 of a trained network on the test split, in percent. The only function that takes that split.
///
/// # Errors
/// When libtorch refuses.
pub fn test_top1(net: &Net, data: &Labelled, split: &Test, norm: Norm, size: usize) -> Result<f64, TrainError> {
    let mut kept = Kept::new(data, split.indices(), norm, size)?;
    let images = kept.at(net.graph().input().dims[1])?.iter().map(Tensor::shallow_clone).collect::<Vec<_>>();
    top1(net, &images, &kept.native)
}

/// Everything that candidates are scored with.
pub struct Scorer<'a> {
    supernet: Store,
    validation: Kept,
    calibration: Kept,
    timing: Timing,
    clock: &'a dyn Clock,
    constants: record::Mes,
    unit_ms: f64,
    last_latency: Option<Latency>,
}

/// A subnet on slices of the supernet, its batch norms recalibrated.
///
/// # Errors
/// When libtorch refuses.
pub fn subnet(
    supernet: &Store,
    graph: Arc<Graph>,
    data: &Labelled,
    calibration: &[usize],
    norm: Norm,
) -> Result<Net, TrainError> {
    let side = graph.input().dims[1];
    let net = Net::bind(graph, &Shared(supernet))?;
    net.recalibrate(calibrating(data, calibration, norm)?.at(side)?.iter())?;
    Ok(net)
}

/// The images of recalibration, in batches of one size, so that each weighs the same in the statistics.
fn calibrating(data: &Labelled, indices: &[usize], norm: Norm) -> Result<Kept, TrainError> {
    Kept::new(data, whole(indices, CALIBRATION_BATCH), norm, CALIBRATION_BATCH)
}

/// What a [`Scorer`] is made of, beside the supernet.
pub struct Bench<'a> {
    /// The training set, which both lists of images are cut from.
    pub data: &'a Labelled,
    /// Images that candidates are scored on.
    pub validation: &'a SearchVal,
    /// How many of them; all when larger.
    pub validation_images: usize,
    /// Images that recalibrate batch norms, a fixed list.
    pub calibration: &'a [usize],
    /// How pixels are normalised.
    pub norm: Norm,
    /// Images in a batch of scoring.
    pub batch: usize,
    /// How networks are timed.
    pub timing: Timing,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Constants of the score.
    pub constants: record::Mes,
    /// One unit of latency in ms.
    pub unit_ms: f64,
}

impl<'a> Scorer<'a> {
    /// Prepares the images.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(supernet: Store, b: Bench<'a>) -> Result<Scorer<'a>, TrainError> {
        let indices = b.validation.indices();
        let indices = &indices[..indices.len().min(b.validation_images)];
        Ok(Scorer {
            supernet,
            validation: Kept::new(b.data, indices, b.norm, b.batch)?,
            calibration: calibrating(b.data, b.calibration, b.norm)?,
            timing: b.timing,
            clock: b.clock,
            constants: b.constants,
            unit_ms: b.unit_ms,
            last_latency: None,
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
    fn latency(&mut self, graph: &Arc<Graph>) -> Result<Latency, TrainError> {
        let latency = self.timing.latency(graph, self.clock)?;
        self.last_latency = Some(latency.clone());
        Ok(latency)
    }

    fn mes(&self, params: f64, latency_ms: f64) -> f64 {
        score::mes(&self.constants, params, latency_ms, self.unit_ms).unwrap_or(f64::NAN)
    }

    fn top1(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError> {
        let side = graph.input().dims[1];
        let net = Net::bind(graph.clone(), &Shared(&self.supernet))?;
        net.recalibrate(self.calibration.at(side)?.iter())?;
        self.validation.at(side)?;
        let images = self.validation.resized.get(&side).map_or(&[][..], Vec::as_slice);
        top1(&net, images, &self.validation.native)
    }
}
