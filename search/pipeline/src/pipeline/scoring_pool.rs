//! Who scores candidates beside this process: workers, or the other processes that a launcher started with it (ranks).

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mobilenas_bench::Host;
use mobilenas_coordinator::{Failure, Pool};
use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_torch::ParamStore;
use mobilenas_train::collective::Collective;
use mobilenas_train::reduction::broadcast_store;
use serde::{Deserialize, Serialize};

use super::RunError;
use super::order::Order;
use crate::config::Config;
use crate::worker::{self, Answer, Found, Job, Kind, again};

/// Jobs that each rank gets at a time. So many of a rank's may be lost if one is killed; with fewer, ranks whose networks are
/// small wait for the others more often.
const AT_A_TIME: usize = 4;

/// Who scores.
pub enum ScoringPool<'a> {
    /// Workers.
    Workers(Box<Pool<Found>>),
    /// This process and the other ranks.
    Ranks(Ranks<'a>),
}

/// The processes that score together, of which this one is the first.
#[derive(Clone, Copy)]
pub struct Among<'a> {
    /// The processes.
    pub collective: &'a dyn Collective,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
}

/// This process and the other ranks.
pub struct Ranks<'a> {
    among: Among<'a>,
    retries: u32,
    mixed: Arc<AtomicBool>,
}

/// What a rank answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RankAnswers {
    /// Its processor.
    cpu: String,
    /// Whether it was asked to stop: then what is missing was not begun.
    stop: bool,
    /// By the job's place in the order.
    answers: Vec<(usize, Answer)>,
}

impl RankAnswers {
    /// A rank's part of some jobs.
    pub(super) fn of(
        (rank, jobs): (usize, &[(usize, Job)]),
        stop: &Stop,
        retries: u32,
        work: &mut dyn FnMut(&Job) -> Answer,
    ) -> RankAnswers {
        let mut part = RankAnswers { cpu: Host::read().machine.cpu, ..RankAnswers::default() };
        for (place, (_, job)) in jobs.iter().enumerate().filter(|(_, (of, _))| *of == rank) {
            part.stop = stop.asked();
            if part.stop {
                break;
            }
            part.answers.push((place, again(retries, || work(job))));
        }
        part
    }
}

impl<'a> ScoringPool<'a> {
    /// The config's workers, or so many processes here, or the other ranks; nobody where this process is alone. None of the
    /// workers is started yet; ranks get the supernet of each space.
    ///
    /// # Errors
    /// When the folder does not hold what workers need, or a rank is gone.
    pub fn of(
        (config, root): (&Config, &Path),
        who: (Kind, usize, u32),
        supernets: &[&ParamStore],
        bar: &Progress,
        among: Among<'a>,
    ) -> Result<Option<ScoringPool<'a>>, RunError> {
        if config.workers.is_some() || who.1 > 1 {
            return Ok(Some(ScoringPool::Workers(Box::new(worker::pool(config, root, who, bar)?))));
        }
        if among.collective.alone() {
            return Ok(None);
        }
        Order::Supernet { study: who.0 == Kind::ScoresOfStudy }.give(among.collective)?;
        supernets.iter().try_for_each(|supernet| broadcast_store(among.collective, supernet))?;
        Ok(Some(ScoringPool::Ranks(Ranks { among, retries: config.search.retries, mixed: Arc::default() })))
    }

    /// Whether one with another processor than this one's scores: its scores may differ in their last digits.
    pub fn mixed(&self) -> Arc<AtomicBool> {
        match self {
            ScoringPool::Workers(pool) => pool.mixed(),
            ScoringPool::Ranks(ranks) => ranks.mixed.clone(),
        }
    }

    /// Has jobs done while `go_on`, and gives to `done`, in their order, the place of each, its seconds of the whole, and what
    /// came of it. `own` is how this process does one. Jobs that were not begun are left out.
    ///
    /// # Errors
    /// When no worker ever comes, or the first error of `done`.
    pub fn run(
        &mut self,
        (jobs, clock): (&[Job], &dyn Clock),
        go_on: impl Fn() -> bool,
        own: &mut dyn FnMut(&Job) -> Answer,
        mut done: impl FnMut(usize, f64, Result<Found, Failure>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        match self {
            ScoringPool::Ranks(ranks) => ranks.run(jobs, go_on, own, done),
            ScoringPool::Workers(pool) => {
                let mut begin = clock.now();
                pool.run(jobs, go_on, |i, outcome| {
                    let now = clock.now();
                    done(i, (now - std::mem::replace(&mut begin, now)).as_secs_f64(), outcome)
                })
            }
        }
    }
}

