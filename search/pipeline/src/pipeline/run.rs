//! The phases of a search, each of which begins where the journal ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_bench::Host;
use mobilenas_bench::process::{HeadDesign, WorkerProgram, Workload};
use mobilenas_coordinator::room;
use mobilenas_device::{DeviceError, Surroundings};
use mobilenas_host::unix_now;
use mobilenas_record::run::{self as record, Done, JournalRow};
use mobilenas_record::score;
use mobilenas_reports::RunData;
use mobilenas_space::Cost;
use mobilenas_torch::{ParamStore, weights};
use tch::Device;

use super::{REFERENCE, RunError, SearchPipeline, SupernetTraining, device_latency, scoring};
use crate::evaluator::{EvaluatorConfig, SupernetEvaluator};
use mobilenas_bench::PairedLatency;
use mobilenas_bench::latency_table::{Table, networks};
use mobilenas_bench::on_device::{OnDevice, OnDeviceError, Voice};
use mobilenas_bench::paired_latency;
use mobilenas_host::cache::Cache;
use mobilenas_train::TrainOutcome;
use mobilenas_train::checkpoint::CheckpointFiles;

/// How a search ended.
#[derive(Debug)]
pub enum SearchOutcome {
    /// All is done: the run, and its page.
    Done(Box<RunData>, PathBuf),
    /// It was asked to stop; `--resume` goes on.
    Stopped,
}

