//! Strategies against random search: each several times on one supernet a space, hypervolume over trials.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::{dominates_by, hypervolume};
use mobilenas_reports::study::{SearchRun, StudyRow};
use mobilenas_space::ir::Graph;
use mobilenas_space::{Cost, Genome, cost, memory};
use mobilenas_strategy::Allocator;

use crate::Study;
use crate::plan::StudyInterrupt;
use crate::scorer::{Scorer, Wanted};
use crate::scores::{self, Score, Scores};
use mobilenas_host::Progress;
use mobilenas_pipeline::config::{self, Statistics, StrategyConfig};
use mobilenas_pipeline::experiment::{Experiment, ExperimentError, strategy_seed};
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_pipeline::pipeline::ask::{KnownNetworks, Proposal, Proposer, observe};

/// One objective of the searches, in the unit that hypervolumes are told in.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    metric: &'static str,
    /// What it is called.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    per_unit: f64,
    reference: f64,
    goal: Goal,
}

impl Axis {
    /// The reference in words.
    pub fn in_words(&self) -> String {
        let digits = if self.reference.abs() < 100.0 { 3 } else { 1 };
        let number = format!("{:.digits$}", self.reference);
        let number = number.trim_end_matches('0').trim_end_matches('.');
        format!("{number} {} {}", self.unit, self.name)
    }
}

/// A network that a search scored.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    /// Position of its space.
    pub space: usize,
    pub genome: Genome,
    pub digest: String,
    pub metrics: BTreeMap<String, f64>,
    /// Each objective's value with larger better; `None` outside the bounds.
    pub scores: Option<Vec<f64>>,
}

/// What scores networks: known scores, and who scores the others.
struct ScoringSession<'a> {
    scores: Scores,
    scorer: Scorer<'a>,
}

/// How far all searches are.
struct Bar {
    line: Progress,
    at: u64,
}

impl<'a> Study<'a> {
    /// The objectives with the one reference point of all searches: the accuracy of guessing, and the largest network of all
    /// spaces, or the bound.
    pub(super) fn axes(&self) -> Result<Vec<Axis>, RunError> {
        let (p, all) = (self.plan.experiment(), self.plan.experiments.all());
        let bounds = &p.config.search.bounds;
        let largest = |of: fn(&Cost) -> u64| all.iter().map(|p| of(&p.range[1])).max().unwrap_or(0);
        let bound = |most: u64, bound: Option<u64>| bound.map_or(most, |b| b.min(most)) as f64;
        let (mut all_memory, mut latency) = (0, f64::NAN);
        for p in all {
            let graph = p.space.lower(&p.space.largest())?;
            all_memory = all_memory.max(memory(&graph).bytes());
            latency = latency.max(latency_of(p, &graph)?.unwrap_or(f64::NAN));
        }
        // Guesses find no boxes and overlap with little; a classifier's are right for one class.
        let accuracy = p.task.metrics()[0];
        let guessed =
            if accuracy.name == metric::TOP1 { 100.0 / p.train.data.classes.len().max(1) as f64 } else { 0.0 };
        let noun = accuracy.noun();
        let known = [
            (accuracy.name, noun.as_str(), accuracy.unit, 1.0, guessed),
            (metric::MACS, "MACs", "M", 1e6, bound(largest(|c| c.macs), bounds.macs)),
            (metric::PARAMS, "params", "M", 1e6, bound(largest(|c| c.params), bounds.params)),
            (metric::MEMORY, "memory", "MiB", (1u64 << 20) as f64, all_memory as f64),
            (metric::LATENCY, "latency by the table", "ms", 1.0, latency),
        ];
        let axis = |o: &config::Objective| {
            let &(metric, name, unit, per_unit, worst) = known.iter().find(|k| k.0 == o.metric)?;
            let (goal, reference) = match o.goal {
                Goal::Minimize => (Goal::Minimize, worst / per_unit),
                Goal::Maximize if metric == accuracy.name => (Goal::Maximize, worst),
                Goal::Maximize => (Goal::Maximize, 0.0),
            };
            Some(Axis { metric, name: name.to_string(), unit, per_unit, reference, goal })
        };
        Ok(p.config.search.objectives.iter().filter_map(axis).collect())
    }

    /// The scores that are known.
    pub(super) fn scores(&self) -> Result<Scores, RunError> {
        Scores::open(self.folder.path(scores::FILE))
    }

