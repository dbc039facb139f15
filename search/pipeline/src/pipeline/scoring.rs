//! Scoring candidates: metrics in the order of their stage, by this process, by workers or by all ranks, and the rows that come of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{JournalRow, Latency, Origin, Trial, TrialOutcome};
use mobilenas_space::cost;

use super::ask::{Proposal, violation};
use super::budget::whole;
use super::scoring_pool::{Among, ScoringPool};
use super::{RunError, SearchPipeline};
use crate::config::{self, Config};
use crate::evaluator::{Evaluator as _, SupernetEvaluator};
use crate::metric::{self as metrics, Candidate, Metric, Stage};
use crate::worker::{self, Job, Kind, again, evaluate};
use mobilenas_bench::on_device::OnDevice;
use mobilenas_host::Progress;
use mobilenas_host::cache::Cache;

/// Who scores, and what is known of other runs.
pub(super) struct ScoringSession<'a> {
    /// The supernet of each space.
    pub(super) scorers: Vec<SupernetEvaluator<'a>>,
    /// Others, if there are.
    pub(super) pool: Option<ScoringPool<'a>>,
    /// The device that takes latencies, if one does.
    pub(super) device: Option<OnDevice<'a>>,
    sink: ScoreSink,
}

/// What goes with a trial beside its row.
struct ScoreSink {
    /// Scores of other runs on the weights of each space.
    caches: Vec<Cache>,
    bar: Progress,
    /// Whether some with another processor than this one's score: what they find out is not that of this protocol.
    mixed: Arc<AtomicBool>,
}

/// A candidate under way.
struct PendingTrial {
    origin: Origin,
    bounds: config::Bounds,
    /// Position of its space.
    space: usize,
    candidate: Candidate,
    digest: String,
    /// The bound that it missed, in words.
    missed: Option<String>,
    /// How it ended, if it did.
    end: Option<TrialOutcome>,
    latency: Option<Latency>,
    /// Metrics that it still needs.
    left: Vec<&'static dyn Metric>,
    cached: Vec<String>,
    seconds: f64,
}

impl PendingTrial {
    /// Notes the bounds that it misses so far.
    fn bound(&mut self) {
        if violation(&self.candidate.known, &self.bounds) > 0.0 {
            self.missed = Some(missed_in_words(&self.candidate.known, &self.bounds));
        }
    }
}

/// The bounds that metrics pass, in words.
pub(super) fn missed_in_words(metrics: &BTreeMap<String, f64>, bounds: &config::Bounds) -> String {
    let all = [
        (metric::PARAMS, bounds.params.map(|b| b as f64), 0, true),
        (metric::MACS, bounds.macs.map(|b| b as f64), 0, true),
        (metric::LATENCY, bounds.latency_ms, 3, true),
        (metric::TOP1, bounds.top1, 2, false),
    ];
    let word = |(name, bound, digits, most): (&str, Option<f64>, usize, bool)| {
        let (v, b) = (*metrics.get(name)?, bound?);
        let side = if most { "above" } else { "below" };
        (if most { v > b } else { v < b }).then(|| format!("{name} {v:.digits$} {side} the bound {b}"))
    };
    all.into_iter().filter_map(word).collect::<Vec<_>>().join(", ")
}

/// What other runs found out about networks: of what, and by which protocol. Nothing, if the config does not want it.
///
/// # Errors
/// Where the file is and what is wrong with it.
pub(super) fn kept(root: &Path, search: &config::Search, [of, protocol]: [&str; 2]) -> Result<Cache, String> {
    if !search.cache.enabled {
        return Ok(Cache::none());
    }
    let beside = root.parent().unwrap_or(Path::new("")).join("scores");
    let folder = search.cache.dir.clone().unwrap_or(beside);
    Cache::open(&folder, of, protocol).map_err(|e| format!("{}: {e}", folder.display()))
}

impl<'a> ScoringSession<'a> {
    /// Progress of the search.
    pub(super) fn bar(&self) -> &Progress {
        &self.sink.bar
    }

