//! One network, trained by a recipe and scored on the test split: the same trainer as a search's, without a search.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use mobilenas_bench::Host;
use mobilenas_host::write::write_whole;
use mobilenas_host::{Clock, Lock, Progress, Stop};
use mobilenas_space::fnv::text_digest;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Cost, Space, cost};
use mobilenas_task::Task;
use mobilenas_torch::weights::About;
use mobilenas_torch::{Names, Net, Owned, ParamStore, weights};
use serde::{Deserialize, Serialize};
use tch::Device;

use super::RunError;
use super::retraining::{named, test_metrics};
use crate::config::{self, TaskConfig, TrainConfig};
use crate::evaluator::test_scores;
use crate::experiment::ExperimentError;
use crate::experiment::loaders::{check_sides, data_loader, views};
use crate::folder::changed;
use crate::quantize::Sets;
use mobilenas_data::dataset::{self, Split, Splits, Test};
use mobilenas_data::loader::{DataLoader, TransformedDataset};
use mobilenas_space::seed::{Purpose, number};
use mobilenas_torch::device;
use mobilenas_train::backbone::{fill_backbone, is_backbone};
use mobilenas_train::collective::{Collective, Local};
use mobilenas_train::teacher::{Teacher, teacher};
use mobilenas_train::{TrainError, TrainOutcome, Trainer, TrainerConfig, single_net};

/// A training of one network, checked through.
#[derive(Debug)]
pub struct TrainJob {
    /// The config.
    pub config: TrainConfig,
    /// The network, as a space of one.
    space: Space,
    graph: Arc<Graph>,
    train: TransformedDataset,
    test: TransformedDataset,
    split: Split,
    test_split: Test,
    device: Device,
    task: &'static dyn Task,
    notes: Vec<String>,
    head: TaskConfig,
}

/// What came out of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainResult {
    /// Version of this file.
    pub format: u32,
    /// Name of the training.
    pub name: String,
    /// Version of the program.
    pub program: String,
    /// Digest of the resolved config.
    pub config_digest: String,
    /// Digest of the network's graph.
    pub digest: String,
    /// Its seed.
    pub seed: u64,
    /// Data set.
    pub dataset: String,
    /// Images it learnt from.
    pub train_images: usize,
    /// Images of the test split that were scored.
    pub test_images: usize,
    /// Metrics on the test split: of the averaged weights, if the recipe keeps some.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
    /// Learnable parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Epochs, with those of the cool-down.
    pub epochs: f64,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Steps that were left out because something was not finite.
    pub skipped: u64,
    /// Seconds of training, resumed parts together.
    pub seconds: f64,
    /// Where it was trained, in the end.
    #[serde(default)]
    pub device: config::Device,
    /// Threads.
    pub threads: u32,
    /// The machine.
    pub host: Host,
}

impl fmt::Display for TrainResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} of {} images ({}), {} params, {} MACs, {} epochs in {:.1} min on {} threads",
            self.name,
            named(&self.metrics),
            self.test_images,
            self.dataset,
            self.params,
            self.macs,
            self.epochs,
            self.seconds / 60.0,
            self.threads
        )
    }
}

/// How a training ended.
#[derive(Debug)]
pub enum TrainJobOutcome {
    /// All is done.
    Done(Box<TrainResult>),
    /// It was asked to stop; `--resume` goes on.
    Stopped,
}

/// Version of `result.json`.
const FORMAT: u32 = 1;

impl TrainJob {
    /// Reads and checks a config, and loads its images.
    ///
    /// # Errors
    /// What the user has to mend.
    pub fn prepare(file: &Path) -> Result<TrainJob, RunError> {
        TrainJob::prepare_among(file, &Local)
    }

    /// The same in one of several processes that train together, each on a device of its own.
    ///
    /// # Errors
    /// As for [`TrainJob::prepare`].
    pub fn prepare_among(file: &Path, collective: &dyn Collective) -> Result<TrainJob, RunError> {
        let config = config::load_train(file).map_err(ExperimentError::from)?;
        let device = device::open_nth(config.device, collective.local_rank()).map_err(ExperimentError::from)?;
        let (c, head) = (&config.data, config.task_config());
        let task = head.task();
        let lower = |classes: u32| -> Result<_, RunError> {
            let space = config.network.with_head(&head, classes, false).map_err(RunError::from)?;
            let graph = space.lower(&space.smallest())?;
            Ok((space, Arc::new(graph)))
        };
        // What is wrong with the network is told before the images are read.
        lower(c.name.reader().classes().unwrap_or(2))?;
        let Splits { train, test, notes } = c.load_with(task.labels()).map_err(ExperimentError::from)?;
        let (space, graph) = lower(head.classes(train.classes.len()))?;
        check_sides(file, c, [("train", &config.train)], &space)?;
        let split = dataset::split(&train, c.search_val, c.train_limit, config.seed);
        if split.train.len() < config.train.batch {
            let (found, expected) = (split.train.len(), config.train.batch);
            return Err(ExperimentError::TooFew { file: file.to_path_buf(), found, expected }.into());
        }
        let test_split = dataset::test_split(&test, c.test_limit);
        let (train, test) = views((c, &config.train), &space, (Arc::new(train), Arc::new(test)), &split.train);
        Ok(TrainJob { config, space, graph, train, test, split, test_split, device, task, notes, head })
    }

