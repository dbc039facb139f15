//! Trials: the published variants first, then what the strategy asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{JournalRow, Origin, PredictorFit, Trial, TrialOutcome};
use mobilenas_space::Genome;
use mobilenas_strategy::{Allocator, Observation};

use super::ask::{self, KnownNetworks, Proposal, Proposer, values};
use super::budget::{Budget, whole};
use super::scoring::ScoringSession;
use super::scoring_pool::Among;
use super::{RunError, SearchPipeline};
use crate::config::Objective;
use crate::evaluator::SupernetEvaluator;
use crate::experiment::{Experiment, strategy_seed};
use mobilenas_bench::on_device::OnDevice;
use mobilenas_host::Progress;

/// The objectives' values with larger better; `None` if the trial was not scored, or one is missing or no finite number.
pub(super) fn scores(trial: &Trial, objectives: &[Objective]) -> Option<Vec<f64>> {
    match &trial.outcome {
        TrialOutcome::Scored(metrics) => values(metrics, objectives),
        _ => None,
    }
}

/// Why a search ended, if not for its number of trials.
enum Why {
    Exhausted,
    Late,
    Stopped(String),
}

impl SearchPipeline<'_> {
    /// Scores variants and candidates until there are enough; the spaces have a scorer each. False if the run was asked to
    /// stop.
    pub(super) fn trials<'s>(
        &mut self,
        scorers: Vec<SupernetEvaluator<'s>>,
        device: Option<OnDevice<'s>>,
    ) -> Result<bool, RunError> {
        let (config, all) = (&self.experiment().config, self.experiments.all());
        let search = &config.search;
        let bar = (self.progress)("search");
        let root = self.folder.root().to_path_buf();
        let among = Among { collective: self.collective, clock: self.clock, stop: self.stop };
        let mut session = ScoringSession::new(scorers, &root, &self.experiments.config, bar, among)?;
        if !self.begin_on_workers(&mut session)? {
            return Ok(false);
        }
        if let Some(device) = device {
            device.voice.set(session.bar().teller());
            let unit_ms = self.known_unit()?;
            session.scorers.iter_mut().for_each(|scorer| scorer.measured_elsewhere(unit_ms));
            session.device = Some(device);
        }
        let past: Vec<Trial> = self.searched().cloned().collect();
        session.bar().begin(search.trials, past.iter().filter(|t| whole(t)).count() as u64);
        let mut proposers = Vec::with_capacity(all.len());
        for (space, p) in all.iter().enumerate() {
            let mut known = KnownNetworks::new();
            if !self.variants(space, &mut session, &mut known)? {
                return Ok(false);
            }
            proposers.push(Proposer::new(p, &search.strategy, strategy_seed(config.seed, space), known));
        }
        let mut allocator = Allocator::new(search.allocation, all.len());
        let (mut budget, mut exhausted, mut why) = (Budget::new(search), Vec::new(), None);
        while why.is_none()
            && budget.left() > 0
            && let Some(space) = allocator.next()
        {
            let proposer = &mut proposers[space];
            let n = if proposer.exact() { usize::MAX } else { search.batch.max(1).min(budget.left()) as usize };
            let mut batch = proposer.ask(n)?;
            batch.proposals.truncate(budget.left() as usize);
            let (wanted, before) = (batch.proposals.len(), budget.asked);
            // On resuming, the strategy asks for the same again: what the journal knows is not scored twice.
            let known = past.get(before..).unwrap_or_default().iter().take(wanted);
            let mut trials: Vec<Trial> = known.cloned().collect();
            if trials.len() < wanted {
                let rest: Vec<_> = batch.proposals[trials.len()..].iter().map(|p| (Origin::Search, p)).collect();
                trials.extend(self.score(space, &rest, &mut session, proposer.exact())?);
            }
            if trials.len() < wanted && self.stop.asked() {
                return Ok(false);
            }
            for (proposal, trial) in batch.proposals.iter().zip(&trials) {
                let observation = self.observe(proposal.genome.clone(), trial);
                allocator.tell(space, observation.feasible());
                budget.take(whole(trial), observation.feasible().map(<[f64]>::to_vec));
                proposer.record(&proposal.digest, observation);
            }
            let fits = proposer.tell(&batch);
            self.keep_fits(space, fits, session.bar())?;
            if batch.last {
                exhausted.push(space);
                allocator.close(space);
            }
            if trials.len() < wanted {
                why = Some(Why::Late);
            } else if allocator.next().is_none() {
                why = Some(Why::Exhausted);
            }
            why = why.or(budget.stopped_early().map(Why::Stopped));
        }
        session.bar().done();
        self.ended(why, &exhausted, &proposers, &budget)?;
        Ok(true)
    }

    /// Appends the errors of predictor fits to the journal.
    fn keep_fits(&mut self, space: usize, fits: Vec<PredictorFit>, bar: &Progress) -> Result<(), RunError> {
        let space = self.experiments.all()[space].entry.name.clone();
        for f in fits {
            let f = PredictorFit { space: space.clone(), ..f };
            let tau = f.kendall.map_or_else(String::new, |t| format!(", Kendall's tau {t:.2}"));
            let row = JournalRow::PredictorFit(f.clone());
            if !self.folder.rows.contains(&row) {
                bar.say(&format!(
                    "predictor fitted on {}: mean error {:.3} on the next {}{tau}",
                    f.fitted_on, f.mean_error, f.trials
                ));
                self.folder.append(row)?;
            }
        }
        Ok(())
    }

    /// Writes down why a search ended, and what else its reader should know.
    fn ended(
        &mut self,
        why: Option<Why>,
        exhausted: &[usize],
        proposers: &[Proposer<'_>],
        budget: &Budget,
    ) -> Result<(), RunError> {
        let name = |p: &Experiment| p.entry.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        let spaces: Vec<String> = self.experiments.all().iter().map(name).collect();
        for space in exhausted.iter().filter(|_| !matches!(why, Some(Why::Late))) {
            let (proposer, name) = (&proposers[*space], &spaces[*space]);
            if !proposer.exact() {
                let seen = proposer.known();
                self.caveat(format!(
                    "The space{name} holds no more than {seen} different networks within the bounds."
                ))?;
            }
        }
        match why {
            Some(Why::Stopped(text)) => self.caveat(text)?,
            None if budget.scored() < self.experiment().config.search.trials => {
                let (scored, asked) = (budget.scored(), budget.asked);
                self.caveat(format!("Only {scored} of {asked} candidates met the bound on latency."))?;
            }
            _ => {}
        }
        for (proposer, name) in proposers.iter().zip(&spaces) {
            for note in proposer.notes() {
                self.caveat(if name.is_empty() { note } else { format!("Space{name}: {note}") })?;
            }
        }
        Ok(())
    }

    /// The observation of a trial.
    fn observe(&self, genome: Genome, trial: &Trial) -> Observation {
        let nothing = BTreeMap::new();
        let known = match &trial.outcome {
            TrialOutcome::Scored(metrics) | TrialOutcome::Infeasible { metrics, .. } => metrics,
            TrialOutcome::Failed { .. } => &nothing,
        };
        ask::observe(genome, known, &self.experiment().config.search)
    }

    /// Trials that the strategy asked for.
    pub(super) fn searched(&self) -> impl Iterator<Item = &Trial> {
        self.folder.rows.iter().filter_map(|r| match r {
            JournalRow::Trial(t) if t.origin == Origin::Search => Some(t),
            _ => None,
        })
    }

    pub(super) fn best_so_far(&self) -> String {
        let best = self.searched().filter_map(|t| t.score(metric::TOP1)).fold(f64::NAN, f64::max);
        if best.is_nan() { String::new() } else { format!("best top-1 {best:.2} %") }
    }

    fn variants(
        &mut self,
        space: usize,
        session: &mut ScoringSession<'_>,
        known: &mut KnownNetworks,
    ) -> Result<bool, RunError> {
        let (p, mut all) = (&self.experiments.all()[space], Vec::new());
        for v in p.space.family().variants() {
            let Ok(genome) = p.space.variant(v.id) else { continue };
            let graph = Arc::new(p.space.lower(&genome)?);
            let digest = graph.digest();
            known.insert(digest.clone(), None);
            let origin = Origin::Variant(v.id.to_string());
            let past = self.folder.rows.iter().find_map(|r| match r {
                JournalRow::Trial(t) if t.space == p.entry.name && t.origin == origin => Some(t.clone()),
                _ => None,
            });
            all.push((origin, Proposal { genome, graph, digest }, past));
        }
        let new = all.iter().filter(|(_, _, past)| past.is_none());
        let new: Vec<_> = new.map(|(origin, proposal, _)| (origin.clone(), proposal)).collect();
        let mut scored = self.score(space, &new, session, false)?.into_iter();
        for (_, proposal, past) in &all {
            let Some(trial) = past.clone().or_else(|| scored.next()) else { return Ok(false) };
            known.insert(proposal.digest.clone(), Some(self.observe(proposal.genome.clone(), &trial)));
        }
        Ok(true)
    }
}