    /// A scorer for each space, workers if the config wants several, else the other ranks, and the scores of other runs.
    pub(super) fn new(
        scorers: Vec<SupernetEvaluator<'a>>,
        root: &Path,
        config: &Config,
        bar: Progress,
        among: Among<'a>,
    ) -> Result<ScoringSession<'a>, RunError> {
        let search = &config.search;
        let cache = |scorer: &SupernetEvaluator<'_>| -> Result<Cache, RunError> {
            if !search.cache.enabled {
                return Ok(Cache::none());
            }
            let [weights, protocol] = scorer.digests(config.scoring_threads())?;
            Ok(kept(root, search, [&weights, &protocol]).unwrap_or_else(|why| {
                bar.say(&format!("{why}; scores of other runs are not looked up"));
                Cache::none()
            }))
        };
        let caches = scorers.iter().map(cache).collect::<Result<_, _>>()?;
        let kind = (Kind::Scores, search.workers, config.scoring_threads());
        let supernets: Vec<_> = scorers.iter().map(SupernetEvaluator::supernet).collect();
        let pool = ScoringPool::of((config, root), kind, &supernets, &bar, among)?;
        let mixed = pool.as_ref().map(ScoringPool::mixed).unwrap_or_default();
        Ok(ScoringSession { scorers, pool, device: None, sink: ScoreSink { caches, bar, mixed } })
    }
}

