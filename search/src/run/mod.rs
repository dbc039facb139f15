//! The one search loop: unit, supernet, variants, trials, winners, report. Every phase begins where the journal ends.

mod about;
pub mod alone;
pub mod ask;
mod budget;
mod error;
mod folder;
mod race;
mod scoring;
pub mod scratch;
mod subnet;
mod trials;
mod winners;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_bench::clock::unix_now;
use mobilenas_bench::gate::pairs::Side;
use mobilenas_bench::{Clock, Host};
use mobilenas_reports::record::{self, Caveat, Done, Row};
use mobilenas_reports::{Frame, score};
use mobilenas_torch::{Store, weights};
use tch::Device;

pub use crate::latency_table::nets::REFERENCE;
pub use error::RunError;
pub use folder::{Folder, config_digest};
pub use subnet::{stored_supernet, subnet};

use crate::blocks::{self, Blocks};
use crate::cache::Cache;
use crate::evaluate::{Bench, Scorer};
use crate::latency_table::{Table, nets};
use crate::prepare::Prepared;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::train::{Ended, TrainError, Trainer};

/// File of the trained supernet in a run's folder.
const SUPERNET: &str = "supernet.safetensors";

/// A search under way.
pub struct Run<'a> {
    /// The config, checked through.
    pub prepared: &'a Prepared,
    /// Its folder.
    pub folder: Folder,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// Makes a progress line for a phase.
    pub progress: fn(&'static str) -> Progress,
}

/// How a search ended.
#[derive(Debug)]
pub enum Finish {
    /// All is done: the frame of the run, and the page.
    Done(Box<Frame>, PathBuf),
    /// It was asked to stop; `--resume` goes on.
    Stopped,
}

