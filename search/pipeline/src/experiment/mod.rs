//! Step one of a search: the config becomes a space, bounds that can be met, images, and an estimate of the time.

mod error;
pub mod estimate;
mod init;
pub mod loaders;
mod prepare;
mod spaces;
pub mod threads;

use std::path::PathBuf;

use mobilenas_bench::latency_table::Table;
use mobilenas_bench::process::InterleavedProcesses;
use mobilenas_bench::{LatencyProtocol, Protocol};
use mobilenas_data::dataset::{Split, Test};
use mobilenas_data::{DataLoader, TransformedDataset};
use mobilenas_host::Clock;
use mobilenas_record::run as record;
use mobilenas_space::ir::ShapeError;
use mobilenas_space::seed::{Purpose, number, rng};
use mobilenas_space::{Cost, CostCache, Genome, Space};
use mobilenas_task::Task;
use mobilenas_torch::{ParamStore, Values};
use mobilenas_train::supernet::Supernet;
use mobilenas_train::{TrainError, TrainerConfig};
use tch::Device;

use crate::bounds::Bounds;
use crate::config::{self, Config, SpaceEntry};
use crate::evaluator::EvaluatorConfig;
use crate::metric::{Stage, metric};

pub use error::ExperimentError;
pub use prepare::{checked, prepare, prepare_run, prepare_scoring};
pub use spaces::{Experiments, strategy_seed};

/// A config of one space, checked through: everything a run needs.
#[derive(Debug)]
pub struct Experiment {
    /// The config's file.
    pub file: PathBuf,
    /// Its values with their lines.
    pub lines: config::Node,
    /// The config, of this space by itself.
    pub config: Config,
    /// Where the space stands in the config.
    pub entry: SpaceEntry,
    /// Digest of the config; of a run that is resumed, of the config that it began with.
    pub digest: String,
    /// The space.
    pub space: Space,
    /// Bounds on cost.
    pub bounds: Bounds,
    /// A genome that meets them.
    pub anchor: Genome,
    /// Smallest and largest cost over the space.
    pub range: [Cost; 2],
    /// The training set.
    pub train: TransformedDataset,
    /// The test set.
    pub test: TransformedDataset,
    /// What weights are trained on and candidates are scored on.
    pub split: Split,
    /// What retrained winners are scored on.
    pub test_split: Test,
    /// What networks are trained and judged for.
    pub task: &'static dyn Task,
    /// Where it is trained and scored.
    pub device: Device,
    /// What was left out of the dataset, in words.
    pub notes: Vec<String>,
    /// The table that latencies come from, if they do; it serves the space.
    pub table: Option<Table>,
}

/// Seed of trainings from scratch, from a config's: another stream than the supernet's, the same for all networks.
pub fn retrain_seed(seed: u64) -> u64 {
    number(seed, Purpose::Weights, 1)
}

/// Knobs that have a choice, with a genome's values.
pub fn knobs_in_words(space: &Space, genome: &Genome) -> String {
    let values = space.values(genome);
    let free = space.knobs().iter().filter(|k| k.choices.len() > 1);
    free.map(|k| format!("{} {}", k.name, values[&k.name])).collect::<Vec<_>>().join(", ")
}

/// Smallest (-1) or largest (1) params and MACs, each by itself, from the smallest or largest genome on, one knob at a
/// time while that goes further.
fn extreme(space: &Space, coster: &mut CostCache, sign: i64) -> Result<Cost, ShapeError> {
    let begin = if sign < 0 { space.smallest() } else { space.largest() };
    let mut best = space.cost(&begin, coster)?;
    for of in [|c: &Cost| c.params, |c: &Cost| c.macs] {
        let mut at = begin.clone();
        loop {
            let (mut next, mut value) = (None, of(&space.cost(&at, coster)?));
            for g in space.domain().neighbours(&at) {
                let v = of(&space.cost(&g, coster)?);
                if (v as i64 - value as i64) * sign > 0 {
                    (next, value) = (Some(g), v);
                }
            }
            match next {
                Some(g) => at = g,
                None => break,
            }
        }
        let end = space.cost(&at, coster)?;
        let further = |a: u64, b: u64| if sign < 0 { a.min(b) } else { a.max(b) };
        best.params = further(best.params, end.params);
        best.macs = further(best.macs, end.macs);
    }
    Ok(best)
}

