//! Trials: the published variants first, then what the strategy asks for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mobilenas_reports::record::{Origin, Outcome, Row, Trial, metric};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Coster, Genome, cost};
use mobilenas_torch::NetError;
use rand::Rng;

use super::{Run, RunError};
use crate::config::{self, Goal, Objective};
use crate::evaluate::Scorer;
use crate::metric::{self as metrics, Candidate};
use crate::seed::{Purpose, rng};
use crate::strategy::{self, Strategy, Told};
use crate::train::TrainError;

/// Draws that may repeat known networks before the space counts as exhausted.
const REPEATS: usize = 500;

/// The objectives' values with larger better; `None` if the trial was not scored, or one is missing or no finite number.
pub(super) fn scores(trial: &Trial, objectives: &[Objective]) -> Option<Vec<f64>> {
    match &trial.outcome {
        Outcome::Scored(metrics) => values(metrics, objectives),
        _ => None,
    }
}

fn values(metrics: &BTreeMap<String, f64>, objectives: &[Objective]) -> Option<Vec<f64>> {
    let one = |o: &Objective| {
        let v = metrics.get(&o.metric).copied().filter(|v| v.is_finite())?;
        Some(if o.goal == Goal::Maximize { v } else { -v })
    };
    objectives.iter().map(one).collect()
}

