//! Training of a supernet, by one of three rules.
//!
//! - `sandwich` (BigNAS, Yu et al., 2020): each step trains the largest subnet on the labels, and the smallest and some random
//!   ones on the largest one's predictions.
//! - `uniform` (as AutoFormer, Chen et al., 2021): each step trains one random subnet on the labels.
//! - `progressive` (after Once-for-All, Cai et al., 2020): the sandwich, over knobs that open one after another; a knob that
//!   is still shut stays at its largest choice.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_space::ir::{Graph, Regularization, regularize};
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_space::{Genome, Space, widths};
use mobilenas_task::{Batch, Distillation, Meter, Outputs, Targets, Task};
use mobilenas_torch::{Mode, Names, Net, ParamStore, Params, PerWidthNorm, ProcessGroup, Shared, Values};
use tch::{Device, Kind};

use crate::collective::Collective;
use crate::passes::{Pass, Passes};
use crate::recipe::Precision;
use crate::settings::{BatchNorms, SubnetLoss, SupernetConfig, SupernetRule};
use crate::trainer::{StepAt, StepMetrics, TrainStep};
use crate::{TrainError, resized};

/// A supernet under training.
#[derive(Debug)]
pub struct Supernet<'a> {
    space: &'a Space,
    config: &'a SupernetConfig,
    task: &'static dyn Task,
    seed: u64,
    /// Steps in all, which the phases of a progressive training share.
    steps: u64,
    /// Whether a step's networks run at the side of its images, whatever their own resolution.
    any_side: bool,
    /// The ranks over whose batches batch norms are trained, if over more than this process's.
    sync: Option<Arc<ProcessGroup>>,
    graphs: HashMap<(Genome, Option<u32>), Arc<Graph>>,
    passes: Passes,
}

/// The most graphs remembered: a space may have more genomes than memory has room.
const REMEMBERED: usize = 4096;