impl Run<'_> {
    /// Runs what is not yet done.
    ///
    /// # Errors
    /// When a phase fails; what was written stays.
    pub fn go(mut self) -> Result<Finish, RunError> {
        let p = self.prepared;
        tch::set_num_threads(p.config.threads as i32);
        if self.folder.rows.is_empty() {
            self.folder.append(Row::Run(Box::new(self.header()?)))?;
        } else {
            self.folder.check_header(&self.header()?)?;
        }
        // Also on resuming: a run may have been killed between its header and its caveats.
        for text in self.caveats() {
            self.caveat(text)?;
        }
        if let Some(row) = p.table.as_ref().map(Table::row).filter(|row| !self.folder.rows.contains(row)) {
            self.folder.append(row)?;
        }
        let unit_ms = self.unit()?;
        let Some(supernet) = self.supernet()? else { return Ok(Finish::Stopped) };
        let calibration = p.calibration();
        let kept = self.kept_latencies();
        let blocks = self.blocks(unit_ms, kept)?;
        let bench = Bench { blocks, ..p.bench(&calibration, self.clock, unit_ms) };
        let scorer = Scorer::new(supernet, bench)?;
        tch::set_num_threads(p.config.scoring_threads() as i32);
        if !self.trials(scorer)? {
            return Ok(Finish::Stopped);
        }
        tch::set_num_threads(p.config.threads as i32);
        if !self.race(unit_ms)? {
            return Ok(Finish::Stopped);
        }
        if !self.winners()? {
            return Ok(Finish::Stopped);
        }
        self.finish()
    }

    /// Writes a caveat, once.
    fn caveat(&mut self, text: String) -> Result<(), RunError> {
        let row = Row::Caveat(Caveat { text });
        if self.folder.rows.contains(&row) { Ok(()) } else { self.folder.append(row) }
    }

    fn header(&self) -> Result<record::Run, RunError> {
        let (p, host) = (self.prepared, Host::read());
        let c = &p.config;
        let [low, high] = p.range;
        Ok(record::Run {
            format: record::FORMAT,
            name: c.name().to_string(),
            program: env!("CARGO_PKG_VERSION").to_string(),
            started_unix: unix_now(),
            config_digest: folder::config_digest(c)?,
            seed: c.seed,
            family: p.space.family().name().to_string(),
            strategy: crate::strategy::from_config(&c.search.strategy, &p.space).name().to_string(),
            space_size: p.space.size(),
            params_range: [low.params, high.params],
            macs_range: [low.macs, high.macs],
            dataset: p.dataset(),
            host: record::Host { cpu: host.cpu, cores: host.cores, memory: host.memory, os: host.os },
            engine: p.engine(),
            mes: p.constants(),
        })
    }

    /// What a reader of the results has to know from the beginning.
    fn caveats(&self) -> Vec<String> {
        let p = self.prepared;
        let objectives: Vec<&str> = p.config.search.objectives.iter().map(|o| o.metric.as_str()).collect();
        let mut all = vec![
            match &p.table {
                Some(table) => table.in_words(),
                None => format!(
                    "Latency is that of this host's processor under {}; it stands in for no phone.",
                    p.config.latency.engine
                ),
            },
            "The accuracy of a candidate is that of weights inherited from the supernet; only retrained networks were \
             trained for themselves."
                .to_string(),
            "The published variants are scored with inherited weights like every candidate, and are not retrained."
                .to_string(),
            format!("The search was guided by {}; other metrics were recorded beside it.", objectives.join(" and ")),
        ];
        if p.device != Device::Cpu {
            all.push(
                "Trained and scored on a GPU: a repeat need not give the same numbers to the last bit.".to_string(),
            );
        }
        all.extend(p.table.as_ref().and_then(Table::warning));
        for v in p.space.family().variants() {
            if let Err(e) = p.space.variant(v.id) {
                let knob = e.at.join(".");
                all.push(format!("{} is no point of this space: its {knob} would be {}.", v.id, e.found));
            }
        }
        all
    }

    /// One unit of latency in ms: the reference network is timed once a run.
    fn unit(&mut self) -> Result<f64, RunError> {
        let (p, clock) = (self.prepared, self.clock);
        if !self.folder.rows.iter().any(|r| matches!(r, Row::Unit(_))) {
            let (graph, resolution) = nets::reference().ok_or(RunError::Reference)?;
            let latency = match p.table.as_ref().and_then(|t| t.reference.as_ref()) {
                Some(reference) => reference.latency.clone(),
                None => p.timing().latency(&Arc::new(graph), clock)?,
            };
            let row = record::Unit { model: REFERENCE.to_string(), resolution, latency };
            self.folder.append(Row::Unit(row))?;
        }
        let found = self.folder.rows.iter().find_map(|r| match r {
            Row::Unit(u) => Some(u.latency.median_ms),
            _ => None,
        });
        let constants = p.constants();
        found.map(|ms| score::unit_latency_ms(&constants, ms)).ok_or(RunError::Reference)
    }

    /// The trained supernet; `None` if the run was asked to stop.
    fn supernet(&mut self) -> Result<Option<Store>, RunError> {
        let (p, path) = (self.prepared, self.folder.path(SUPERNET));
        let mut store = p.supernet_store()?;
        if self.folder.rows.iter().any(|r| matches!(r, Row::Supernet(_))) {
            store.fill(&weights::load(&path)?.0)?;
            return Ok(Some(store));
        }
        let (plan, feed) = (p.supernet_plan(), p.supernet_feed()?);
        let trainer = Trainer {
            plan: &plan,
            feed: &feed,
            checkpoint: self.folder.path("supernet.checkpoint.safetensors"),
            digest: folder::config_digest(&p.config)?,
            clock: self.clock,
            stop: self.stop,
            diary: Some(self.folder.path("training/supernet.jsonl")),
        };
        let bar = (self.progress)("supernet");
        let ended = trainer.run(&mut store, &bar, &mut p.supernet(&feed));
        bar.done();
        let Ended::Done { steps, loss, seconds, skipped } = ended? else { return Ok(None) };
        weights::save(&path, &store.named(), &p.about()?)?;
        self.left_out("the supernet", skipped, steps)?;
        let row = record::Supernet { epochs: plan.recipe.epochs, steps, loss, seconds };
        self.folder.append(Row::Supernet(row))?;
        trainer.forget();
        Ok(Some(store))
    }

    /// A caveat for a training that left steps out.
    fn left_out(&mut self, what: &str, skipped: u64, steps: u64) -> Result<(), RunError> {
        match skipped {
            0 => Ok(()),
            n => self.caveat(format!(
                "Training {what} left out {n} of {steps} steps, whose loss or gradient was not finite."
            )),
        }
    }

    /// Where candidates are timed in blocks, if they are; latencies of a table need none.
    fn blocks(&self, unit_ms: f64, kept: Cache) -> Result<Option<Blocks>, RunError> {
        let (p, timing) = (self.prepared, self.prepared.timing());
        let Some(how) = timing.beside.filter(|_| p.table.is_none()) else { return Ok(None) };
        let program = std::env::current_exe().map_err(|e| TrainError::Torch(format!("this program: {e}")))?;
        let side = Side::new(program, &["bench", "worker"], REFERENCE, &timing.engine);
        let side = Side { threads: timing.threads, batch: timing.batch, ..side };
        Ok(Some(Blocks::new(how, side, unit_ms * p.config.mes.reference_units, kept)))
    }

    /// Latencies of other runs on this host, by the same protocol; none where they cannot be read.
    fn kept_latencies(&self) -> Cache {
        let timing = self.prepared.timing();
        let Some(how) = timing.beside else { return Cache::none() };
        let Ok(program) = std::env::current_exe() else { return Cache::none() };
        let protocol = blocks::protocol(&timing, how, &Host::read(), &program);
        let opened = scoring::kept(self.folder.root(), &self.prepared.config.search, ["latency", &protocol]);
        opened.unwrap_or_else(|why| {
            (self.progress)("search").say(&format!("{why}; latencies of other runs are not looked up"));
            Cache::none()
        })
    }

    fn finish(mut self) -> Result<Finish, RunError> {
        if !self.folder.rows.iter().any(|r| matches!(r, Row::Done(_))) {
            let mut seconds = BTreeMap::new();
            let mut add = |phase: &str, s: f64| *seconds.entry(phase.to_string()).or_insert(0.0) += s;
            for row in &self.folder.rows {
                match row {
                    Row::Supernet(s) => add("supernet", s.seconds),
                    Row::Trial(t) => add("trials", t.seconds),
                    Row::Timed(t) => add("race", t.seconds),
                    Row::Retrained(r) => add("retraining", r.seconds),
                    _ => {}
                }
            }
            self.folder.append(Row::Done(Done { seconds }))?;
        }
        let (frame, page) = report(self.folder.root())?;
        Ok(Finish::Done(Box::new(frame), page))
    }
}

/// Writes tables, plots and page of a run folder, finished or not.
///
/// # Errors
/// When there is no journal, or the disk refuses.
pub fn report(folder: &Path) -> Result<(Frame, PathBuf), RunError> {
    let frame = mobilenas_reports::read(folder)?;
    let written = mobilenas_reports::render(&frame, folder)?;
    Ok((frame, written.index))
}