impl SearchPipeline<'_> {
    /// Scores networks and writes their rows, in order. Fewer rows than networks come back where `go_on` ended it. If
    /// `whole`, a bound that is missed ends nothing.
    pub(super) fn score(
        &mut self,
        space: usize,
        fresh: &[(Origin, &Proposal)],
        session: &mut ScoringSession<'_>,
        whole: bool,
    ) -> Result<Vec<Trial>, RunError> {
        let mut rows = Vec::with_capacity(fresh.len());
        if !self.time_ahead(space, fresh.iter().map(|(_, proposal)| *proposal), session)? {
            return Ok(rows);
        }
        // Alone each is done before the next begins; with others, nothing is measured while they work.
        let at_once = if session.pool.is_some() { fresh.len() } else { 1 };
        for some in fresh.chunks(at_once.max(1)) {
            let mut pending = Vec::with_capacity(some.len());
            for (origin, proposal) in some {
                if !self.go_on(origin) {
                    break;
                }
                pending.push(self.measured(space, (origin, proposal), session, whole));
            }
            let stopped = pending.len() < some.len();
            // What was measured and not yet scored is measured again some other day.
            if !(stopped && self.stop.asked()) {
                let before = rows.len();
                self.trained(pending, session, &mut rows)?;
                // Only after their rows, as scores are.
                let scorer = &mut session.scorers[space];
                rows[before..].iter().for_each(|t| scorer.keep_ahead(&t.digest));
                if let Some(why) = scorer.trouble_ahead() {
                    session.sink.bar.say(&format!("latencies are not kept for other runs: {why}"));
                }
            }
            if stopped {
                break;
            }
        }
        Ok(rows)
    }

    /// Times networks together, where latencies are measured so. False if the run was asked to stop.
    pub(super) fn time_ahead<'f>(
        &self,
        position: usize,
        fresh: impl Iterator<Item = &'f Proposal>,
        session: &mut ScoringSession<'_>,
    ) -> Result<bool, RunError> {
        if self.workers_measure() {
            return self.time_on_workers(position, &fresh.collect::<Vec<_>>(), session);
        }
        if session.device.is_some() {
            return self.time_on_device(position, &fresh.collect::<Vec<_>>(), session);
        }
        let space = &self.experiments.all()[position].space;
        let block: Vec<_> = fresh.map(|f| (f.digest.clone(), space.config_of(&f.genome))).collect();
        Ok(session.scorers[position].time_ahead(&block, self.stop))
    }

    /// Whether a further candidate may be begun.
    fn go_on(&self, origin: &Origin) -> bool {
        let late = || self.experiment().config.search.minutes.is_some_and(|m| self.seconds() >= 60.0 * m);
        !self.stop.asked() && (*origin != Origin::Search || !late())
    }

    /// Seconds that the search's trials took so far.
    fn seconds(&self) -> f64 {
        self.searched().map(|t| t.seconds).sum()
    }

    /// What the graph and an engine tell, and what other runs found out.
    fn measured(
        &self,
        space: usize,
        (origin, fresh): (&Origin, &Proposal),
        session: &mut ScoringSession<'_>,
        whole: bool,
    ) -> PendingTrial {
        let (begin, search) = (self.clock.now(), &self.experiment().config.search);
        let (scorer, cache) = (&mut session.scorers[space], &session.sink.caches[space]);
        let bounds = match origin {
            Origin::Search => search.bounds.clone(),
            Origin::Variant(_) => config::Bounds::default(),
        };
        let mut d = PendingTrial {
            origin: origin.clone(),
            bounds,
            space,
            candidate: Candidate {
                genome: fresh.genome.clone(),
                graph: fresh.graph.clone(),
                cost: cost::graph(&fresh.graph),
                known: BTreeMap::new(),
            },
            digest: fresh.digest.clone(),
            missed: None,
            end: None,
            latency: None,
            left: Vec::new(),
            cached: Vec::new(),
            seconds: 0.0,
        };
        let (engine, left): (Vec<_>, Vec<_>) = metrics::wanted(search, self.experiment().task)
            .into_iter()
            .partition(|m| m.info().stage <= Stage::Measured);
        for m in engine {
            if let Err(why) = again(search.retries, || evaluate(&mut d.candidate, &[m], scorer)) {
                d.end = Some(TrialOutcome::Failed { why });
                break;
            }
            d.bound();
            if let Some(why) = d.missed.as_ref().filter(|_| !whole) {
                d.end = Some(TrialOutcome::Infeasible { why: why.clone(), metrics: d.candidate.known.clone() });
                break;
            }
        }
        d.latency = scorer.take_latency();
        if d.latency.is_some() && scorer.was_kept(&d.digest) {
            d.cached.push(metric::LATENCY.to_string());
        }
        if d.end.is_none() {
            for m in left {
                // The key of kept scores does not know ONNX Runtime, which int8 files run on.
                let kept = m.info().stage < Stage::Quantized;
                match kept.then(|| cache.get(&d.digest, m.info().name)).flatten() {
                    Some(v) => {
                        d.candidate.known.insert(m.info().name.to_string(), v);
                        d.cached.push(m.info().name.to_string());
                    }
                    None => d.left.push(m),
                }
            }
        }
        d.seconds = (self.clock.now() - begin).as_secs_f64() + scorer.seconds_ahead(&d.digest);
        d
    }

    /// What weights and images tell, and the rows.
    fn trained(
        &mut self,
        pending: Vec<PendingTrial>,
        session: &mut ScoringSession<'_>,
        rows: &mut Vec<Trial>,
    ) -> Result<(), RunError> {
        let mut begin = self.clock.now();
        let ScoringSession { scorers, pool, sink, device: _ } = session;
        let (p, all) = (self.experiment(), self.experiments.all());
        let Some(pool) = pool else {
            for mut d in pending {
                let retries = p.config.search.retries;
                let found = match d.end.is_none() && !d.left.is_empty() {
                    true => again(retries, || evaluate(&mut d.candidate, &d.left, &mut scorers[d.space])),
                    false => Ok(BTreeMap::new()),
                };
                d.seconds += (self.clock.now() - begin).as_secs_f64();
                rows.push(self.write(d, found, sink)?);
                begin = self.clock.now();
            }
            return Ok(());
        };
        let needs = |d: &PendingTrial| d.end.is_none() && !d.left.is_empty();
        let job = |d: &PendingTrial| Job {
            space: d.space,
            genome: all[d.space].space.values(&d.candidate.genome),
            metrics: d.left.iter().map(|m| m.info().name.to_string()).collect(),
            of_study: None,
            reference: false,
            macs: d.candidate.cost.macs,
        };
        let jobs: Vec<Job> = pending.iter().filter(|d| needs(d)).map(job).collect();
        let mut waiting = pending.into_iter().peekable();
        let stop = self.stop;
        // Trials are counted by the rows that are written; what is under way then is finished and counts too.
        let (late, order) = (AtomicBool::new(false), Ordering::SeqCst);
        let go_on = || !stop.asked() && !late.load(order);
        let root = self.folder.root().to_path_buf();
        let mut own = |job: &Job| worker::answer(&all[job.space], job, &mut scorers[job.space]);
        pool.run((&jobs, self.clock), go_on, &mut own, |_, seconds, outcome| {
            while let Some(d) = waiting.next_if(|d| !needs(d)) {
                rows.push(self.write(d, Ok(BTreeMap::new()), sink)?);
            }
            let Some(mut d) = waiting.next() else { return Ok(()) };
            d.seconds += seconds;
            let answer = outcome.map(|found| found.metrics);
            let answer = answer.map_err(|failure| worker::in_words(&root, &d.digest, failure));
            let origin = d.origin.clone();
            rows.push(self.write(d, answer, sink)?);
            late.store(!self.go_on(&origin), order);
            Ok(())
        })?;
        while let Some(d) = waiting.next_if(|d| !needs(d)) {
            rows.push(self.write(d, Ok(BTreeMap::new()), sink)?);
        }
        Ok(())
    }

    /// Writes a trial's row, and keeps its scores for other runs.
    fn write(
        &mut self,
        mut d: PendingTrial,
        found: Result<BTreeMap<String, f64>, String>,
        sink: &mut ScoreSink,
    ) -> Result<Trial, RunError> {
        let mut fresh = BTreeMap::new();
        let outcome = match (d.end.take(), found) {
            (Some(end), _) => end,
            (None, Err(why)) => TrialOutcome::Failed { why },
            (None, Ok(values)) => {
                d.candidate.known.extend(values.clone());
                fresh = values;
                d.bound();
                match d.missed.take() {
                    Some(why) => TrialOutcome::Infeasible { why, metrics: d.candidate.known },
                    None => TrialOutcome::Scored(d.candidate.known),
                }
            }
        };
        let own = &self.experiments.all()[d.space];
        let trial = Trial {
            id: self.folder.rows.iter().filter(|r| matches!(r, JournalRow::Trial(_))).count() as u64,
            space: own.entry.name.clone(),
            origin: d.origin,
            genome: own.space.values(&d.candidate.genome),
            digest: d.digest,
            outcome,
            latency: d.latency,
            cached: d.cached,
            seconds: d.seconds,
        };
        self.folder.append(JournalRow::Trial(trial.clone()))?;
        // Only after its row: a run that was killed here finds its own scores in its journal, not among those of others.
        if !fresh.is_empty()
            && !sink.mixed.load(Ordering::SeqCst)
            && let Err(e) = sink.caches[d.space].put(&trial.digest, fresh)
        {
            sink.bar.say(&format!("scores are not kept for other runs: {e}"));
        }
        sink.bar.at(self.searched().filter(|t| whole(t)).count() as u64, &self.best_so_far());
        self.failing(&trial)?;
        Ok(trial)
    }

    /// Ends the search when trial after trial fails.
    fn failing(&self, last: &Trial) -> Result<(), RunError> {
        let TrialOutcome::Failed { why } = &last.outcome else { return Ok(()) };
        let all: Vec<&Trial> = self.searched().collect();
        let count = all.iter().rev().take_while(|t| matches!(t.outcome, TrialOutcome::Failed { .. })).count();
        match count >= self.experiment().config.search.max_failures {
            true => Err(RunError::Failing { count, why: why.clone() }),
            false => Ok(()),
        }
    }
}