/// By how much metrics pass the bounds, each as a share of its bound, summed.
fn violation(metrics: &BTreeMap<String, f64>, bounds: &config::Bounds) -> f64 {
    let over = |name: &str, bound: Option<f64>| match (metrics.get(name), bound) {
        (Some(v), Some(b)) if *v > b => v / b - 1.0,
        _ => 0.0,
    };
    over(metric::PARAMS, bounds.params.map(|b| b as f64))
        + over(metric::MACS, bounds.macs.map(|b| b as f64))
        + over(metric::LATENCY, bounds.latency_ms)
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
        let mut seen = HashMap::new();
        if !self.variants(scorer, &mut seen)? {
            return Ok(false);
        }
        let past: Vec<Trial> = self.searched().cloned().collect();
        let (mut strategy, batch) = (strategy::from_config(&search.strategy), search.batch.max(1));
        let mut coster = Coster::new();
        let bar = (self.progress)("search");
        bar.begin(search.trials, self.scored());
        let (mut asked, mut step, mut exhausted, mut late) = (0usize, 0, false, false);
        while !exhausted && !late && self.scored() < search.trials && asked < 20 * search.trials as usize {
            let mut rng = rng(p.config.seed, Purpose::Ask, step, 0);
            step += 1;
            let (asked_for, mut told) = self.ask(strategy.as_mut(), &mut coster, &mut seen, &mut rng)?;
            exhausted =
                asked_for.is_empty() && told.is_empty() || (!strategy.exact() && asked_for.len() < batch as usize);
            let new: Vec<&Fresh> = asked_for.iter().skip(past.len().saturating_sub(asked)).collect();
            if !self.time_ahead(&new, scorer) {
                return Ok(false);
            }
            for fresh in asked_for {
                late = search.minutes.is_some_and(|m| self.seconds_before(asked) >= 60.0 * m);
                if late {
                    break;
                }
                // On resuming, the strategy asks for the same again: what the journal knows is not scored twice.
                let trial = match past.get(asked) {
                    Some(known) => known.clone(),
                    None if self.stop.asked() => return Ok(false),
                    None => self.score(Origin::Search, &fresh, scorer, strategy.exact())?,
                };
                asked += 1;
                let one = self.told(fresh.genome, &trial);
                seen.insert(fresh.digest, Some(one.clone()));
                told.push(one);
                bar.at(self.scored(), &self.best_so_far());
            }
            strategy.tell(&told);
        }
        bar.done();
        if exhausted && !strategy.exact() {
            self.caveat(format!("The space holds no more than {} different networks within the bounds.", seen.len()))?;
        } else if !exhausted && !late && self.scored() < search.trials {
            self.caveat(format!("Only {} of {asked} candidates met the bound on latency.", self.scored()))?;
        }
        for note in strategy.notes() {
            self.caveat(note)?;
        }
        Ok(true)
    }

    /// Times networks together, where latencies are measured so. False if the run was asked to stop.
    fn time_ahead(&self, new: &[&Fresh], scorer: &mut Scorer<'_>) -> bool {
        let space = &self.prepared.space;
        let block: Vec<_> = new.iter().map(|f| (f.digest.clone(), space.design(&f.genome))).collect();
        scorer.time_ahead(&block, self.stop)
    }

    /// What a strategy wants to try next, and what is known already of what it wants.
    fn ask(
        &self,
        strategy: &mut dyn Strategy,
        coster: &mut Coster,
        seen: &mut HashMap<String, Option<Told>>,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<Fresh>, Vec<Told>), RunError> {
        let p = self.prepared;
        let batch = p.config.search.batch.max(1) as usize;
        let (mut fresh, mut told) = (Vec::new(), Vec::new());
        if !strategy.exact() {
            while fresh.len() < batch
                && let Some(one) = self.fresh(strategy, coster, seen, rng)?
            {
                fresh.push(one);
            }
            return Ok((fresh, told));
        }
        for genome in strategy.ask(p.space.domain(), batch, rng) {
            let graph = Arc::new(p.space.lower(&genome)?);
            let digest = graph.digest();
            match seen.get(&digest) {
                Some(Some(known)) => told.push(Told { genome, ..known.clone() }),
                _ => fresh.push(Fresh { genome, graph, digest }),
            }
        }
        Ok((fresh, told))
    }

    /// What a strategy is told of a trial.
    fn told(&self, genome: Genome, trial: &Trial) -> Told {
        let search = &self.prepared.config.search;
        let nothing = BTreeMap::new();
        let known = match &trial.outcome {
            Outcome::Scored(metrics) | Outcome::Infeasible { metrics, .. } => metrics,
            Outcome::Failed { .. } => &nothing,
        };
        Told { genome, scores: values(known, &search.objectives), violation: violation(known, &search.bounds) }
    }

    /// Seconds that scoring the first candidates took.
    fn seconds_before(&self, asked: usize) -> f64 {
        self.searched().take(asked).map(|t| t.seconds).sum()
    }

    /// Trials that the strategy asked for.
    pub(super) fn searched(&self) -> impl Iterator<Item = &Trial> {
        self.folder.rows.iter().filter_map(|r| match r {
            Row::Trial(t) if t.origin == Origin::Search => Some(t),
            _ => None,
        })
    }

    fn scored(&self) -> u64 {
        // What a bound ended before its accuracy was known cost next to nothing.
        let whole = |t: &&Trial| match &t.outcome {
            Outcome::Infeasible { metrics, .. } => metrics.contains_key(metric::TOP1),
            _ => true,
        };
        self.searched().filter(whole).count() as u64
    }

    fn best_so_far(&self) -> String {
        let best = self.searched().filter_map(|t| t.score(metric::TOP1)).fold(f64::NAN, f64::max);
        if best.is_nan() { String::new() } else { format!("best top-1 {best:.2} %") }
    }

    fn variants(
        &mut self,
        scorer: &mut Scorer<'_>,
        seen: &mut HashMap<String, Option<Told>>,
    ) -> Result<bool, RunError> {
        let (p, mut all) = (self.prepared, Vec::new());
        for v in p.space.family().variants() {
            let Ok(genome) = p.space.variant(v.id) else { continue };
            let graph = Arc::new(p.space.lower(&genome)?);
            let digest = graph.digest();
            seen.insert(digest.clone(), None);
            let origin = Origin::Variant(v.id.to_string());
            let known = self.folder.rows.iter().find_map(|r| match r {
                Row::Trial(t) if t.origin == origin => Some(t.clone()),
                _ => None,
            });
            all.push((origin, Fresh { genome, graph, digest }, known));
        }
        let new: Vec<&Fresh> = all.iter().filter(|(_, _, known)| known.is_none()).map(|(_, fresh, _)| fresh).collect();
        if !self.time_ahead(&new, scorer) {
            return Ok(false);
        }
        for (origin, fresh, known) in all {
            let trial = match known {
                Some(trial) => trial,
                None if self.stop.asked() => return Ok(false),
                None => self.score(origin, &fresh, scorer, false)?,
            };
            seen.insert(fresh.digest, Some(self.told(fresh.genome, &trial)));
        }
        Ok(true)
    }

    /// A genome within the bounds whose network no trial has had; `None` when draws only repeat.
    fn fresh(
        &self,
        strategy: &mut dyn Strategy,
        coster: &mut Coster,
        seen: &mut HashMap<String, Option<Told>>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Fresh>, RunError> {
        let p = self.prepared;
        let space = &p.space;
        for repeat in 0..REPEATS {
            let draw = |rng: &mut dyn Rng| {
                // A strategy that has settled keeps proposing the same: chance takes over.
                let asked = if repeat < REPEATS / 2 { strategy.ask(space.domain(), 1, rng).pop() } else { None };
                asked.unwrap_or_else(|| space.sample(rng))
            };
            let genome = p.bounds.meet(space, coster, &p.anchor, rng, draw)?;
            let graph = Arc::new(space.lower(&genome)?);
            let digest = graph.digest();
            if let Entry::Vacant(place) = seen.entry(digest.clone()) {
                place.insert(None);
                return Ok(Some(Fresh { genome, graph, digest }));
            }
        }
        Ok(None)
    }

    /// Scores a network, metric by metric in the order of their stage, and writes the row. If `whole`, a bound that it
    /// misses ends nothing.
    fn score(
        &mut self,
        origin: Origin,
        fresh: &Fresh,
        scorer: &mut Scorer<'_>,
        whole: bool,
    ) -> Result<Trial, RunError> {
        let begin = self.clock.now();
        let mut c = Candidate {
            genome: fresh.genome.clone(),
            graph: fresh.graph.clone(),
            cost: cost::graph(&fresh.graph),
            known: BTreeMap::new(),
        };
        let search = &self.prepared.config.search;
        let bounds = match origin {
            Origin::Search => search.bounds.clone(),
            Origin::Variant(_) => config::Bounds::default(),
        };
        let mut outcome = self.outcome(&mut c, &bounds, scorer, whole);
        for again in 0..search.retries {
            let Outcome::Failed { .. } = &outcome else { break };
            c.known.clear();
            outcome = self.outcome(&mut c, &bounds, scorer, whole);
            if let Outcome::Failed { why } = &mut outcome {
                *why = format!("{why} (tried {} times)", again + 2);
            }
        }
        let trial = Trial {
            id: self.folder.rows.iter().filter(|r| matches!(r, Row::Trial(_))).count() as u64,
            origin,
            genome: self.prepared.space.values(&fresh.genome),
            digest: fresh.digest.clone(),
            outcome,
            latency: scorer.take_latency(),
            seconds: (self.clock.now() - begin).as_secs_f64() + scorer.seconds_ahead(&fresh.digest),
        };
        self.folder.append(Row::Trial(trial.clone()))?;
        let last: Vec<&Trial> = self.searched().collect();
        let failed = |t: &&&Trial| matches!(t.outcome, Outcome::Failed { .. });
        let count = last.iter().rev().take_while(failed).count();
        match &trial.outcome {
            Outcome::Failed { why } if count >= self.prepared.config.search.failures => {
                return Err(RunError::Failing { count, why: why.clone() });
            }
            _ => {}
        }
        Ok(trial)
    }

    fn outcome(&self, c: &mut Candidate, bounds: &config::Bounds, scorer: &mut Scorer<'_>, whole: bool) -> Outcome {
        let mut missed = None;
        for m in metrics::wanted(&self.prepared.config.search) {
            match m.eval(c, scorer) {
                // A proxy that is no number says nothing, which is no failure of the network.
                Ok(v) if m.stage() == metrics::Stage::Untrained && !v.is_finite() => continue,
                Ok(v) => c.known.insert(m.name().to_string(), v),
                Err(e) => return Outcome::Failed { why: e.to_string() },
            };
            if missed.is_none() && violation(&c.known, bounds) > 0.0 {
                missed = Some(missed_in_words(&c.known, bounds));
            }
            if let Some(why) = missed.as_ref().filter(|_| !whole) {
                return Outcome::Infeasible { why: why.clone(), metrics: c.known.clone() };
            }
        }
        if let Some(why) = missed {
            return Outcome::Infeasible { why, metrics: c.known.clone() };
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

/// The bounds that metrics pass, in words.
fn missed_in_words(metrics: &BTreeMap<String, f64>, bounds: &config::Bounds) -> String {
    let all = [
        (metric::PARAMS, bounds.params.map(|b| b as f64), 0),
        (metric::MACS, bounds.macs.map(|b| b as f64), 0),
        (metric::LATENCY, bounds.latency_ms, 3),
    ];
    let word = |(name, bound, digits): (&str, Option<f64>, usize)| {
        let (v, b) = (metrics.get(name)?, bound?);
        (*v > b).then(|| format!("{name} {v:.digits$} above the bound {b}"))
    };
    all.into_iter().filter_map(word).collect::<Vec<_>>().join(", ")
}
