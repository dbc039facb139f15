//! Trials: the published variants first, then what the strategy asks for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{JournalRow, Origin, Trial, TrialOutcome};
use mobilenas_space::{CostCache, Genome};

use super::ask::{self, Proposal, Seen, values};
use super::budget::Budget;
use super::scoring::ScoringSession;
use super::{RunError, SearchPipeline};
use crate::config::Objective;
use crate::evaluator::SupernetEvaluator;
use crate::strategy::{self, Observation, Strategy};
use mobilenas_host::Progress;
use mobilenas_space::seed::{Purpose, rng};

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
    Still(String),
}

impl SearchPipeline<'_> {
    /// Scores variants and candidates until there are enough. False if the run was asked to stop.
    pub(super) fn trials(&mut self, scorer: SupernetEvaluator<'_>) -> Result<bool, RunError> {
        let p = self.experiment;
        let search = &p.config.search;
        let bar = (self.progress)("search");
        let root = self.folder.root().to_path_buf();
        let mut desk = ScoringSession::new(scorer, &root, &p.config, bar)?;
        let past: Vec<Trial> = self.searched().cloned().collect();
        desk.bar().begin(search.trials, past.iter().filter(|t| whole(t)).count() as u64);
        let mut seen = HashMap::new();
        if !self.variants(&mut desk, &mut seen)? {
            return Ok(false);
        }
        let mut strategy = strategy::from_config(&search.strategy, &p.space);
        let (mut coster, mut budget, mut step, mut why) = (CostCache::new(), Budget::new(search), 0, None);
        while why.is_none() && budget.left() > 0 {
            let mut rng = rng(p.config.seed, Purpose::Ask, step, 0);
            step += 1;
            let n = if strategy.exact() { usize::MAX } else { search.batch.max(1).min(budget.left()) as usize };
            let mut asked = ask::ask(p, strategy.as_mut(), n, &mut coster, &mut seen, &mut rng)?;
            if asked.ends(strategy.exact(), n) {
                why = Some(Why::Exhausted);
            }
            asked.fresh.truncate(budget.left() as usize);
            let (wanted, before) = (asked.fresh.len(), budget.asked);
            // On resuming, the strategy asks for the same again: what the journal knows is not scored twice.
            let known = past.get(before..).unwrap_or_default().iter().take(wanted);
            let mut trials: Vec<Trial> = known.cloned().collect();
            if trials.len() < wanted {
                let rest = &asked.fresh[trials.len()..];
                trials.extend(self.score(&Origin::Search, rest, &mut desk, strategy.exact())?);
            }
            if trials.len() < wanted && self.stop.asked() {
                return Ok(false);
            }
            if trials.len() < wanted {
                why = Some(Why::Late);
            }
            for (fresh, trial) in asked.fresh.iter().zip(&trials) {
                let one = self.told(fresh.genome.clone(), trial);
                budget.take(whole(trial), one.feasible().map(<[f64]>::to_vec));
                seen.insert(fresh.digest.clone(), Some(one));
            }
            self.tell(strategy.as_mut(), &asked.told(&seen), desk.bar())?;
            why = why.or(budget.still().map(Why::Still));
        }
        desk.bar().done();
        self.ended(why, strategy.as_ref(), &budget, seen.len())?;
        Ok(true)
    }

    /// Tells a strategy what came of what it asked for, and writes down how well it had foretold that.
    fn tell(&mut self, strategy: &mut dyn Strategy, told: &[Observation], bar: &Progress) -> Result<(), RunError> {
        strategy.tell(told);
        for f in strategy.foretold() {
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
        strategy: &dyn Strategy,
        budget: &Budget,
        seen: usize,
    ) -> Result<(), RunError> {
        match why {
            Some(Why::Exhausted) if !strategy.exact() => {
                self.caveat(format!("The space holds no more than {seen} different networks within the bounds."))?;
            }
            Some(Why::Still(text)) => self.caveat(text)?,
            None if budget.scored() < self.experiment.config.search.trials => {
                let (scored, asked) = (budget.scored(), budget.asked);
                self.caveat(format!("Only {scored} of {asked} candidates met the bound on latency."))?;
            }
            _ => {}
        }
        for note in strategy.notes() {
            self.caveat(note)?;
        }
        Ok(())
    }

    /// What a strategy is told of a trial.
    fn told(&self, genome: Genome, trial: &Trial) -> Observation {
        let nothing = BTreeMap::new();
        let known = match &trial.outcome {
            TrialOutcome::Scored(metrics) | TrialOutcome::Infeasible { metrics, .. } => metrics,
            TrialOutcome::Failed { .. } => &nothing,
        };
        ask::told(genome, known, &self.experiment.config.search)
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

    fn variants(&mut self, desk: &mut ScoringSession<'_>, seen: &mut Seen) -> Result<bool, RunError> {
        let (p, mut all) = (self.experiment, Vec::new());
        for v in p.space.family().variants() {
            let Ok(genome) = p.space.variant(v.id) else { continue };
            let graph = Arc::new(p.space.lower(&genome)?);
            let digest = graph.digest();
            seen.insert(digest.clone(), None);
            let origin = Origin::Variant(v.id.to_string());
            let known = self.folder.rows.iter().find_map(|r| match r {
                JournalRow::Trial(t) if t.origin == origin => Some(t.clone()),
                _ => None,
            });
            all.push((origin, Proposal { genome, graph, digest }, known));
        }
        let new = all.iter().filter(|(_, _, known)| known.is_none()).map(|(_, fresh, _)| fresh);
        if !self.time_ahead(new, desk) {
            return Ok(false);
        }
        for (origin, fresh, known) in all {
            let trial = match known {
                Some(trial) => trial,
                None => match self.score(&origin, std::slice::from_ref(&fresh), desk, false)?.pop() {
                    Some(trial) => trial,
                    None => return Ok(false),
                },
            };
            seen.insert(fresh.digest, Some(self.told(fresh.genome, &trial)));
        }
        Ok(true)
    }
}

/// Whether a trial counts: what a bound ended before its accuracy was known cost next to nothing.
pub(super) fn whole(t: &Trial) -> bool {
    match &t.outcome {
        TrialOutcome::Infeasible { metrics, .. } => metrics.contains_key(metric::TOP1),
        _ => true,
    }
}