impl SearchPipeline<'_> {
    /// Runs what is not yet done.
    ///
    /// # Errors
    /// When a phase fails; what was written stays.
    pub fn run(self) -> Result<SearchOutcome, RunError> {
        let root = self.folder.root().to_path_buf();
        room::clear(&root);
        let outcome = self.phases();
        room::clear(&root);
        match outcome {
            Err(RunError::Device(OnDeviceError::Device(DeviceError::Stopped))) => Ok(SearchOutcome::Stopped),
            other => other,
        }
    }

    fn phases(mut self) -> Result<SearchOutcome, RunError> {
        let p = self.experiment();
        tch::set_num_threads(p.config.threads as i32);
        let (voice, stop) = (Voice::default(), self.stop);
        let (say, sleep) = (|text: &str| voice.say(text), |time| mobilenas_device::rest(time, stop));
        let mut device = self.device(Surroundings { stop, sleep: &sleep, say: &say }, &voice)?;
        let header = self.header(device.as_ref());
        if self.folder.rows.is_empty() {
            self.folder.append(JournalRow::Run(Box::new(header)))?;
        } else {
            self.folder.check_table(&header)?;
            if device.is_some() {
                self.folder.check_device(&header)?;
            }
        }
        // Also on resuming: a run may have been killed between its header and its caveats.
        for text in self.caveats(device.as_ref()) {
            self.caveat(text)?;
        }
        for key in std::mem::take(&mut self.folder.raised) {
            self.caveat(format!("The run was resumed with a higher limit: {}.", key.raised_in_words()))?;
        }
        for table in self.experiments.all().iter().filter_map(|p| p.table.as_ref()) {
            let row = table.row();
            if !self.folder.rows.contains(&row) {
                self.folder.append(row)?;
            }
        }
        // Workers score with the supernets, and so measure after their training.
        let unit_ms = match &mut device {
            Some(device) => self.unit_on(device)?,
            None if self.workers_measure() => f64::NAN,
            None => self.unit()?,
        };
        let mut supernets = Vec::new();
        for position in 0..self.experiments.all().len() {
            let Some(supernet) = self.supernet(position)? else { return Ok(SearchOutcome::Stopped) };
            supernets.push(supernet);
        }
        let calibration = p.calibration();
        let mut scorers = Vec::new();
        for (own, supernet) in self.experiments.all().iter().zip(supernets) {
            let kept = self.kept_latencies();
            let blocks = self.blocks(unit_ms, kept)?;
            let bench = EvaluatorConfig { blocks, ..own.evaluator_config(&calibration, self.clock, unit_ms) };
            scorers.push(SupernetEvaluator::new(supernet, bench)?);
        }
        tch::set_num_threads(p.config.scoring_threads() as i32);
        if !self.trials(scorers, device)? {
            return Ok(SearchOutcome::Stopped);
        }
        tch::set_num_threads(p.config.threads as i32);
        if !self.remeasure(unit_ms)? {
            return Ok(SearchOutcome::Stopped);
        }
        if !self.finetune()? {
            return Ok(SearchOutcome::Stopped);
        }
        if !self.train_landmarks()? {
            return Ok(SearchOutcome::Stopped);
        }
        if !self.winners()? {
            return Ok(SearchOutcome::Stopped);
        }
        self.finish()
    }

    fn header(&self, device: Option<&OnDevice<'_>>) -> record::RunHeader {
        let p = self.experiment();
        let (c, all) = (&p.config, self.experiments.all());
        let least = |of: fn(&Cost) -> u64| all.iter().map(|p| of(&p.range[0])).min().unwrap_or_default();
        let most = |of: fn(&Cost) -> u64| all.iter().map(|p| of(&p.range[1])).max().unwrap_or_default();
        let mut families: Vec<&str> = Vec::new();
        for family in all.iter().map(|p| p.space.family().name()) {
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let spaces = all.iter().filter_map(|p| {
            let [low, high] = p.range;
            Some(record::SpaceHeader {
                name: p.entry.name.clone()?,
                family: p.space.family().name().to_string(),
                size: p.space.size(),
                params_range: [low.params, high.params],
                macs_range: [low.macs, high.macs],
                table: p.table.as_ref().and_then(|table| table.engine().table),
            })
        });
        record::RunHeader {
            metric: self.experiment().task.metrics()[0].name.to_string(),
            format: record::FORMAT,
            name: c.name().to_string(),
            program: env!("CARGO_PKG_VERSION").to_string(),
            started_unix: unix_now(),
            config_digest: p.digest.clone(),
            seed: c.seed,
            family: families.join(", "),
            strategy: c.search.strategy.kind().name.to_string(),
            space_size: all.iter().map(|p| p.space.size()).sum(),
            params_range: [least(|c| c.params), most(|c| c.params)],
            macs_range: [least(|c| c.macs), most(|c| c.macs)],
            spaces: spaces.collect(),
            dataset: p.dataset(),
            host: Host::read().machine,
            engine: device.map_or_else(|| p.engine(), device_latency::engine),
            mes: p.constants(),
        }
    }

    /// What a reader of the results has to know from the beginning.
    fn caveats(&self, device: Option<&OnDevice<'_>>) -> Vec<String> {
        let p = self.experiment();
        let objectives: Vec<&str> = p.config.search.objectives.iter().map(|o| o.metric.as_str()).collect();
        let several = self.experiments.all().len() > 1;
        let mut all = vec![
            match (&p.table, device.map(|device| device.session.record())) {
                (_, Some(r)) => format!("Latency is that of {} under {}.", r.caption(), r.engine()),
                (Some(table), None) => table.in_words(),
                (None, None) if self.workers_measure() => format!(
                    "Latency is that of the workers' processors under {}; it stands in for no phone.",
                    p.config.latency.engine
                ),
                (None, None) => format!(
                    "Latency is that of this host's processor under {}; it stands in for no phone.",
                    p.config.latency.engine
                ),
            },
            "The accuracy of a candidate is that of weights inherited from the supernet; only retrained networks were \
             trained for themselves."
                .to_string(),
            match p.config.retrain.variants {
                true => "The published variants are scored with inherited weights like every candidate; those that a winner \
                         stands against are trained as it is.",
                false => "The published variants are scored with inherited weights like every candidate, and are not \
                          retrained.",
            }
            .to_string(),
            format!("The search was guided by {}; other metrics were recorded beside it.", objectives.join(" and ")),
        ];
        if several {
            all.push(
                "Each space has a supernet of its own: inherited accuracies of different spaces are less comparable than those \
                 of one."
                    .to_string(),
            );
        }
        if p.device != Device::Cpu {
            all.push(
                "Trained and scored on a GPU: a repeat need not give the same numbers to the last bit.".to_string(),
            );
        }
        for p in self.experiments.all() {
            all.extend(p.table.as_ref().and_then(Table::warning));
            let space =
                p.entry.name.as_ref().map_or_else(|| "this space".to_string(), |name| format!("the space {name}"));
            for v in p.space.family().variants() {
                if let Err(e) = p.space.variant(v.id) {
                    let knob = e.at.join(".");
                    all.push(format!("{} is no point of {space}: its {knob} would be {}.", v.id, e.found));
                }
            }
        }
        all
    }

    /// One unit of latency in ms: the reference network is timed once a run.
    fn unit(&mut self) -> Result<f64, RunError> {
        let (p, clock) = (self.experiment(), self.clock);
        if !self.folder.rows.iter().any(|r| matches!(r, JournalRow::Unit(_))) {
            let (graph, resolution) = networks::reference().ok_or(RunError::Reference)?;
            let latency = match p.table.as_ref().and_then(|t| t.reference.as_ref()) {
                Some(reference) => reference.latency.clone(),
                None => p.latency_protocol().latency(&Arc::new(graph), clock)?,
            };
            let row = record::Unit { model: REFERENCE.to_string(), resolution, latency, host: None };
            self.folder.append(JournalRow::Unit(row))?;
        }
        self.known_unit()
    }

    /// One unit of latency in ms, by its row.
    pub(super) fn known_unit(&self) -> Result<f64, RunError> {
        let p = self.experiment();
        let found = self.folder.rows.iter().find_map(|r| match r {
            JournalRow::Unit(u) => Some(u.latency.median_ms),
            _ => None,
        });
        let constants = p.constants();
        found.map(|ms| score::unit_latency_ms(&constants, ms)).ok_or(RunError::Reference)
    }

    /// The trained supernet of the space at a position; `None` if the run was asked to stop.
    fn supernet(&mut self, position: usize) -> Result<Option<ParamStore>, RunError> {
        let p = &self.experiments.all()[position];
        let (name, path) = (p.supernet_name(), self.folder.path(&p.supernet_file()));
        if self.folder.rows.iter().any(|r| matches!(r, JournalRow::Supernet(s) if s.space == p.entry.name)) {
            let mut store = p.supernet_store()?;
            store.fill(&weights::load(&path)?.0)?;
            return Ok(Some(store));
        }
        let checkpoint = self.folder.path(&format!("{name}.checkpoint.safetensors"));
        let training = SupernetTraining {
            experiment: p,
            position,
            settings: &p.config.supernet,
            checkpoint: checkpoint.clone(),
            log: self.folder.path(&format!("training/{name}.jsonl")),
            digest: p.entry.name.as_ref().map_or_else(|| p.digest.clone(), |name| format!("{}-{name}", p.digest)),
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
        };
        let bar = (self.progress)("supernet");
        p.entry.name.iter().for_each(|name| bar.say(&format!("supernet of the space {name}")));
        let (store, ended) = training.run(&bar)?;
        let TrainOutcome::Done { steps, loss, seconds, skipped } = ended else { return Ok(None) };
        weights::save(&path, &store.named(), &p.about())?;
        self.left_out(&format!("the supernet{}", p.entry.in_words()), skipped, steps)?;
        let row = record::Supernet {
            space: p.entry.name.clone(),
            epochs: p.config.supernet.recipe.epochs,
            steps,
            loss,
            seconds,
        };
        self.folder.append(JournalRow::Supernet(row))?;
        CheckpointFiles::new(checkpoint).remove();
        Ok(Some(store))
    }

    /// Where candidates are timed in blocks, if they are; latencies of a table need none.
    pub(super) fn blocks(&self, unit_ms: f64, kept: Cache) -> Result<Option<PairedLatency>, RunError> {
        let (p, timing) = (self.experiment(), self.experiment().latency_protocol());
        let Some(how) = timing.interleaved.filter(|_| p.table.is_none()) else { return Ok(None) };
        let program = mobilenas_host::program::file().map_err(RunError::Program)?;
        let (threads, batch) = (timing.threads, timing.batch);
        let workload = Workload { threads, batch, ..Workload::new(REFERENCE, &timing.engine) };
        let reference = WorkerProgram::new(program, &["bench", "worker"], workload);
        let head = p.config.task_config().head_with_options();
        let head = head.map(|(head, options)| HeadDesign { name: head.name().to_string(), options });
        let ms = unit_ms * p.config.mes.reference_units;
        let mut blocks = PairedLatency::new(how, reference, ms, kept);
        blocks.head = head;
        Ok(Some(blocks))
    }

    /// Latencies of other runs on this host, by the same protocol; none where they cannot be read.
    fn kept_latencies(&self) -> Cache {
        let timing = self.experiment().latency_protocol();
        let Some(how) = timing.interleaved else { return Cache::none() };
        let Ok(program) = mobilenas_host::program::file() else { return Cache::none() };
        let protocol = paired_latency::protocol(&timing, how, &Host::read(), &program);
        let opened = scoring::kept(self.folder.root(), &self.experiment().config.search, ["latency", &protocol]);
        opened.unwrap_or_else(|why| {
            (self.progress)("search").say(&format!("{why}; latencies of other runs are not looked up"));
            Cache::none()
        })
    }

    /// Whether nothing was added since the run was last done.
    pub(super) fn is_done(&self) -> bool {
        let adds = |r: &&JournalRow| !matches!(r, JournalRow::Caveat(_));
        matches!(self.folder.rows.iter().rfind(adds), Some(JournalRow::Done(_)))
    }

    fn finish(mut self) -> Result<SearchOutcome, RunError> {
        if !self.is_done() {
            let mut seconds = BTreeMap::new();
            let mut add = |phase: &str, s: f64| *seconds.entry(phase.to_string()).or_insert(0.0) += s;
            for row in &self.folder.rows {
                match row {
                    JournalRow::Supernet(s) => add("supernet", s.seconds),
                    JournalRow::Trial(t) => add("trials", t.seconds),
                    JournalRow::Remeasured(t) => add("remeasuring", t.seconds),
                    JournalRow::Finetuned(f) => add("fine-tuning", f.seconds),
                    JournalRow::Retrained(r) => add("retraining", r.seconds),
                    _ => {}
                }
            }
            self.folder.append(JournalRow::Done(Done { seconds }))?;
        }
        let (run, page) = report(self.folder.root())?;
        Ok(SearchOutcome::Done(Box::new(run), page))
    }
}

/// Writes tables, plots and page of a run folder, finished or not.
///
/// # Errors
/// When there is no journal, or the disk refuses.
pub fn report(folder: &Path) -> Result<(RunData, PathBuf), RunError> {
    let run = mobilenas_reports::read(folder)?;
    let written = mobilenas_reports::render(&run, folder)?;
    Ok((run, written.index))
}
