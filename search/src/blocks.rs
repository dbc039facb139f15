//! Latencies of a block of candidates beside the reference network, in fresh processes: each is its ratio to the reference's
//! time, times the reference's latency of the run.

use std::collections::HashMap;

use mobilenas_bench::beside::Beside;
use mobilenas_bench::gate::GateError;
use mobilenas_bench::gate::pairs::Side;
use mobilenas_bench::stats::quantile;
use mobilenas_bench::{Clock, Series};
use mobilenas_reports::record::Latency;
use mobilenas_space::Design;

use crate::stop::Stop;

/// A network by the digest of its graph, and what makes it anywhere.
pub type Candidate = (String, Design);

/// What is known of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Its latency, or why there is none.
    pub latency: Result<Latency, String>,
    /// Its share of the seconds that its block took.
    pub seconds: f64,
}

/// Blocks that were timed.
pub struct Blocks {
    /// How a block is timed.
    pub how: Beside,
    /// The reference network on its engine.
    pub side: Side,
    /// Latency of the reference network in this run, in ms.
    pub reference_ms: f64,
    known: HashMap<String, Timed>,
}

impl Blocks {
    /// Nothing is timed yet.
    pub fn new(how: Beside, side: Side, reference_ms: f64) -> Blocks {
        Blocks { how, side, reference_ms, known: HashMap::new() }
    }

    /// Times a block. One that fails is taken apart, so that only what cannot be timed has no latency. False if the run was
    /// asked to stop.
    pub fn time(&mut self, block: &[Candidate], clock: &dyn Clock, stop: &Stop) -> bool {
        let (from, asked) = (clock.now(), || stop.asked());
        let designs: Vec<Design> = block.iter().map(|(_, d)| d.clone()).collect();
        match self.how.measure(&self.side, &designs, &asked) {
            _ if stop.asked() => false,
            Err(GateError::Stopped) => false,
            Ok(all) => {
                let seconds = (clock.now() - from).as_secs_f64() / block.len().max(1) as f64;
                for ((digest, _), series) in block.iter().zip(&all) {
                    self.note(digest, latency(series, self.reference_ms), seconds);
                }
                true
            }
            Err(_) if block.len() > 1 => block.iter().all(|one| self.time(std::slice::from_ref(one), clock, stop)),
            Err(e) => {
                let seconds = (clock.now() - from).as_secs_f64();
                block.iter().for_each(|(digest, _)| self.note(digest, Err(e.to_string()), seconds));
                true
            }
        }
    }

    fn note(&mut self, digest: &str, latency: Result<Latency, String>, seconds: f64) {
        self.known.insert(digest.to_string(), Timed { latency, seconds });
    }

    /// What is known of a network.
    pub fn get(&self, digest: &str) -> Option<&Timed> {
        self.known.get(digest)
    }
}

/// A latency by ratios to the reference's.
fn latency(series: &Series, reference_ms: f64) -> Result<Latency, String> {
    let at = |q: f64| quantile(&series.ratio, q).map(|r| r * reference_ms).filter(|ms| ms.is_finite());
    match (at(0.5), at(0.1), at(0.9)) {
        (Some(median_ms), Some(p10_ms), Some(p90_ms)) => {
            Ok(Latency { median_ms, p10_ms, p90_ms, samples: series.ratio.len() })
        }
        _ => Err("no round was timed".to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_bench::Wall;

    use super::*;

    #[test]
    fn a_latency_is_the_median_ratio_times_the_references() {
        let series = Series { ms: vec![5.0, 9.0, 60.0], ratio: vec![0.5, 0.52, 6.0] };
        let found = latency(&series, 12.0).unwrap();
        assert!((found.median_ms - 6.24).abs() < 1e-9, "the host that slowed one round down is not in it: {found:?}");
        assert_eq!(found.samples, 3);
        assert!(latency(&Series::default(), 12.0).is_err());
    }

    #[test]
    fn what_cannot_be_timed_has_its_reason() {
        let side = Side::new("/nowhere/program".into(), &[], "m", "libtorch");
        let mut blocks = Blocks::new(Beside { processes: 1, rounds: 1, seed: 1 }, side, 10.0);
        let design = Design { family: "deit".into(), width: 1.0, divisor: 8, knobs: Default::default(), classes: 10 };
        let block = ["a", "b"].map(|d| (d.to_string(), design.clone()));
        assert!(blocks.time(&block, &Wall::new(), &Stop::never()));
        for digest in ["a", "b"] {
            let why = blocks.get(digest).unwrap().latency.clone().unwrap_err();
            assert!(why.contains("worker /nowhere/program: No such file"), "{why}");
        }
        assert_eq!(blocks.get("c"), None);
        let asked = Stop::never();
        asked.ask();
        assert!(!blocks.time(&block, &Wall::new(), &asked));
    }
}