impl Experiment {
    /// Training images that recalibrate batch norms: a fixed, seeded list.
    pub fn calibration(&self) -> Vec<usize> {
        use rand::seq::SliceRandom as _;
        let mut all = self.split.train.clone();
        all.shuffle(&mut rng(self.config.seed, Purpose::Recalibrate, 0, 0));
        all.truncate(self.config.scoring.recalibrate);
        all
    }

    /// Whether an objective is one of int8 files.
    pub fn quantizes(&self) -> bool {
        let of_int8 = |name: &str| metric(name).is_some_and(|m| m.info().stage == Stage::Quantized);
        self.config.search.objectives.iter().any(|o| of_int8(&o.metric))
    }

    /// Constants of the score.
    pub fn constants(&self) -> record::Mes {
        let m = &self.config.mes;
        record::Mes {
            score: m.score,
            unit_params: m.unit_params,
            alpha_params: m.alpha_params,
            alpha_latency: m.alpha_latency,
            reference_units: m.reference_units,
        }
    }

    /// What candidates are scored with, beside the supernet.
    pub fn evaluator_config<'a>(
        &'a self,
        calibration: &'a [usize],
        clock: &'a dyn Clock,
        unit_ms: f64,
    ) -> EvaluatorConfig<'a> {
        EvaluatorConfig {
            task: self.task,
            images: &self.train,
            validation: &self.split.search_val,
            validation_images: self.config.scoring.images.unwrap_or(usize::MAX),
            calibration,
            statistics: self.config.scoring.statistics,
            batch: self.config.scoring.batch,
            threads: self.config.scoring_threads() as usize,
            protocol: self.latency_protocol(),
            table: self.table.as_ref(),
            clock,
            constants: self.constants(),
            unit_ms,
            blocks: None,
            seed: self.config.seed,
        }
    }

    /// How networks are timed.
    pub fn latency_protocol(&self) -> LatencyProtocol {
        let l = &self.config.latency;
        let ms = std::time::Duration::from_millis;
        let protocol = Protocol {
            warmup: ms(l.warmup_ms),
            min_samples: l.min_samples,
            max_samples: l.max_samples,
            max_time: ms(l.max_ms),
        };
        let interleaved = InterleavedProcesses { processes: l.processes, rounds: l.rounds, seed: self.config.seed };
        let interleaved = (l.processes > 0).then_some(interleaved);
        LatencyProtocol { protocol, batch: l.batch, threads: l.threads, engine: l.engine.clone(), interleaved }
    }

    /// Checks before any training that some network meets the bound on latency: times the smallest ones quickly, and the
    /// fastest of them by the config's protocol.
    ///
    /// # Errors
    /// The nearest miss, when no network meets the bound.
    pub fn check_latency(&self, clock: &dyn Clock) -> Result<(), ExperimentError> {
        let here = self.config.latency.measured_on == config::MeasuredOn::Here;
        let Some(bound) = self.config.search.bounds.latency_ms.filter(|_| here) else { return Ok(()) };
        let (space, mut timing, mut coster) = (&self.space, self.latency_protocol(), CostCache::new());
        let ms = std::time::Duration::from_millis;
        timing.protocol = Protocol { warmup: ms(5), min_samples: 3, max_samples: 10, max_time: ms(30) };
        let mut fastest: Option<(f64, Genome)> = None;
        let near =
            [self.anchor.clone(), space.smallest()].into_iter().chain(space.domain().neighbours(&space.smallest()));
        for genome in near {
            if self.bounds.excess(space.cost(&genome, &mut coster)?) > 0.0 {
                continue;
            }
            let median = self.latency(&timing, &genome, clock)?;
            if fastest.as_ref().is_none_or(|(f, _)| median < *f) {
                fastest = Some((median, genome));
            }
        }
        let genome = fastest.map_or_else(|| self.anchor.clone(), |(_, g)| g);
        let median = self.latency(&self.latency_protocol(), &genome, clock)?;
        if median <= bound {
            return Ok(());
        }
        Err(ExperimentError::Infeasible {
            file: self.file.clone(),
            space: self.entry.in_words(),
            size: space.size(),
            missed: format!("latency_ms {median:.3} above the bound {bound}"),
            knobs: knobs_in_words(space, &genome),
        })
    }

    /// A genome's latency in ms: by the table, or as it is measured now.
    fn latency(&self, timing: &LatencyProtocol, genome: &Genome, clock: &dyn Clock) -> Result<f64, ExperimentError> {
        let graph = self.space.lower(genome)?;
        match &self.table {
            Some(table) => Ok(table.latency(&graph)?),
            None => Ok(timing.latency(&std::sync::Arc::new(graph), clock)?.median_ms),
        }
    }

    /// How the supernet is trained.
    pub fn supernet_trainer(&self) -> TrainerConfig {
        let c = &self.config;
        TrainerConfig { recipe: c.supernet.recipe.clone(), seed: c.seed, checkpoint_every: c.checkpoint_seconds }
    }

    /// The batches of the supernet's training.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn supernet_loader(&self) -> Result<DataLoader, TrainError> {
        let c = &self.config;
        loaders::data_loader(&self.train, &self.split.train, &c.data, &c.supernet.recipe, (c.threads, c.seed))
    }

    /// The batches of a winner's training: other ones than the supernet's, the same for all winners.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn retrain_loader(&self) -> Result<DataLoader, TrainError> {
        let (c, seed) = (&self.config, retrain_seed(self.config.seed));
        loaders::data_loader(&self.train, &self.split.train, &c.data, &c.retrain.recipe, (c.threads, seed))
    }

    /// The supernet under training by some settings with the batches of a loader.
    pub fn supernet<'a>(&'a self, settings: &'a config::SupernetConfig, loader: &DataLoader) -> Supernet<'a> {
        let recipe = &settings.recipe;
        let steps = (recipe.epochs + recipe.cooldown) * loader.steps(1.0).max(1) as f64;
        let supernet = Supernet::new(&self.space, settings, self.task, (self.config.seed, steps.round() as u64));
        supernet.at_any_side(loader.config().sampler.scale.is_some())
    }

    /// A supernet's tensors, for those of a trained one to be filled in.
    ///
    /// # Errors
    /// When memory is short.
    pub fn supernet_store(&self) -> Result<ParamStore, TrainError> {
        self.store_of(Values::Zero)
    }

    fn store_of(&self, values: Values) -> Result<ParamStore, TrainError> {
        let supernet = Supernet::new(&self.space, &self.config.supernet, self.task, (self.config.seed, 1));
        supernet.store(values, self.device)
    }

    /// The supernet's tensors before its first step.
    ///
    /// # Errors
    /// When memory is short, or the network that it begins with does not fit.
    pub fn initial_supernet(&self) -> Result<ParamStore, ExperimentError> {
        let mut store = self.store_of(Values::Initial(number(self.config.seed, Purpose::Weights, 0)))?;
        if let Some(init) = &self.config.supernet.init {
            let key = match &self.entry.name {
                None => "supernet.init".to_string(),
                Some(_) => format!("{}.init", self.entry.at.join(".")),
            };
            init::inherit(&mut store, &self.space, (&key, init))?;
        }
        Ok(store)
    }
}
