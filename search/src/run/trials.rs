//! Trials: the published variants first, then what the strategy asks for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use mobilenas_reports::record::{Origin, Outcome, Row, Trial, metric};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Coster, Genome, cost};
use mobilenas_torch::NetError;
use rand::Rng;

use super::{Run, RunError};
use crate::config::{Goal, Objective};
use crate::evaluate::Scorer;
use crate::metric::{Candidate, METRICS};
use crate::seed::{Purpose, rng};
use crate::strategy::{self, Strategy, Told};
use crate::train::TrainError;

/// Draws that may repeat known networks before the space counts as exhausted.
const REPEATS: usize = 500;

/// Failed trials in a row that end the run.
const FAILURES: usize = 5;

/// The objectives' values with larger better; `None` if one is missing or no finite number.
pub(super) fn scores(trial: &Trial, objectives: &[Objective]) -> Option<Vec<f64>> {
    let one = |o: &Objective| {
        let v = trial.score(&o.metric).filter(|v| v.is_finite())?;
        Some(if o.goal == Goal::Maximize { v } else { -v })
    };
    objectives.iter().map(one).collect()
}

/// A genome that no trial has had.
struct Fresh {
    genome: Genome,
    graph: Arc<Graph>,
    digest: String,
}

impl Run<'_> {
    /// Scores variants and candidates until there are enough. False if the run was asked to stop.
    pub(super) fn trials(&mut self, scorer: &mut Scorer<'_>) -> Result<bool, RunError> {
        let p = self.prepared;
        let search = &p.config.search;
        let mut seen: HashSet<String> = HashSet::new();
        if !self.variants(scorer, &mut seen)? {
            return Ok(false);
        }
        let past: Vec<Trial> = self.searched().cloned().collect();
        let (mut strategy, batch) = (strategy::from_config(&search.strategy), search.batch.max(1));
        let mut coster = Coster::new();
        let bar = (self.progress)("search");
        bar.begin(search.trials, self.scored());
        let (mut asked, mut exhausted) = (0usize, false);
        while !exhausted && self.scored() < search.trials && asked < 20 * search.trials as usize {
            let step = asked as u64 / batch;
            let mut rng = rng(p.config.seed, Purpose::Ask, step, 0);
            let mut told = Vec::new();
            for _ in 0..batch {
                let Some(fresh) = self.fresh(strategy.as_mut(), &mut coster, &mut seen, &mut rng)? else {
                    exhausted = true;
                    break;
                };
                // On resuming, the strategy asks for the same again: what the journal knows is not scored twice.
                let trial = match past.get(asked) {
                    Some(known) => known.clone(),
                    None if self.stop.asked() => return Ok(false),
                    None => self.score(Origin::Search, &fresh, scorer)?,
                };
                asked += 1;
                told.push(Told { genome: fresh.genome, scores: scores(&trial, &search.objectives) });
                bar.at(self.scored(), &self.best_so_far());
            }
            strategy.tell(&told);
        }
        bar.done();
        if exhausted {
            self.caveat(format!("The space holds no more than {} different networks within the bounds.", seen.len()))?;
        } else if self.scored() < search.trials {
            self.caveat(format!("Only {} of {asked} candidates met the bound on latency.", self.scored()))?;
        }
        Ok(true)
    }

    /// Trials that the strategy asked for.
    pub(super) fn searched(&self) -> impl Iterator<Item = &Trial> {
        self.folder.rows.iter().filter_map(|r| match r {
            Row::Trial(t) if t.origin == Origin::Search => Some(t),
            _ => None,
        })
    }

    fn scored(&self) -> u64 {
        self.searched().filter(|t| !matches!(t.outcome, Outcome::Infeasible { .. })).count() as u64
    }

    fn best_so_far(&self) -> String {
        let best = self.searched().filter_map(|t| t.score(metric::TOP1)).fold(f64::NAN, f64::max);
        if best.is_nan() { String::new() } else { format!("best top-1 {best:.2} %") }
    }

    fn variants(&mut self, scorer: &mut Scorer<'_>, seen: &mut HashSet<String>) -> Result<bool, RunError> {
        let p = self.prepared;
        for v in p.space.family().variants() {
            let Ok(genome) = p.space.variant(v.id) else { continue };
            let graph = Arc::new(p.space.lower(&genome)?);
            let digest = graph.digest();
            seen.insert(digest.clone());
            let origin = Origin::Variant(v.id.to_string());
            let known = self.folder.rows.iter().any(|r| matches!(r, Row::Trial(t) if t.origin == origin));
            if known {
                continue;
            }
            if self.stop.asked() {
                return Ok(false);
            }
            self.score(origin, &Fresh { genome, graph, digest }, scorer)?;
        }
        Ok(true)
    }

    /// A genome within the bounds whose network no trial has had; `None` when draws only repeat.
    fn fresh(
        &self,
        strategy: &mut dyn Strategy,
        coster: &mut Coster,
        seen: &mut HashSet<String>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Fresh>, RunError> {
        let p = self.prepared;
        let space = &p.space;
        for repeat in 0..REPEATS {
            let draw = |rng: &mut dyn Rng| {
                // A strategy that has settled keeps proposing the same: chance takes over.
                let asked = if repeat < REPEATS / 2 { strategy.ask(space, 1, rng).pop() } else { None };
                asked.unwrap_or_else(|| space.sample(rng))
            };
            let genome = p.bounds.meet(space, coster, &p.anchor, rng, draw)?;
            let graph = Arc::new(space.lower(&genome)?);
            let digest = graph.digest();
            if seen.insert(digest.clone()) {
                return Ok(Some(Fresh { genome, graph, digest }));
            }
        }
        Ok(None)
    }

    /// Scores a network, metric by metric in the order of their stage, and writes the row.
    fn score(&mut self, origin: Origin, fresh: &Fresh, scorer: &mut Scorer<'_>) -> Result<Trial, RunError> {
        let begin = self.clock.now();
        let mut c = Candidate {
            genome: fresh.genome.clone(),
            graph: fresh.graph.clone(),
            cost: cost::graph(&fresh.graph),
            known: BTreeMap::new(),
        };
        let bound = match origin {
            Origin::Search => self.prepared.config.search.bounds.latency_ms,
            Origin::Variant(_) => None,
        };
        let outcome = self.outcome(&mut c, bound, scorer);
        let trial = Trial {
            id: self.folder.rows.iter().filter(|r| matches!(r, Row::Trial(_))).count() as u64,
            origin,
            genome: self.prepared.space.values(&fresh.genome),
            digest: fresh.digest.clone(),
            outcome,
            latency: scorer.take_latency(),
            seconds: (self.clock.now() - begin).as_secs_f64(),
        };
        self.folder.append(Row::Trial(trial.clone()))?;
        let last: Vec<&Trial> = self.searched().collect();
        let failed = |t: &&&Trial| matches!(t.outcome, Outcome::Failed { .. });
        if let (Outcome::Failed { why }, count @ FAILURES..) =
            (&trial.outcome, last.iter().rev().take_while(failed).count())
        {
            return Err(RunError::Failing { count, why: why.clone() });
        }
        Ok(trial)
    }

    fn outcome(&self, c: &mut Candidate, latency_bound: Option<f64>, scorer: &mut Scorer<'_>) -> Outcome {
        for m in METRICS {
            match m.eval(c, scorer) {
                Ok(v) => c.known.insert(m.name().to_string(), v),
                Err(e) => return Outcome::Failed { why: e.to_string() },
            };
            let latency = c.known.get(metric::LATENCY).copied().unwrap_or(0.0);
            if let Some(bound) = latency_bound.filter(|b| m.name() == metric::LATENCY && latency > *b) {
                let why = format!("latency_ms {latency:.3} above the bound {bound}");
                return Outcome::Infeasible { why, metrics: c.known.clone() };
            }
        }
        match c.known.iter().find(|(_, v)| !v.is_finite()) {
            Some((name, v)) => {
                let e = TrainError::Net(NetError::Torch { at: name.clone(), message: format!("is {v}") });
                Outcome::Failed { why: e.to_string() }
            }
            None => Outcome::Scored(c.known.clone()),
        }
    }
}