    /// Runs every search that has no row.
    pub(super) fn searches(&mut self) -> Result<(), StudyInterrupt> {
        let (study, c) = (&self.plan.config.study, &self.plan.experiment().config);
        let strategies = self.plan.config.strategies();
        let mut desk = ScoringSession { scores: self.scores()?, scorer: self.scorer() };
        let mut bar = Bar { line: (self.progress)("search"), at: 0 };
        let each = c.search.trials;
        bar.line.begin(each * strategies.len() as u64 * study.seeds, 0);
        for seed in (0..study.seeds).map(|k| c.seed + k) {
            for config in &strategies {
                let name = config.label();
                let is = |r: &StudyRow| matches!(r, StudyRow::Search(s) if s.strategy == name && s.seed == seed);
                let end = bar.at + each;
                if !self.folder.rows.iter().any(is) {
                    let (mut row, tried) = self.search(config, seed, &mut desk, &mut bar)?;
                    if (tried.len() as u64) < each {
                        self.caveat(format!(
                            "{name} with seed {seed} ended by itself after {} of {each} trials; it is held against the \
                             others with what it had.",
                            tried.len()
                        ))?;
                    }
                    if let Some(&(_, volume)) = row.volume.last().filter(|(at, _)| *at < each) {
                        row.volume.push((each, volume));
                        row.cost.push(row.seconds);
                    }
                    self.folder.append(StudyRow::Search(row))?;
                }
                bar.at = end;
                bar.line.at(end, &format!("{name}, seed {seed}"));
            }
        }
        bar.line.done();
        Ok(())
    }

    /// What the searches of `search.strategy` tried, all seeds after each other: they are repeated on the known scores.
    pub(super) fn tried(&self) -> Result<Vec<Tried>, StudyInterrupt> {
        let (study, c) = (&self.plan.config.study, &self.plan.experiment().config);
        let mut desk = ScoringSession { scores: self.scores()?, scorer: self.scorer() };
        let mut bar = Bar { line: Progress::hidden(), at: 0 };
        let mut all = Vec::new();
        for seed in (0..study.seeds).map(|k| c.seed + k) {
            all.extend(self.search(&c.search.strategy, seed, &mut desk, &mut bar)?.1);
        }
        Ok(all)
    }

    /// One search, from its first trial to its last.
    fn search(
        &self,
        config: &StrategyConfig,
        seed: u64,
        desk: &mut ScoringSession<'a>,
        bar: &mut Bar,
    ) -> Result<(SearchRun, Vec<Tried>), StudyInterrupt> {
        let (all, search, axes) = (self.plan.experiments.all(), &self.plan.experiment().config.search, self.axes()?);
        let proposer = |(space, p)| Proposer::new(p, config, strategy_seed(seed, space), KnownNetworks::new());
        let mut proposers: Vec<Proposer> = all.iter().enumerate().map(proposer).collect();
        let mut allocator = Allocator::new(search.allocation, all.len());
        let (name, mut curve, mut tried) = (config.label(), Curve::new(&axes), Vec::new());
        let mut seconds = 0.0;
        while (tried.len() as u64) < search.trials
            && let Some(space) = allocator.next()
        {
            let proposer = &mut proposers[space];
            let left = (search.trials - tried.len() as u64) as usize;
            let n = if proposer.exact() { left } else { left.min(search.batch.max(1) as usize) };
            let mut batch = proposer.ask(n)?;
            self.score(space, &batch.proposals, desk)?;
            for proposal in batch.proposals.drain(..) {
                let (metrics, took) = metrics(&all[space], &proposal, &desk.scores)?;
                let observation = observe(proposal.genome.clone(), &metrics, search);
                seconds += took;
                let scores = observation.feasible().map(<[f64]>::to_vec);
                allocator.tell(space, observation.feasible());
                curve.add(scores.is_some().then_some(&metrics), seconds);
                proposer.record(&proposal.digest, observation);
                tried.push(Tried { space, genome: proposal.genome, digest: proposal.digest, metrics, scores });
                bar.at += 1;
                bar.line.at(bar.at, &format!("{name}, seed {seed}"));
            }
            proposer.tell(&batch);
            if batch.last {
                allocator.close(space);
            }
        }
        let front = curve.front();
        let (volume, cost) = curve.end();
        Ok((SearchRun { strategy: name, seed, volume, cost, front, seconds }, tried))
    }

    /// Scores the networks whose scores are not known.
    fn score(&self, space: usize, proposals: &[Proposal], desk: &mut ScoringSession<'a>) -> Result<(), StudyInterrupt> {
        let p = &self.plan.experiments.all()[space];
        let ScoringSession { scores, scorer } = desk;
        let of = p.entry.name.as_ref();
        let unknown: Vec<&Proposal> = proposals.iter().filter(|one| scores.get(of, &one.digest).is_none()).collect();
        let wanted = |one: &&Proposal| Wanted {
            space,
            name: one.digest.clone(),
            genome: p.space.values(&one.genome),
            graph: one.graph.clone(),
        };
        let wanted: Vec<Wanted> = unknown.iter().map(wanted).collect();
        let recalibrated = p.config.scoring.statistics == Statistics::Recalibrated;
        scorer.score((0, recalibrated), &wanted, |i, seconds, metrics| {
            let (digest, genome) = (unknown[i].digest.clone(), wanted[i].genome.clone());
            scores.add(Score { digest, space: of.cloned(), genome, metrics, seconds })
        })
    }
}

/// A network's latency by the table, where latencies come from one.
fn latency_of(p: &Experiment, graph: &Graph) -> Result<Option<f64>, RunError> {
    let by_table = p.table.as_ref().map(|table| table.latency(graph)).transpose();
    Ok(by_table.map_err(ExperimentError::from)?)
}