impl Ranks<'_> {
    fn run(
        &mut self,
        jobs: &[Job],
        go_on: impl Fn() -> bool,
        own: &mut dyn FnMut(&Job) -> Answer,
        mut done: impl FnMut(usize, f64, Result<Found, Failure>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let Among { collective, clock, stop } = self.among;
        let ranks = collective.ranks();
        for (n, some) in jobs.chunks(AT_A_TIME * ranks).enumerate() {
            if !go_on() {
                return Ok(());
            }
            let begin = clock.now();
            let of = shares(&some.iter().map(|job| job.macs).collect::<Vec<_>>(), ranks);
            let given: Vec<(usize, Job)> = of.into_iter().zip(some.iter().cloned()).collect();
            Order::Score(given.clone()).give(collective)?;
            let mut parts = vec![RankAnswers::of((0, &given), stop, self.retries, own)];
            for text in collective.answers() {
                parts.push(serde_json::from_str(&text)?);
            }
            let mut found: Vec<Option<Answer>> = vec![None; some.len()];
            for (place, answer) in parts.iter().flat_map(|part| &part.answers) {
                if let Some(one) = found.get_mut(*place) {
                    *one = Some(answer.clone());
                }
            }
            if parts.iter().any(|part| part.cpu != parts[0].cpu) {
                self.mixed.store(true, Ordering::SeqCst);
            }
            if parts.iter().any(|part| part.stop) && !stop.asked() {
                stop.terminate();
            }
            let seconds = (clock.now() - begin).as_secs_f64() / some.len() as f64;
            for (i, answer) in found.into_iter().enumerate() {
                // Rows are in order: what was done beyond one that was not begun is done again some other day.
                let Some(answer) = answer else { return Ok(()) };
                let outcome = answer.map_err(|why| Failure::Answered { why, tries: 1 });
                done(n * AT_A_TIME * ranks + i, seconds, outcome)?;
            }
        }
        Ok(())
    }
}

/// Which rank does which job: the costliest first, each to the rank that has least to do.
fn shares(macs: &[u64], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..macs.len()).collect();
    order.sort_by_key(|i| Reverse(macs[*i]));
    let (mut load, mut of) = (vec![0u64; ranks], vec![0; macs.len()]);
    for i in order {
        let rank = (0..ranks).min_by_key(|rank| load[*rank]).unwrap_or(0);
        load[rank] += macs[i].max(1);
        of[i] = rank;
    }
    of
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use mobilenas_host::FakeClock;
    use mobilenas_train::collective::CollectiveError;
    use tch::Tensor;

    use super::*;
    use crate::worker::Found;

    /// The first of three ranks. The others answer what is their part of the last order; a job's value is its MACs, and tenths
    /// say whose it was. The last one may be asked to stop.
    #[derive(Debug, Default)]
    struct Three {
        order: Mutex<String>,
        stopped: bool,
    }

    fn value(job: &Job, rank: usize) -> Answer {
        let value = job.macs as f64 + rank as f64 / 10.0;
        Ok(Found { metrics: BTreeMap::from([("top1".to_string(), value)]), latency: None })
    }

    impl Collective for Three {
        fn rank(&self) -> usize {
            0
        }

        fn ranks(&self) -> usize {
            3
        }

        fn local_rank(&self) -> usize {
            0
        }

        fn all_reduce(&self, _: &Tensor) -> Result<(), CollectiveError> {
            unreachable!("nothing is summed")
        }

        fn broadcast(&self, _: &Tensor) -> Result<(), CollectiveError> {
            unreachable!("nothing is told")
        }

        fn lead(&self, order: &str) {
            *self.order.lock().unwrap() = order.to_string();
        }

        fn follow(&self) -> Option<String> {
            None
        }

        fn answer(&self, _: &str) {}

        fn answers(&self) -> Vec<String> {
            let Order::Score(mut jobs) = serde_json::from_str(&self.order.lock().unwrap()).unwrap() else {
                unreachable!("another order")
            };
            // MACs stay with the first rank: the genome has them, too.
            jobs.iter_mut().for_each(|(_, job)| job.macs = job.genome["macs"] as u64);
            let part = |rank: usize| {
                let stop = Stop::never();
                if self.stopped && rank == 2 {
                    stop.ask();
                }
                let part = RankAnswers::of((rank, &jobs), &stop, 0, &mut |job| value(job, rank));
                serde_json::to_string(&part).unwrap()
            };
            // In the order of arrival.
            vec![part(2), part(1)]
        }

        fn group(&self) -> Option<&Arc<mobilenas_torch::ProcessGroup>> {
            None
        }
    }

    fn scored(ranks: &Three, macs: &[u64]) -> (Vec<f64>, bool) {
        let job = |macs: &u64| Job {
            space: 0,
            genome: BTreeMap::from([("macs".to_string(), *macs as i64)]),
            metrics: Vec::new(),
            of_study: None,
            reference: false,
            macs: *macs,
        };
        let (jobs, stop, clock) = (macs.iter().map(job).collect::<Vec<_>>(), Stop::never(), FakeClock::default());
        let among = Among { collective: ranks, clock: &clock, stop: &stop };
        let mut pool = ScoringPool::Ranks(Ranks { among, retries: 0, mixed: Arc::default() });
        let mut all = Vec::new();
        let done = |i: usize, _: f64, outcome: Result<Found, Failure>| {
            assert_eq!(i, all.len());
            all.push(outcome.unwrap().metrics["top1"]);
            Ok(())
        };
        pool.run((&jobs, &clock), || !stop.asked(), &mut |job| value(job, 0), done).unwrap();
        (all, stop.asked())
    }

    #[test]
    fn every_rank_does_its_part_and_rows_keep_their_order() {
        // The largest first, each to the rank with least.
        let (all, stopped) = scored(&Three::default(), &[10, 90, 50, 40, 30]);
        assert_eq!((all, stopped), (vec![10.1, 90.0, 50.1, 40.2, 30.2], false));
        let many: Vec<u64> = (1..=30).collect();
        let (all, _) = scored(&Three::default(), &many);
        assert_eq!(all.iter().map(|v| v.trunc() as u64).collect::<Vec<_>>(), many, "more than are given at a time");
    }

    #[test]
    fn a_rank_that_is_asked_to_stop_ends_it_with_the_row_before_its_own() {
        let ranks = Three { stopped: true, ..Three::default() };
        assert_eq!(scored(&ranks, &[90, 50, 40, 30]), (vec![90.0, 50.1], true));
    }
}