    /// The batches of its training.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn loader(&self) -> Result<DataLoader, TrainError> {
        let c = &self.config;
        data_loader(&self.train, &self.split.train, &c.data, &c.train, (c.threads, c.seed))
    }

    /// Its images, for what is done with the network after the training.
    pub fn sets(self) -> Sets {
        let (trained, seed, task) = (self.split.train, self.config.seed, self.task);
        Sets { train: self.train, trained, test: self.test, test_split: self.test_split, seed, task }
    }

    /// The teacher that the recipe names, if any.
    fn teacher(&self) -> Result<Option<Teacher>, RunError> {
        let of = (&self.head, self.head.classes(self.train.data.classes.len()), self.graph.input().dims[1]);
        Ok(teacher(&self.config.train, of, self.device)?)
    }

    fn classes(&self) -> u32 {
        self.train.data.classes.len() as u32
    }

    /// Images in a batch that is scored: about as many pixels for all sides.
    fn batch(&self) -> usize {
        let side = self.graph.input().dims[1] as usize;
        match self.head.head() {
            None => 500,
            Some(_) => (500 * 64 * 64 / (side * side).max(1)).clamp(1, 64),
        }
    }

    fn cost(&self) -> Cost {
        cost::graph(&self.graph)
    }

    /// What is trained, for people.
    pub fn summary(&self) -> String {
        let (c, cost) = (&self.config, self.cost());
        let notes: String = self.notes.iter().map(|note| format!("\n{note}")).collect();
        format!(
            "{}: {} params, {} MACs at {} px, seed {}\ndata {}: train {}, test {}, {} classes{notes}",
            c.name(),
            cost.params,
            cost.macs,
            self.graph.input().dims[1],
            c.seed,
            c.data.name.as_str(),
            self.split.train.len(),
            self.test_split.indices().len(),
            self.classes()
        )
    }

    /// The network's tensors before the first step.
    fn store(&self) -> Result<ParamStore, RunError> {
        let seed = number(self.config.seed, Purpose::Weights, 0);
        let mut store = ParamStore::init(&self.graph, Names::Standalone, seed, self.device)?;
        if let Some(file) = &self.config.network.weights {
            let named = weights::load(file).map_err(RunError::Initial)?.0;
            if !is_backbone(self.graph.params().iter().map(|p| &p.name), &named) {
                store.fill(&named).map_err(RunError::Initial)?;
            } else if let Some([found, expected]) = fill_backbone(&mut store, &named)? {
                return Err(RunError::Backbone { file: file.clone(), found, expected });
            }
        }
        Ok(store)
    }

    /// Trains, scores and writes. Of several processes the first writes, and gives all the result.
    ///
    /// # Errors
    /// When the folder holds something else, the training fails, or the disk refuses.
    pub fn run(
        &self,
        root: &Path,
        resume: bool,
        clock: &dyn Clock,
        stop: &Stop,
        bar: &Progress,
        collective: &dyn Collective,
    ) -> Result<TrainJobOutcome, RunError> {
        let c = &self.config;
        self.check_same(collective)?;
        // Weights that cannot be used leave no folder behind; a training that is over no longer needs them.
        let files = || -> Result<_, RunError> { Ok((self.store()?, self.teacher()?)) };
        let early = (!root.exists()).then(files).transpose()?;
        let opened = collective.leads().then(|| self.open(root, resume)).transpose()?;
        let (weights_file, result) = (root.join("weights.safetensors"), root.join("result.json"));
        let own = opened.as_ref().map_or("", |(digest, _)| digest);
        let digest = collective.text_of_first(own)?;
        let done = opened.as_ref().and_then(|_| read(&result)).filter(|r| r.config_digest == digest);
        if let Some(done) = of_first(collective, done)? {
            return Ok(TrainJobOutcome::Done(Box::new(done)));
        }
        tch::set_num_threads(c.threads as i32);
        let config = TrainerConfig { recipe: c.train.clone(), seed: c.seed, checkpoint_every: c.checkpoint_seconds };
        let loader = self.loader()?;
        let (mut store, teacher) = early.map_or_else(files, Ok)?;
        let trainer = Trainer {
            config: &config,
            loader: &loader,
            checkpoint: root.join("checkpoint.safetensors"),
            digest: format!("{digest}-{}", self.graph.digest()),
            clock,
            stop,
            collective,
            log: Some(root.join("training.jsonl")),
        };
        let lower = |side| self.space.lower_at(&self.space.smallest(), side);
        let ended = single_net::train(&trainer, &mut store, bar, &self.graph, (self.task, teacher.as_ref()), &lower);
        bar.done();
        let TrainOutcome::Done { steps, seconds, skipped, .. } = ended? else { return Ok(TrainJobOutcome::Stopped) };
        if !collective.leads() {
            // Rank 0 writes first: a training is done when its files are there.
            let done = of_first(collective, None)?;
            return Ok(done.map_or(TrainJobOutcome::Stopped, |done| TrainJobOutcome::Done(Box::new(done))));
        }
        let net = Net::bind(self.graph.clone(), &Owned(&store))?;
        let test = test_scores(&net, &self.test, &self.test_split, self.batch(), self.task)?;
        weights::save(&weights_file, &store.named(), &self.about(&digest))?;
        let cost = self.cost();
        let outcome = TrainResult {
            format: FORMAT,
            name: c.name().to_string(),
            program: env!("CARGO_PKG_VERSION").to_string(),
            config_digest: digest,
            digest: self.graph.digest(),
            seed: c.seed,
            dataset: c.data.name.as_str().to_string(),
            train_images: self.split.train.len(),
            test_images: test.images as usize,
            metrics: test_metrics(self.task, &test),
            params: cost.params,
            macs: cost.macs,
            epochs: c.train.epochs + c.train.cooldown,
            steps,
            skipped,
            seconds,
            device: c.device,
            threads: c.threads,
            host: Host::read(),
        };
        let text = serde_json::to_string_pretty(&outcome)?;
        write_whole(&result, text.as_bytes()).map_err(|error| RunError::Io { path: result.clone(), error })?;
        trainer.remove_checkpoints();
        of_first(collective, Some(outcome.clone()))?;
        Ok(TrainJobOutcome::Done(Box::new(outcome)))
    }

    /// Whether all processes were started with one config, and see the same images.
    fn check_same(&self, collective: &dyn Collective) -> Result<(), RunError> {
        let text = config::to_yaml(&self.config)?;
        let [trained, tested] = [self.split.train.len(), self.test_split.indices().len()];
        let all = [
            ("the program's version", env!("CARGO_PKG_VERSION").to_string()),
            ("the digest of the config", text_digest(&text)),
            ("the images", format!("{trained} to train, {tested} to test")),
        ];
        all.iter().try_for_each(|(what, own)| Ok(collective.check_same(what, own)?))
    }

    /// Makes the folder, or goes on with one of the same config, and locks it. Gives the config's digest.
    fn open(&self, root: &Path, resume: bool) -> Result<(String, Lock), RunError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| RunError::Io { path, error }
        };
        if root.exists() && !resume {
            return Err(RunError::Exists(root.to_path_buf()));
        }
        let lock = Lock::folder(root, "mobilenas train")?;
        let (path, text) = (root.join(config::FILE), config::to_yaml(&self.config)?);
        let digest = text_digest(&text);
        match fs::read_to_string(&path) {
            Ok(there) if there == text => Ok((digest, lock)),
            Ok(there) => {
                let began = text_digest(&there);
                changed(root, &began, &self.config)?;
                Ok((began, lock))
            }
            Err(_) => write_whole(&path, text.as_bytes()).map_err(io(&path)).map(|()| (digest, lock)),
        }
    }

    fn about(&self, digest: &str) -> About {
        let words = [
            ("program", format!("mobilenas {}", env!("CARGO_PKG_VERSION"))),
            ("config_digest", digest.to_string()),
            ("digest", self.graph.digest()),
        ];
        let mut all = self.train.words();
        let head = self.head.words().into_iter().flatten();
        all.extend(words.into_iter().chain(head).map(|(k, v)| (k.to_string(), v)));
        all
    }
}

/// The result that rank 0 has, if it has one.
fn of_first(collective: &dyn Collective, own: Option<TrainResult>) -> Result<Option<TrainResult>, RunError> {
    if collective.alone() {
        return Ok(own);
    }
    let text = collective.text_of_first(&serde_json::to_string(&own)?)?;
    Ok(serde_json::from_str(&text)?)
}

/// The result of a training that is done.
fn read(path: &Path) -> Option<TrainResult> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}