/// A network's metrics, and the seconds that its score took when it was computed.
fn metrics(p: &Experiment, proposal: &Proposal, scores: &Scores) -> Result<(BTreeMap<String, f64>, f64), RunError> {
    let known = scores.get(p.entry.name.as_ref(), &proposal.digest);
    let (mut all, seconds) = known.map_or_else(Default::default, |s| (s.metrics.clone(), s.seconds));
    let cost = cost::graph(&proposal.graph);
    all.insert(metric::PARAMS.to_string(), cost.params as f64);
    all.insert(metric::MACS.to_string(), cost.macs as f64);
    all.insert(metric::MEMORY.to_string(), memory(&proposal.graph).bytes() as f64);
    all.extend(latency_of(p, &proposal.graph)?.map(|latency| (metric::LATENCY.to_string(), latency)));
    Ok((all, seconds))
}

/// Hypervolume over trials.
struct Curve<'a> {
    axes: &'a [Axis],
    goals: Vec<Goal>,
    front: Vec<Vec<f64>>,
    trials: u64,
    seconds: f64,
    points: Vec<(u64, f64)>,
    /// Seconds until each of the points.
    cost: Vec<f64>,
}

impl<'a> Curve<'a> {
    fn new(axes: &'a [Axis]) -> Curve<'a> {
        let goals = axes.iter().map(|a| a.goal).collect();
        Curve { axes, goals, front: Vec::new(), trials: 0, seconds: 0.0, points: Vec::new(), cost: Vec::new() }
    }

    /// One more trial, and the seconds up to its score; `None` for one outside the bounds.
    fn add(&mut self, metrics: Option<&BTreeMap<String, f64>>, seconds: f64) {
        self.trials += 1;
        self.seconds = seconds;
        let Some(metrics) = metrics else { return };
        let value = |a: &Axis| metrics.get(a.metric).map_or(f64::NAN, |v| v / a.per_unit);
        let point: Vec<f64> = self.axes.iter().map(value).collect();
        let goals = &self.goals;
        if self.front.iter().any(|f| f == &point || dominates_by(f, &point, goals)) {
            return;
        }
        self.front.retain(|f| !dominates_by(&point, f, goals));
        self.front.push(point);
        let reference: Vec<f64> = self.axes.iter().map(|a| a.reference).collect();
        let now = hypervolume(&self.front, &reference, goals);
        if self.points.last().is_none_or(|(_, v)| now > *v) {
            self.push(now);
        }
    }

    fn push(&mut self, volume: f64) {
        self.points.push((self.trials, volume));
        self.cost.push(self.seconds);
    }

    /// The objectives of the networks on the front, best first.
    fn front(&self) -> Vec<BTreeMap<String, f64>> {
        let mut sorted = self.front.clone();
        sorted.sort_by(|a, b| {
            b.iter().zip(a).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        });
        // What is told in units of a million or so is a whole number.
        let whole = |a: &Axis, v: f64| if a.per_unit == 1.0 { v } else { (v * a.per_unit).round() };
        let named = |point: Vec<f64>| -> BTreeMap<String, f64> {
            self.axes.iter().zip(point).map(|(a, v)| (a.metric.to_string(), whole(a, v))).collect()
        };
        sorted.into_iter().map(named).collect()
    }

    /// The points, the last one at the last trial, and the seconds until each.
    fn end(mut self) -> (Vec<(u64, f64)>, Vec<f64>) {
        let last = self.points.last().map_or(0.0, |(_, v)| *v);
        if self.points.last().is_none_or(|(at, _)| *at < self.trials) && self.trials > 0 {
            self.push(last);
        }
        (self.points, self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(metric: &'static str, reference: f64, goal: Goal) -> Axis {
        Axis { metric, name: metric.to_string(), unit: "M", per_unit: 1e6, reference, goal }
    }

    #[test]
    fn volume_rises_only_where_the_front_does() {
        let top1 = Axis { per_unit: 1.0, unit: "%", ..axis(metric::TOP1, 10.0, Goal::Maximize) };
        let axes = [top1, axis(metric::MACS, 2.0, Goal::Minimize)];
        let mut curve = Curve::new(&axes);
        let point = |top1: f64, macs: f64| BTreeMap::from([("top1".to_string(), top1), ("macs".to_string(), macs)]);
        curve.add(None, 1.0);
        curve.add(Some(&point(20.0, 1e6)), 3.0);
        curve.add(Some(&point(15.0, 1.5e6)), 4.0);
        curve.add(Some(&point(15.0, 5e5)), 6.0);
        curve.add(Some(&point(99.0, 3e6)), 7.0);
        let front: Vec<f64> = curve.front().iter().map(|m| m["macs"]).collect();
        assert_eq!(front, [3e6, 1e6, 5e5], "the best first");
        assert_eq!(curve.end(), (vec![(2, 10.0), (4, 12.5), (5, 12.5)], vec![3.0, 6.0, 7.0]));
        assert_eq!(axes[1].in_words(), "2 M macs");
    }
}
