//! Latencies of candidates, interleaved with the reference network in fresh processes: each is its ratio to the
//! reference's time, times the reference's latency in the run.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mobilenas_host::cache::Cache;
use mobilenas_host::{Clock, Stop};
use mobilenas_record::run::Latency;
use mobilenas_space::SpaceConfig;
use sha2::{Digest as _, Sha256};

use crate::engine;
use crate::latency::LatencyProtocol;
use crate::latency_table::networks::REFERENCE;
use crate::process::{HeadDesign, InterleavedProcesses, MeasureError, WorkerProgram};
use crate::stats::quantile;
use crate::{Host, Series};

/// A network: the digest of its graph, and the design that makes it in any process.
pub type DigestedDesign = (String, SpaceConfig);

/// What is known of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedNetwork {
    /// Its latency, or why there is none.
    pub latency: Result<Latency, String>,
    /// Its share of the seconds that its block took.
    pub seconds: f64,
    /// Whether it was kept of another run.
    pub kept: bool,
}

/// Latencies of candidates, each timed interleaved with the reference.
pub struct PairedLatency {
    /// How a block is timed.
    pub how: InterleavedProcesses,
    /// The reference network on its engine.
    pub reference: WorkerProgram,
    /// Latency of the reference network in this run, in ms.
    pub reference_ms: f64,
    /// The head that candidates have; none for classification.
    pub head: Option<HeadDesign>,
    known: HashMap<String, TimedNetwork>,
    kept: Cache,
    trouble: Option<String>,
}

/// What a cached ratio depends on besides the network, in 16 digits: the host, the engine, and the protocol. `program`
/// is the file of this program: another build of the same version may be faster or slower.
pub fn protocol(timing: &LatencyProtocol, how: InterleavedProcesses, host: &Host, program: &Path) -> String {
    let build = program.metadata().map(|m| (m.len(), m.modified().ok())).ok();
    let version = engine::engine(&timing.engine).map(|e| e.version());
    let host = (&host.machine.cpu, host.machine.cores, &host.machine.os, &host.governor, &host.hypervisor);
    let how = (timing.threads, timing.batch, how.processes, how.rounds);
    let all = (env!("CARGO_PKG_VERSION"), REFERENCE, &timing.engine, version, host, how, build);
    Sha256::digest(format!("{all:?}"))[..8].iter().map(|b| format!("{b:02x}")).collect()
}

/// The parts of a latency by their names in the cache; its times are ratios to the reference's.
const PARTS: [&str; 4] = ["ratio", "ratio_p10", "ratio_p90", "samples"];

impl PairedLatency {
    /// Nothing is timed yet but what was kept.
    pub fn new(how: InterleavedProcesses, reference: WorkerProgram, reference_ms: f64, kept: Cache) -> PairedLatency {
        PairedLatency { how, reference, reference_ms, head: None, known: HashMap::new(), kept, trouble: None }
    }

    /// A latency that was kept.
    fn looked_up(&self, digest: &str) -> Option<Latency> {
        let [ratio, p10, p90, samples] = PARTS.map(|part| self.kept.get(digest, part));
        let ms = |ratio: f64| ratio * self.reference_ms;
        Some(Latency { median_ms: ms(ratio?), p10_ms: ms(p10?), p90_ms: ms(p90?), samples: samples? as usize })
    }

    /// Keeps what was found out of a network for other runs.
    pub fn keep(&mut self, digest: &str) {
        let Some(TimedNetwork { latency: Ok(l), kept: false, .. }) = self.known.get(digest) else { return };
        let ratio = |ms: f64| ms / self.reference_ms;
        let values = [ratio(l.median_ms), ratio(l.p10_ms), ratio(l.p90_ms), l.samples as f64];
        let values: BTreeMap<String, f64> = PARTS.iter().map(|p| (*p).to_string()).zip(values).collect();
        if let Err(e) = self.kept.put(digest, values) {
            self.trouble = Some(e.to_string());
        }
    }

    /// Why latencies are no longer kept, told once.
    pub fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Times a block. One that fails is taken apart, so that only what cannot be timed has no latency. False if the run
    /// was asked to stop.
    pub fn time(&mut self, block: &[DigestedDesign], clock: &dyn Clock, stop: &Stop) -> bool {
        let mut new = Vec::with_capacity(block.len());
        for one in block {
            match self.looked_up(&one.0) {
                Some(latency) => {
                    self.known.insert(one.0.clone(), TimedNetwork { latency: Ok(latency), seconds: 0.0, kept: true });
                }
                None => new.push(one.clone()),
            }
        }
        new.is_empty() || self.measure(&new, clock, stop)
    }

    fn measure(&mut self, block: &[DigestedDesign], clock: &dyn Clock, stop: &Stop) -> bool {
        let (from, asked) = (clock.now(), || stop.asked());
        let designs: Vec<SpaceConfig> = block.iter().map(|(_, d)| d.clone()).collect();
        match self.how.measure(&self.reference, (&designs, self.head.as_ref()), &asked) {
            _ if stop.asked() => false,
            Err(MeasureError::Stopped) => false,
            Ok(all) => {
                let seconds = (clock.now() - from).as_secs_f64() / block.len().max(1) as f64;
                for ((digest, _), series) in block.iter().zip(&all) {
                    self.note(digest, by_ratio(series, self.reference_ms), seconds);
                }
                true
            }
            Err(_) if block.len() > 1 => block.iter().all(|one| self.measure(std::slice::from_ref(one), clock, stop)),
            Err(e) => {
                let seconds = (clock.now() - from).as_secs_f64();
                block.iter().for_each(|(digest, _)| self.note(digest, Err(e.to_string()), seconds));
                true
            }
        }
    }

