//! Asking a strategy: what it wants to try next, and what it is told of it. Knows nothing of journals and scoring.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mobilenas_record::metric::name as metric;
use mobilenas_space::ir::Graph;
use mobilenas_space::{CostCache, Genome};
use rand::Rng;

use super::RunError;
use mobilenas_record::Goal;

use crate::config::{self, Objective};
use crate::experiment::Experiment;
use crate::strategy::{Observation, Strategy};

/// Draws that may repeat known networks before the space counts as exhausted.
const REPEATS: usize = 500;

/// What is known of networks, by the digest of their graph; `None` while it is being found out.
pub type Seen = HashMap<String, Option<Observation>>;

/// A genome that no trial has had.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The genome.
    pub genome: Genome,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// Digest of that.
    pub digest: String,
}

/// What a strategy asked for in a step: genomes in its order with the digests of their networks, and, of these, the
/// networks that are not known yet, each once.
#[derive(Clone, Debug, Default)]
pub struct ProposalBatch {
    /// Genome and digest of all.
    pub all: Vec<(Genome, String)>,
    /// Those to find out about.
    pub fresh: Vec<Proposal>,
}

impl ProposalBatch {
    /// Whether there is nothing left to try, if `n` were wanted.
    pub fn ends(&self, exact: bool, n: usize) -> bool {
        self.all.is_empty() || (!exact && self.fresh.len() < n)
    }

    /// What is known of all by now.
    pub fn told(&self, seen: &Seen) -> Vec<Observation> {
        let known = |(genome, digest): &(Genome, String)| {
            seen.get(digest).and_then(Option::as_ref).map(|t| Observation { genome: genome.clone(), ..t.clone() })
        };
        self.all.iter().filter_map(known).collect()
    }
}

/// Asks a strategy for at most `n` genomes. What is new is in `seen` afterwards, if draws were replaced.
///
/// # Errors
/// When a genome makes no network.
pub fn ask(
    p: &Experiment,
    strategy: &mut dyn Strategy,
    n: usize,
    coster: &mut CostCache,
    seen: &mut Seen,
    rng: &mut dyn Rng,
) -> Result<ProposalBatch, RunError> {
    let mut asked = ProposalBatch::default();
    if !strategy.exact() {
        while asked.fresh.len() < n
            && let Some(one) = fresh(p, strategy, coster, seen, rng)?
        {
            asked.all.push((one.genome.clone(), one.digest.clone()));
            asked.fresh.push(one);
        }
        return Ok(asked);
    }
    for genome in strategy.ask(p.space.domain(), n, rng) {
        let graph = Arc::new(p.space.lower(&genome)?);
        let digest = graph.digest();
        asked.all.push((genome.clone(), digest.clone()));
        let waits = asked.fresh.iter().any(|f| f.digest == digest);
        if !waits && !matches!(seen.get(&digest), Some(Some(_))) {
            asked.fresh.push(Proposal { genome, graph, digest });
        }
    }
    Ok(asked)
}

/// A genome within the bounds whose network no trial has had; `None` when draws only repeat.
fn fresh(
    p: &Experiment,
    strategy: &mut dyn Strategy,
    coster: &mut CostCache,
    seen: &mut Seen,
    rng: &mut dyn Rng,
) -> Result<Option<Proposal>, RunError> {
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
            return Ok(Some(Proposal { genome, graph, digest }));
        }
    }
    Ok(None)
}

/// What a strategy is told of a genome's metrics.
pub fn told(genome: Genome, metrics: &BTreeMap<String, f64>, search: &config::Search) -> Observation {
    let (scores, violation) = (values(metrics, &search.objectives), violation(metrics, &search.bounds));
    Observation { genome, scores, violation }
}

/// The objectives' values with larger better; `None` if one is missing or no finite number.
pub fn values(metrics: &BTreeMap<String, f64>, objectives: &[Objective]) -> Option<Vec<f64>> {
    let one = |o: &Objective| {
        let v = metrics.get(&o.metric).copied().filter(|v| v.is_finite())?;
        Some(if o.goal == Goal::Maximize { v } else { -v })
    };
    objectives.iter().map(one).collect()
}

/// By how much metrics pass the bounds, each as a share of its bound, summed.
pub fn violation(metrics: &BTreeMap<String, f64>, bounds: &config::Bounds) -> f64 {
    let over = |name: &str, bound: Option<f64>| match (metrics.get(name), bound) {
        (Some(v), Some(b)) if *v > b => v / b - 1.0,
        _ => 0.0,
    };
    let under = |name: &str, bound: Option<f64>| match (metrics.get(name), bound) {
        (Some(v), Some(b)) if *v < b => 1.0 - v / b,
        _ => 0.0,
    };
    over(metric::PARAMS, bounds.params.map(|b| b as f64))
        + over(metric::MACS, bounds.macs.map(|b| b as f64))
        + over(metric::LATENCY, bounds.latency_ms)
        + under(metric::TOP1, bounds.top1)
}
