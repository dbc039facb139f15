//! Scores of networks with inherited weights: by this process, by the config's workers, or by all ranks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobilenas_coordinator::Serving;
use mobilenas_host::Progress;
use mobilenas_pipeline::config::{self, Device, Origin};
use mobilenas_pipeline::evaluator::Evaluator as _;
use mobilenas_pipeline::evaluator::inherited::InheritedEvaluator;
use mobilenas_pipeline::experiment::{Experiment, ExperimentError};
use mobilenas_pipeline::pipeline::retraining::by_name;
use mobilenas_pipeline::pipeline::{Among, RunError, ScoringPool, supernet_in};
use mobilenas_pipeline::worker::{self, Answer, Job, Kind, OfStudy, answer_of_study};
use mobilenas_space::cost;
use mobilenas_space::ir::Graph;
use mobilenas_torch::device;

use crate::plan::StudyInterrupt;
use crate::{Study, StudyPlan};

/// A network to score.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Position of its space.
    pub space: usize,
    /// What messages call it.
    pub name: String,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
    /// Its graph.
    pub graph: Arc<Graph>,
}

/// Who scores, once a score is wanted.
pub(super) struct Scorer<'a> {
    plan: &'a StudyPlan,
    among: Among<'a>,
    root: PathBuf,
    /// The supernets' files, rule by rule, space by space.
    supernets: Vec<Vec<String>>,
    bar: Progress,
    /// On which rule's networks are scored now.
    rule: Option<usize>,
    pool: Option<ScoringPool<'a>>,
    /// One for each space, where this process scores.
    own: Vec<InheritedEvaluator>,
}

impl<'a> Study<'a> {
    /// Who scores networks with inherited weights.
    pub(super) fn scorer(&self) -> Scorer<'a> {
        let spaces = self.plan.experiments.all().len();
        let of_rule = |rule| (0..spaces).map(|space| self.supernet_file(rule, space)).collect();
        Scorer {
            plan: self.plan,
            among: Among { collective: self.collective, clock: self.clock, stop: self.stop },
            root: self.folder.root().to_path_buf(),
            supernets: (0..self.plan.config.study.rules.len()).map(of_rule).collect(),
            bar: (self.progress)("score"),
            rule: None,
            pool: None,
            own: Vec::new(),
        }
    }
}

impl Scorer<'_> {
    /// Scores networks on the supernets of a rule, and gives to `done`, in their order, each's place, seconds and metrics.
    ///
    /// # Errors
    /// When one cannot be scored, the first error of `done`, and when the study is asked to stop.
    pub(super) fn score(
        &mut self,
        (rule, recalibrated): (usize, bool),
        networks: &[Wanted],
        mut done: impl FnMut(usize, f64, BTreeMap<String, f64>) -> Result<(), RunError>,
    ) -> Result<(), StudyInterrupt> {
        if networks.is_empty() {
            return Ok(());
        }
        let (all, Among { clock, stop, .. }) = (self.plan.experiments.all(), self.among);
        if stop.asked() {
            return Err(StudyInterrupt::Stopped);
        }
        self.take(rule)?;
        let Some(pool) = &mut self.pool else {
            for (i, network) in networks.iter().enumerate() {
                if stop.asked() {
                    return Err(StudyInterrupt::Stopped);
                }
                let own = &mut self.own[network.space];
                own.recalibrated = recalibrated;
                let begin = clock.now();
                let metrics = by_name(all[network.space].task, &own.trained(&network.graph)?);
                done(i, (clock.now() - begin).as_secs_f64(), metrics)?;
            }
            return Ok(());
        };
        let job = |network: &Wanted| Job {
            space: network.space,
            genome: network.genome.clone(),
            metrics: all[network.space].task.metrics().iter().map(|m| m.name.to_string()).collect(),
            of_study: Some(OfStudy { supernet: self.supernets[rule][network.space].clone(), recalibrated }),
            reference: false,
            macs: cost::graph(&network.graph).macs,
        };
        let jobs: Vec<Job> = networks.iter().map(job).collect();
        let (root, own, mut count) = (&self.root, &mut self.own, 0);
        let mut here = |job: &Job| match own.get_mut(job.space) {
            Some(own) => answer_of_study(&all[job.space], job, own),
            None => Err("workers score, not this process".to_string()),
        };
        pool.run(
            (&jobs, clock),
            || !stop.asked(),
            &mut here,
            |i, seconds, outcome| {
                let name = &networks[i].name;
                let metrics = outcome.map_err(|failure| RunError::Scoring {
                    name: name.clone(),
                    why: worker::in_words(root, &name.replace(' ', "-"), failure),
                })?;
                count = i + 1;
                done(i, seconds, metrics.metrics)
            },
        )?;
        if count < jobs.len() { Err(StudyInterrupt::Stopped) } else { Ok(()) }
    }

    /// Makes the supernets of a rule those that networks are scored on. Workers read them by themselves.
    fn take(&mut self, rule: usize) -> Result<(), RunError> {
        if self.rule == Some(rule) || matches!(self.pool, Some(ScoringPool::Workers(_))) {
            return Ok(());
        }
        let all = self.plan.experiments.all();
        let stored = all.iter().zip(&self.supernets[rule]).map(|(p, file)| supernet_in(p, &self.root.join(file)));
        let stores = stored.collect::<Result<Vec<_>, _>>()?;
        let config = &self.plan.experiments.config;
        let who = (Kind::ScoresOfStudy, 1, config.threads);
        let given: Vec<_> = stores.iter().collect();
        self.pool = ScoringPool::of((config, &self.root), who, &given, &self.bar, self.among)?;
        self.own.clear();
        if !matches!(self.pool, Some(ScoringPool::Workers(_))) {
            for (p, store) in all.iter().zip(stores) {
                self.own.push(p.inherited_evaluator(store)?);
            }
        }
        self.rule = Some(rule);
        Ok(())
    }
}

/// Answers the jobs of a study that scores, until there are no more.
///
/// # Errors
/// When the study's folder does not hold what is needed, or the asking program is gone.
pub fn serve(root: &Path, on: Device) -> Result<(), RunError> {
    let serving = Serving::start(false).map_err(|error| RunError::Io { path: root.to_path_buf(), error })?;
    let mut all = StudyPlan::prepare(&root.join(config::FILE), Origin::Run)?.experiments;
    all.set_device(device::open(on).map_err(ExperimentError::from)?);
    tch::set_num_threads(all.config.threads as i32);
    let mut scorer = None;
    let hello = worker::hello(root, Kind::ScoresOfStudy, &all.config, on)?;
    serving.answer_all(&hello, |job: &Job| match all.all().get(job.space) {
        Some(p) => Some(answer(p, root, job, &mut scorer)),
        None => Some(Err(format!("this study has no space {}", job.space))),
    })?;
    Ok(())
}

/// Scores on the supernet that the job names, which stays loaded.
fn answer(p: &Experiment, root: &Path, job: &Job, last: &mut Option<(String, InheritedEvaluator)>) -> Answer {
    let file = job.of_study.as_ref().map(|of| of.supernet.clone()).unwrap_or_default();
    if last.as_ref().is_none_or(|(name, _)| *name != file) {
        let load = || -> Result<_, RunError> { Ok(p.inherited_evaluator(supernet_in(p, &root.join(&file))?)?) };
        let scorer = load().map_err(|e| e.to_string())?;
        *last = Some((file, scorer));
    }
    match last {
        Some((_, scorer)) => answer_of_study(p, job, scorer),
        None => Err("no supernet".to_string()),
    }
}