    fn note(&mut self, digest: &str, latency: Result<Latency, String>, seconds: f64) {
        self.known.insert(digest.to_string(), TimedNetwork { latency, seconds, kept: false });
    }

    /// What is known of a network.
    pub fn get(&self, digest: &str) -> Option<&TimedNetwork> {
        self.known.get(digest)
    }
}

/// A latency by ratios to the reference's.
///
/// # Errors
/// When no round was timed.
pub fn by_ratio(series: &Series, reference_ms: f64) -> Result<Latency, String> {
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
    use crate::Protocol;
    use crate::process::Workload;
    use mobilenas_host::WallClock;

    use super::*;

    #[test]
    fn a_latency_is_the_median_ratio_times_the_references() {
        let series = Series { ms: vec![5.0, 9.0, 60.0], ratio: vec![0.5, 0.52, 6.0], again: vec![] };
        let found = by_ratio(&series, 12.0).unwrap();
        assert!((found.median_ms - 6.24).abs() < 1e-9, "the host that slowed one round down is not in it: {found:?}");
        assert_eq!(found.samples, 3);
        assert!(by_ratio(&Series::default(), 12.0).is_err());
    }

    #[test]
    fn a_cached_ratio_gives_a_latency_with_another_reference() {
        let dir = tempfile::tempdir().unwrap();
        let how = InterleavedProcesses { processes: 1, rounds: 1, seed: 1 };
        let blocks = |reference_ms: f64| {
            let reference = WorkerProgram::new("/nowhere/program".into(), &[], Workload::new("m", "libtorch"));
            PairedLatency::new(how, reference, reference_ms, Cache::open(dir.path(), "latency", "p").unwrap())
        };
        let seen = Latency { median_ms: 5.0, p10_ms: 4.0, p90_ms: 7.0, samples: 40 };
        let mut first = blocks(10.0);
        first.note("a", Ok(seen), 3.0);
        first.note("b", Err("broken".to_string()), 3.0);
        ["a", "b", "c"].iter().for_each(|digest| first.keep(digest));
        let design =
            SpaceConfig { family: "deit".into(), width: 1.0, divisor: 8, knobs: Default::default(), classes: 10 };
        let mut later = blocks(20.0);
        assert!(
            later.time(&[("a".to_string(), design)], &WallClock::new(), &Stop::never()),
            "nothing is left to be timed"
        );
        let found = later.get("a").unwrap();
        let twice = Latency { median_ms: 10.0, p10_ms: 8.0, p90_ms: 14.0, samples: 40 };
        assert_eq!((&found.latency, found.kept, found.seconds), (&Ok(twice), true, 0.0));
        assert_eq!(later.looked_up("b"), None);
    }

    #[test]
    fn kept_ratios_are_of_one_protocol_on_one_host() {
        let host = Host::read();
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, "one").unwrap();
        let of = |engine: &str, processes: usize, host: &Host| {
            let how = InterleavedProcesses { processes, rounds: 10, seed: 1 };
            let second = std::time::Duration::from_secs(1);
            let timing = LatencyProtocol {
                protocol: Protocol { warmup: second, min_samples: 1, max_samples: 1, max_time: second },
                batch: 1,
                threads: 1,
                engine: engine.to_string(),
                interleaved: Some(how),
            };
            protocol(&timing, how, host, &program)
        };
        let own = of("libtorch", 4, &host);
        assert_eq!(own, of("libtorch", 4, &host));
        assert_eq!(own.len(), 16);
        let mut other = host.clone();
        other.machine.cpu = "another".into();
        for else_where in [of("libtorch-plain", 4, &host), of("libtorch", 5, &host), of("libtorch", 4, &other)] {
            assert_ne!(own, else_where);
        }
        std::fs::write(&program, "another").unwrap();
        assert_ne!(own, of("libtorch", 4, &host), "another build");
    }

    #[test]
    fn what_cannot_be_timed_has_its_reason() {
        let reference = WorkerProgram::new("/nowhere/program".into(), &[], Workload::new("m", "libtorch"));
        let mut blocks = PairedLatency::new(
            InterleavedProcesses { processes: 1, rounds: 1, seed: 1 },
            reference,
            10.0,
            Cache::none(),
        );
        let design =
            SpaceConfig { family: "deit".into(), width: 1.0, divisor: 8, knobs: Default::default(), classes: 10 };
        let block = ["a", "b"].map(|d| (d.to_string(), design.clone()));
        assert!(blocks.time(&block, &WallClock::new(), &Stop::never()));
        for digest in ["a", "b"] {
            let why = blocks.get(digest).unwrap().latency.clone().unwrap_err();
            assert!(why.contains("worker /nowhere/program: No such file"), "{why}");
        }
        assert_eq!(blocks.get("c"), None);
        let asked = Stop::never();
        asked.ask();
        assert!(!blocks.time(&block, &WallClock::new(), &asked));
    }
}
