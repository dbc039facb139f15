//! Proposals: the genomes that a strategy asks for, as networks to score. Knows nothing of journals and scoring.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::PredictorFit;
use mobilenas_space::ir::Graph;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_space::{CostCache, Genome};
use mobilenas_strategy::{Observation, Strategy, StrategyConfig};
use rand::Rng;

use super::RunError;
use crate::config::{self, Objective};
use crate::experiment::Experiment;
use crate::strategy::space_info;

/// Draws that may repeat known networks before the space counts as exhausted.
const REPEATS: usize = 500;

/// Results of networks by the digest of their graph; `None` while a network is being scored.
pub type KnownNetworks = HashMap<String, Option<Observation>>;

/// A network to score.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The genome.
    pub genome: Genome,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// Digest of the graph.
    pub digest: String,
}

/// What a strategy asked for in one step.
#[derive(Clone, Debug, Default)]
pub struct ProposalBatch {
    /// All genomes, in the strategy's order, with the digests of their graphs.
    asked: Vec<(Genome, String)>,
    /// The networks among them to score, each once.
    pub proposals: Vec<Proposal>,
    /// Whether it is the last batch.
    pub last: bool,
}

/// A strategy that searches the space of an experiment.
pub struct Proposer<'a> {
    experiment: &'a Experiment,
    strategy: Box<dyn Strategy>,
    exact: bool,
    seed: u64,
    step: u64,
    coster: CostCache,
    known: KnownNetworks,
}

impl<'a> Proposer<'a> {
    /// A strategy before its first step. Networks that are `known` are not proposed, unless the strategy is exact.
    pub fn new(experiment: &'a Experiment, config: &StrategyConfig, seed: u64, known: KnownNetworks) -> Proposer<'a> {
        let strategy = config.build(&space_info(&experiment.space, &experiment.config.search.objectives));
        let exact = config.kind().capabilities.exact;
        Proposer { experiment, strategy, exact, seed, step: 0, coster: CostCache::new(), known }
    }

    /// Whether the genomes that the strategy asks for are scored as they are.
    pub fn exact(&self) -> bool {
        self.exact
    }

    /// Number of networks that are known or being scored.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// At most `n` proposals.
    ///
    /// # Errors
    /// When a genome makes no network.
    pub fn ask(&mut self, n: usize) -> Result<ProposalBatch, RunError> {
        let mut rng = rng(self.seed, Purpose::Ask, self.step, 0);
        self.step += 1;
        let mut batch = ProposalBatch::default();
        if !self.exact {
            while batch.proposals.len() < n
                && let Some(proposal) = self.unknown(&mut rng)?
            {
                batch.asked.push((proposal.genome.clone(), proposal.digest.clone()));
                batch.proposals.push(proposal);
            }
            batch.last = batch.proposals.len() < n;
            return Ok(batch);
        }
        let space = &self.experiment.space;
        for genome in self.strategy.ask(space.domain(), n, &mut rng) {
            let graph = Arc::new(space.lower(&genome)?);
            let digest = graph.digest();
            batch.asked.push((genome.clone(), digest.clone()));
            let proposed = batch.proposals.iter().any(|p| p.digest == digest);
            if !proposed && !matches!(self.known.get(&digest), Some(Some(_))) {
                batch.proposals.push(Proposal { genome, graph, digest });
            }
        }
        batch.last = batch.asked.is_empty();
        Ok(batch)
    }

    /// A feasible genome of an unknown network; `None` when draws only repeat.
    fn unknown(&mut self, rng: &mut dyn Rng) -> Result<Option<Proposal>, RunError> {
        let Experiment { space, bounds, anchor, .. } = self.experiment;
        for repeat in 0..REPEATS {
            let draw = |rng: &mut dyn Rng| {
                // A strategy that has converged keeps asking for the same genomes: then they are drawn at random.
                let asked = if repeat < REPEATS / 2 { self.strategy.ask(space.domain(), 1, rng).pop() } else { None };
                asked.unwrap_or_else(|| space.sample(rng))
            };
            let genome = bounds.meet(space, &mut self.coster, anchor, rng, draw)?;
            let graph = Arc::new(space.lower(&genome)?);
            let digest = graph.digest();
            if let Entry::Vacant(place) = self.known.entry(digest.clone()) {
                place.insert(None);
                return Ok(Some(Proposal { genome, graph, digest }));
            }
        }
        Ok(None)
    }

    /// Takes the result of a proposal.
    pub fn record(&mut self, digest: &str, observation: Observation) {
        self.known.insert(digest.to_string(), Some(observation));
    }

    /// Tells the strategy the results of a batch. Returns the errors of predictor fits that are complete.
    pub fn tell(&mut self, batch: &ProposalBatch) -> Vec<PredictorFit> {
        let observation = |(genome, digest): &(Genome, String)| {
            let known = self.known.get(digest).and_then(Option::as_ref);
            known.map(|o| Observation { genome: genome.clone(), ..o.clone() })
        };
        let observations: Vec<Observation> = batch.asked.iter().filter_map(observation).collect();
        self.strategy.tell(&observations);
        self.strategy.fits()
    }

    /// How the search went, in sentences for the report.
    pub fn notes(&self) -> Vec<String> {
        self.strategy.notes()
    }
}

/// The observation of a genome with these metrics.
pub fn observe(genome: Genome, metrics: &BTreeMap<String, f64>, search: &config::Search) -> Observation {
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

/// Constraint violation: each excess over a bound as a share of the bound, summed.
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