impl<'a> Supernet<'a> {
    /// A supernet over a space, trained as its config says for so many steps.
    pub fn new(
        space: &'a Space,
        config: &'a SupernetConfig,
        task: &'static dyn Task,
        (seed, steps): (u64, u64),
    ) -> Supernet<'a> {
        Supernet {
            space,
            config,
            task,
            seed,
            steps: steps.max(1),
            any_side: false,
            sync: None,
            graphs: HashMap::new(),
            passes: Passes::default(),
        }
    }

    /// Runs the networks of a step at the side of its images, for samplers whose steps have several.
    pub fn at_any_side(mut self, any_side: bool) -> Supernet<'a> {
        self.any_side = any_side;
        self
    }

    /// Trains with the processes of a collective: batch norms over the batches of all, if the recipe says so.
    pub fn among(mut self, collective: &dyn Collective) -> Supernet<'a> {
        self.sync = collective.group().filter(|_| self.config.recipe.sync_batch_norms).cloned();
        self
    }

    /// The side that all networks of a batch run at, if it is not their own.
    fn side(&self, batch: &Batch) -> Option<u32> {
        self.any_side.then(|| batch.side())
    }

    /// The shared tensors.
    ///
    /// # Errors
    /// When a genome makes no network, or memory is short.
    pub fn store(&self, values: Values, device: Device) -> Result<ParamStore, TrainError> {
        let largest = self.space.lower(&self.space.largest())?;
        Ok(match self.config.batch_norms {
            BatchNorms::Shared => ParamStore::with(&largest, Names::Supernet, values, device)?,
            BatchNorms::PerWidth => {
                let widths = widths(self.space, &mut rng(self.seed, Purpose::Subnets, u64::MAX, 0))?;
                ParamStore::per_width(&largest, &widths, values, device)?
            }
        })
    }

    /// The networks of a step, the teacher first.
    pub fn genomes(&self, step: u64) -> Vec<Genome> {
        let sample = |slot: u32| self.space.sample(&mut rng(self.seed, Purpose::Subnets, step, slot.into()));
        let random = (0..self.config.random_subnets).map(sample);
        let largest = self.space.largest();
        match self.config.rule {
            SupernetRule::Uniform => vec![sample(0)],
            SupernetRule::Sandwich => [largest, self.space.smallest()].into_iter().chain(random).collect(),
            SupernetRule::Progressive => {
                let shut = self.shut(step);
                if shut.len() == self.space.knobs().len() {
                    return vec![largest];
                }
                let close = |g: Genome| shut.iter().fold(g, |g, knob| self.space.domain().with(&g, *knob, &largest));
                let rest: Vec<Genome> = [self.space.smallest()].into_iter().chain(random).map(close).collect();
                [largest.clone()].into_iter().chain(rest).collect()
            }
        }
    }

    /// Knobs that are still shut at a step: none in the last phase, all in the first.
    fn shut(&self, step: u64) -> Vec<usize> {
        let kinds = &self.config.progressive_order;
        let phases = kinds.len() as u64 + 2;
        let phase = (step * phases / self.steps).min(phases - 1);
        let open = |name: &str| {
            let kind = name.rsplit('.').next().unwrap_or(name);
            kinds.iter().position(|k| k == kind).map_or(phase + 1 == phases, |i| (i as u64) < phase)
        };
        let knobs = self.space.knobs().iter().enumerate();
        knobs.filter(|(_, k)| !open(&k.name)).map(|(i, _)| i).collect()
    }

    /// The graph that a genome is trained as: the largest one drops what the recipe says, the others nothing.
    fn graph(&mut self, genome: &Genome, side: Option<u32>) -> Result<Arc<Graph>, TrainError> {
        let key = (genome.clone(), side);
        if let Some(g) = self.graphs.get(&key) {
            return Ok(g.clone());
        }
        if self.graphs.len() >= REMEMBERED {
            self.graphs.clear();
        }
        let graph = self.dropping(genome, side)?;
        self.graphs.insert(key, graph.clone());
        Ok(graph)
    }

    fn dropping(&self, genome: &Genome, side: Option<u32>) -> Result<Arc<Graph>, TrainError> {
        let how = match *genome == self.space.largest() {
            true => self.config.recipe.regularize(),
            false => Regularization::NONE,
        };
        let graph = match side {
            Some(side) => self.space.lower_at(genome, side)?,
            None => self.space.lower(genome)?,
        };
        Ok(Arc::new(regularize(&graph, &how)))
    }

    /// For each network trained so far: the side asked for, and its own.
    #[cfg(test)]
    pub(super) fn sides(&self) -> impl Iterator<Item = (Option<u32>, u32)> {
        self.graphs.iter().map(|((_, side), graph)| (*side, graph.input().dims[1]))
    }

    fn net(&self, graph: Arc<Graph>, store: &ParamStore) -> Result<Net, TrainError> {
        let params: &dyn Params = match self.config.batch_norms {
            BatchNorms::Shared => &Shared(store),
            BatchNorms::PerWidth => &PerWidthNorm(store),
        };
        let net = Net::bind(graph, params)?.with_sync_batch_norms(self.sync.clone());
        Ok(match self.config.recipe.precision {
            Precision::Float32 => net,
            Precision::Bfloat16 => net.with_autocast(Kind::BFloat16),
        })
    }

    /// Shared batch norms have no statistics worth keeping; those of a width have.
    fn mode(&self) -> Mode {
        match self.config.batch_norms {
            BatchNorms::Shared => Mode::Train,
            BatchNorms::PerWidth => Mode::TrainTracking,
        }
    }

    fn pass(&mut self, genome: &Genome, store: &ParamStore, batch: &Batch) -> Result<Pass, TrainError> {
        let graph = self.graph(genome, self.side(batch))?;
        let images = resized(&batch.images, graph.input().dims[1])?;
        Ok(Pass { net: self.net(graph, store)?, images, targets: batch.targets.shallow_clone() })
    }

    /// Whether the networks of a step may run at once: not on a GPU, which is full with one; not if two of them may draw
    /// random numbers, or update the statistics of a width that they share; not if their batch norms wait for those of other
    /// ranks, which would run in another order there.
    fn side_by_side(&self, store: &ParamStore, genomes: &[Genome]) -> bool {
        let largest = self.space.largest();
        let several_drop = self.config.recipe.regularize() != Regularization::NONE
            && genomes.iter().skip(1).any(|genome| *genome == largest);
        store.device() == Device::Cpu
            && self.config.batch_norms == BatchNorms::Shared
            && self.sync.is_none()
            && !several_drop
    }
}

impl TrainStep for Supernet<'_> {
    fn task(&self) -> &'static dyn Task {
        self.task
    }

    fn step(
        &mut self,
        store: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError> {
        let (task, smoothing, distill) = (self.task, self.config.recipe.label_smoothing, self.config.distill_subnets);
        let genomes = self.genomes(at.batch);
        let passes = genomes.iter().map(|genome| self.pass(genome, store, batch)).collect::<Result<Vec<_>, _>>()?;
        let loss = |outputs: &Outputs, targets: &Targets, teacher: Option<&Outputs>| {
            Ok(match (teacher, distill) {
                (None, _) | (_, SubnetLoss::Labels) => task.loss(outputs, targets, smoothing)?,
                (Some(t), SubnetLoss::Kl) => task.distill(outputs, t, Distillation::Soft { temperature: 1.0 })?,
                (Some(t), SubnetLoss::Alpha) => task.distill(outputs, t, Distillation::Alpha)?,
            })
        };
        let (mode, side_by_side) = (self.mode(), self.side_by_side(store, &genomes));
        let first = self.passes.run(store, passes, mode, side_by_side, at.share, &loss)?;
        meter.update(&first.outputs, &batch.targets)?;
        Ok(StepMetrics { loss: first.loss })
    }

    fn first_not_finite(&self, store: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError> {
        let graph = self.dropping(&self.space.largest(), self.side(batch))?;
        let images = resized(&batch.images, graph.input().dims[1])?;
        Ok(self.net(graph, store)?.first_not_finite(&images, Mode::Train)?)
    }
}
