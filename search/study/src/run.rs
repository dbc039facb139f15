//! The phases of a study, each of which begins where its file ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_bench::Host;
use mobilenas_coordinator::room;
use mobilenas_host::unix_now;
use mobilenas_record::run::Done;
use mobilenas_reports::study::{self as record_of, StudyHeader, StudyRow, StudySpace, Volume};

use crate::plan::StudyInterrupt;
use crate::{Study, selection, statistics};
use mobilenas_pipeline::config::BatchNorms;
use mobilenas_pipeline::experiment::Experiment;
use mobilenas_pipeline::pipeline::RunError;

/// How a study ended.
#[derive(Debug)]
pub enum StudyOutcome {
    /// All is done: what was found, and the page.
    Done(Box<record_of::Study>, PathBuf),
    /// It was asked to stop; `--resume` goes on.
    Stopped,
}

impl Study<'_> {
    /// Does what is not yet done.
    ///
    /// # Errors
    /// When a phase fails; what was written stays.
    pub fn go(mut self) -> Result<StudyOutcome, RunError> {
        room::clear(self.folder.root());
        let ended = self.phases();
        room::clear(self.folder.root());
        match ended {
            Ok(()) => {}
            Err(StudyInterrupt::Stopped) => return Ok(StudyOutcome::Stopped),
            Err(StudyInterrupt::Failed(e)) => return Err(e),
        }
        let study = record_of::Study::read(self.folder.root())?;
        let page = mobilenas_reports::render_study(&study, self.folder.root())?.index;
        Ok(StudyOutcome::Done(Box::new(study), page))
    }

    fn phases(&mut self) -> Result<(), StudyInterrupt> {
        tch::set_num_threads(self.plan.experiment().config.threads as i32);
        let header = self.header()?;
        if self.folder.rows.is_empty() {
            self.folder.append(StudyRow::Study(Box::new(header)))?;
        }
        for text in self.caveats() {
            self.caveat(text)?;
        }
        let mut seconds = BTreeMap::new();
        for i in 0..self.plan.config.study.rules.len() {
            for space in 0..self.plan.experiments.all().len() {
                *seconds.entry("supernets".to_string()).or_insert(0.0) += self.supernet(i, space)?;
            }
        }
        self.inherited()?;
        self.finetune_drawn()?;
        self.retrain_drawn(0..1)?;
        self.searches()?;
        self.retrain_baselines()?;
        self.retrain_drawn(1..self.plan.config.study.subnet_seeds)?;
        if self.folder.rows.iter().any(|r| matches!(r, StudyRow::Done(_))) {
            return Ok(());
        }
        for row in &self.folder.rows {
            if let StudyRow::Retrained(r) = row {
                *seconds.entry("retraining".to_string()).or_insert(0.0) += r.seconds;
            }
        }
        let scored: f64 = self.scores()?.all().map(|s| s.seconds).sum();
        seconds.insert("scoring".to_string(), scored);
        Ok(self.folder.append(StudyRow::Done(Done { seconds }))?)
    }

    fn header(&self) -> Result<StudyHeader, RunError> {
        let (p, all) = (self.plan.experiment(), self.plan.experiments.all());
        let searches = self.plan.config.study.seeds > 0;
        let volume = if searches { Some(self.volume()?) } else { None };
        Ok(StudyHeader {
            format: record_of::FORMAT,
            name: p.config.name().to_string(),
            program: env!("CARGO_PKG_VERSION").to_string(),
            started_unix: unix_now(),
            config_digest: self.plan.digest.clone(),
            family: families(all.iter().map(|p| p.space.family().name())),
            spaces: all.iter().filter_map(named).collect(),
            metric: p.task.metrics()[0].name.to_string(),
            dataset: p.dataset(),
            host: Host::read().machine,
            engine: p.engine(),
            volume,
        })
    }

    fn volume(&self) -> Result<Volume, RunError> {
        let axes = self.axes()?;
        let join = |words: Vec<String>, by: &str| words.join(by);
        Ok(Volume {
            of: join(axes.iter().map(|a| a.name.to_string()).collect(), " and "),
            unit: join(axes.iter().map(|a| a.unit.to_string()).collect(), " · "),
            reference: join(axes.iter().map(|a| a.in_words()).collect(), " and "),
        })
    }

    /// What a reader of the results has to know from the beginning.
    fn caveats(&self) -> Vec<String> {
        let (p, s) = (self.plan.experiment(), &self.plan.config.study);
        let mut all = Vec::new();
        if self.plan.experiments.named() {
            all.push(
                "Each space has a supernet of its own for each rule: inherited accuracies of different spaces are less \
                 comparable than those of one."
                    .to_string(),
            );
        }
        if s.subnets > 0 {
            all.push(
                "The networks of rank fidelity are spread evenly over the logarithm of MACs, not drawn as a search draws \
                 them: τ and ρ over a narrower range of sizes would be lower."
                    .to_string(),
            );
            if p.config.supernet.batch_norms == BatchNorms::Shared {
                all.push(statistics::in_words());
            }
        }
        if s.seeds > 0 {
            all.push(format!(
                "All searches are on {}, trained by the {} rule: their spread is that of the strategies' seeds \
                 alone. A network's score is computed once and looked up afterwards; a search's seconds are what its \
                 scores took when they were computed.",
                if self.plan.experiments.named() { "the same supernets, one for each space" } else { "one supernet" },
                s.rules.first().map_or("first", |b| b.rule.name())
            ));
            for strategy in self.plan.config.strategies() {
                if let (Some(usual), Some(second)) = (strategy.second_objective(), p.config.search.objectives.get(1)) {
                    let (name, second) = (strategy.label(), &second.metric);
                    all.push(format!("{name} is guided by {second} in place of {usual}, which depends on time."));
                }
            }
            if s.retrain_seeds > 0 {
                all.push(selection::in_words(&p.task.metrics()[0].noun()));
            }
        }
        for p in self.plan.experiments.all() {
            for v in p.space.family().variants() {
                if let Err(e) = p.space.variant(v.id) {
                    let (knob, name) = (e.at.join("."), p.entry.name.as_deref());
                    let space = name.map_or_else(|| "this space".to_string(), |name| format!("the space {name}"));
                    all.push(format!("{} is no point of {space}: its {knob} would be {}.", v.id, e.found));
                }
            }
        }
        all
    }
}

/// One of several spaces, as the header names it.
fn named(p: &Experiment) -> Option<StudySpace> {
    let family = p.space.family().name().to_string();
    p.entry.name.clone().map(|name| StudySpace { name, family })
}

/// Families, each once.
fn families<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for family in all.filter(|family| !family.is_empty()) {
        if !distinct.contains(&family) {
            distinct.push(family);
        }
    }
    distinct.join(", ")
}
