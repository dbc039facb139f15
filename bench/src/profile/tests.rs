#![allow(clippy::unwrap_used, clippy::panic)]

use mobilenas_host::FakeClock;
use std::time::Duration;

use super::process_run::{Probe, ProcessRun, RunCalls, SampledCalls, Warmup, sample, warm_up};
use super::record::{Cell as Flat, ProfileNumbers, ProfileOutcome, ProfileReport, ProfileRow, SCHEMA, reasons};
use super::rules::{ProcessRule, ProfileRules, SampleRule, SamplingState, WarmupRule, WarmupState, trend};
use super::*;
use crate::host::Host;
use crate::noise::{NoiseLimits, SampleWindow};
use crate::process::{CallTimes, MemoryUse, Ready};
use crate::stats::Interval;
use mobilenas_host::clock::Clock;
use mobilenas_host::load::{Change, Load};

/// A machine on which the `i`-th call takes `ms(i)`, and everything around a window `beside` ms.
struct Machine<'a> {
    ms: &'a dyn Fn(usize) -> f64,
    beside: f64,
    calls: usize,
    clock: FakeClock,
}

impl<'a> Machine<'a> {
    fn new(ms: &'a dyn Fn(usize) -> f64) -> Machine<'a> {
        Machine { ms, beside: 0.0, calls: 0, clock: FakeClock::default() }
    }

    fn with<T>(&mut self, f: impl FnOnce(&Probe, &mut RunCalls) -> T) -> T {
        let Machine { ms, beside, calls, clock } = self;
        let load = || Load { busy: vec![clock.now()], ..Load::default() };
        let probe = Probe { clock: &*clock, load: &load, mhz: &|| None, stop: &|| false };
        let mut run = |n: usize| {
            let times: Vec<f64> = (*calls..*calls + n).map(*ms).collect();
            *calls += n;
            let sum: f64 = times.iter().sum();
            clock.advance(Duration::from_nanos(((sum + *beside) * 1e6) as u64));
            Ok(CallTimes { cpu_ms: sum, ms: times, preempted: 0 })
        };
        f(&probe, &mut run)
    }

    fn warm(&mut self) -> Warmup {
        let first = (self.ms)(0);
        self.with(|probe, run| warm_up(&ProfileRules::default(), probe, first, run)).unwrap()
    }

    fn sample(&mut self) -> SampledCalls {
        let now = (self.ms)(self.calls);
        self.with(|probe, run| sample(&ProfileRules::default(), probe, now, run)).unwrap()
    }
}

/// Noise of a seed, uniform in -1..1.
fn noise(i: usize) -> f64 {
    let z = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((z ^ (z >> 27)) >> 40) as f64 / (1u64 << 23) as f64 - 1.0
}

#[test]
fn a_warm_up_ends_when_windows_in_a_row_agree() {
    let rule = WarmupRule { windows: 3, agree: 0.02, max_seconds: 10.0 };
    assert_eq!(rule.look(&[10.0, 10.0], 1.0), WarmupState::More, "too few");
    assert_eq!(rule.look(&[20.0, 10.0, 10.1, 10.15], 1.0), WarmupState::Steady, "only the last count");
    assert_eq!(rule.look(&[10.0, 10.1, 10.21], 1.0), WarmupState::More, "2.1 % apart");
    assert_eq!(rule.look(&[10.0, 20.0, 10.0], 1.0), WarmupState::More, "the one between counts");
    assert_eq!(rule.look(&[10.0, 20.0, 10.0], 10.0), WarmupState::Never);
    assert_eq!(rule.look(&[10.0, 10.0, 10.0], 99.0), WarmupState::Steady, "late is not never");
    assert_eq!(rule.look(&[0.0, 0.0, 0.0], 10.0), WarmupState::Never, "no time at all says nothing");
    assert_eq!(rule.look(&[], 10.0), WarmupState::Never);
}

#[test]
fn a_cold_beginning_is_warmed_away() {
    // Forty calls come down from 30 ms to 10 ms.
    let ms = |i: usize| 10.0 + 20.0 * (-(i as f64) / 8.0).exp() + 0.1 * noise(i);
    let mut machine = Machine::new(&ms);
    let warm = machine.warm();
    assert!(warm.steady && warm.seconds < 2.0, "{warm:?}");
    assert!(warm.medians.len() > 3 && warm.medians[0] > 1.02 * warm.medians.last().unwrap(), "{warm:?}");
    let samples = machine.sample().ms;
    assert!(samples.iter().all(|s| (9.9..10.2).contains(s)), "{samples:?}");
}

#[test]
fn what_is_never_steady_ends_with_its_time() {
    // Up and down by a fifth over some three windows.
    let ms = |i: usize| 10.0 + 2.0 * (i as f64 / 60.0 * std::f64::consts::TAU).sin();
    let warm = Machine::new(&ms).warm();
    assert!(!warm.steady);
    assert!((10.0..11.0).contains(&warm.seconds), "{}", warm.seconds);
}

#[test]
fn a_steep_trend_is_never_steady_and_a_gentle_one_is_seen_afterwards() {
    // 3 % in a window at first, and then 0.4 %.
    let steep = |i: usize| 10.0 * 1.015f64.powf(i as f64 / 10.0);
    assert!(!Machine::new(&steep).warm().steady);
    let gentle = |i: usize| 10.0 * (1.0 + 0.0002 * i as f64);
    let mut machine = Machine::new(&gentle);
    assert!(machine.warm().steady);
    let ms: Vec<f64> = (0..600).map(gentle).collect();
    let seen = trend(&ms).unwrap();
    assert!((seen - 0.08).abs() < 0.01, "{seen}");
    assert_eq!(trend(&ms[..5]), None);
    assert!(trend(&(0..600).map(|i| 10.0 + noise(i)).collect::<Vec<_>>()).unwrap().abs() < 0.02);
}

#[test]
fn samples_stop_when_the_interval_is_narrow() {
    let rule = SampleRule { width: 0.03, min_samples: 20, max_samples: 2000, max_seconds: 5.0 };
    let with = |spread: f64, n: usize| (0..n).map(|i| 10.0 + spread * noise(i)).collect::<Vec<_>>();
    assert_eq!(rule.look(&with(0.01, 19), 1.0), SamplingState::More, "too few");
    assert_eq!(rule.look(&with(0.01, 20), 1.0), SamplingState::Narrow);
    assert_eq!(rule.look(&with(2.0, 20), 1.0), SamplingState::More);
    assert_eq!(
        rule.look(&with(2.0, 1900), 1.0),
        SamplingState::Narrow,
        "a hundred times the samples, ten times as narrow"
    );
    assert_eq!(rule.look(&with(8.0, 100), 5.0), SamplingState::Limit, "time");
    assert_eq!(rule.look(&with(8.0, 2000), 1.0), SamplingState::Limit, "samples");
    assert_eq!(rule.look(&[], 5.0), SamplingState::Limit);
}

#[test]
fn two_modes_are_never_narrow_while_both_are_there() {
    // Every other call takes 12 ms instead of 10: the median may be either, and the interval holds both.
    let ms = |i: usize| if i.is_multiple_of(2) { 10.0 } else { 12.0 };
    let mut machine = Machine::new(&ms);
    let sampled = machine.sample();
    assert_eq!(sampled.ended, SamplingState::Limit);
    assert!((5.0..5.5).contains(&sampled.seconds), "{}", sampled.seconds);
    // A mode that is rare does not trouble the median.
    let ms = |i: usize| if i.is_multiple_of(10) { 12.0 } else { 10.0 };
    assert_eq!(Machine::new(&ms).sample().ended, SamplingState::Narrow);
}

#[test]
fn more_processes_come_while_they_differ() {
    let rule = ProcessRule { fewest: 3, most: 6, width: 0.03, max_seconds: 60.0 };
    let process = |level: f64, k: usize| (0..30).map(|i| level + 0.05 * noise(100 * k + i)).collect::<Vec<f64>>();
    let at = |levels: &[f64]| levels.iter().enumerate().map(|(k, l)| process(*l, k)).collect::<Vec<_>>();
    assert_eq!(rule.look(&at(&[10.0, 10.0]), 1.0, 1), SamplingState::More, "too few");
    assert_eq!(rule.look(&at(&[10.0, 10.02, 9.98]), 1.0, 1), SamplingState::Narrow);
    assert_eq!(rule.look(&at(&[10.0, 10.6, 9.8]), 1.0, 1), SamplingState::More, "each of them is narrow for itself");
    assert_eq!(rule.look(&at(&[10.0, 10.6, 9.8]), 60.0, 1), SamplingState::Limit);
    assert_eq!(rule.look(&at(&[10.0, 10.6, 9.8, 10.4, 9.9, 10.5]), 1.0, 1), SamplingState::Limit);
}

#[test]
fn windows_are_as_long_as_they_should_be() {
    let rules = ProfileRules::default();
    assert_eq!([0.01, 1.0, 10.0, 66.0, 500.0].map(|ms| rules.calls(ms)), [1000, 200, 20, 4, 3]);
    assert_eq!((rules.calls(0.0), rules.calls(f64::NAN)), (1000, 1000));
}

#[test]
fn noise_is_flagged_with_its_reason() {
    let (limits, quiet) =
        (NoiseLimits::default(), SampleWindow { seconds: 0.2, own_cores: 1.0, ..SampleWindow::default() });
    let with = |load: Change| limits.window(&SampleWindow { load, ..quiet.clone() }, None);
    let load = Change { steal_ms: Some(0.0), waiting: None, busy_cores: Some(1.1) };
    assert_eq!(with(load), None);
    assert_eq!(with(Change { steal_ms: Some(10.0), ..load }), None, "one tick says nothing");
    let stolen = with(Change { steal_ms: Some(20.0), ..load }).unwrap();
    insta::assert_snapshot!(stolen, @"the host took 10.0 % of the time away");
    let busy = with(Change { busy_cores: Some(2.0), ..load }).unwrap();
    insta::assert_snapshot!(busy, @"something else kept 1.00 cores busy");
    assert_eq!(with(Change::default()), None, "what cannot be read is no noise");
    let slow = SampleWindow { frequency_mhz: Some(2000.0), ..quiet };
    insta::assert_snapshot!(limits.window(&slow, Some(3000.0)).unwrap(), @"the core ran at 67 % of its frequency");
    assert_eq!(limits.kernel(2.0, 2.1), None);
    insta::assert_snapshot!(limits.kernel(2.0, 3.0).unwrap(), @"the calibration kernel moved by +50 %");
}

fn process(level: f64, k: usize) -> ProcessRun {
    let ms: Vec<f64> = (0..50).map(|i| level + 0.05 * noise(1000 * k + i)).collect();
    let seconds = 1.002 * ms.iter().sum::<f64>() / 1e3;
    let ready = Ready {
        protocol: 1,
        program: "0".into(),
        engine: "libtorch 2".into(),
        choices: vec![],
        resolution: 224,
        threads: 1,
        cores: vec![1],
        prepare_ms: 30.0 + k as f64,
        start_bytes: Some(1 << 20),
    };
    ProcessRun {
        ready,
        before: Change { busy_cores: Some(0.1), ..Change::default() },
        load_average: Some(0.5),
        start_ms: 500.0,
        first_ms: 20.0,
        warmup_ms: vec![level; 3],
        warmup_seconds: 0.6,
        steady: true,
        windows: vec![SampleWindow { samples: 50, seconds, own_cores: 1.0, ..SampleWindow::default() }],
        samples_ms: ms,
        sampling_seconds: seconds,
        ended: SamplingState::Narrow,
        kernel_before_ms: 2.0,
        kernel_after_ms: 2.0,
        memory: MemoryUse { peak_bytes: Some((k as u64 + 2) << 20), ..MemoryUse::default() },
    }
}

fn three() -> Vec<ProcessRun> {
    (0..3).map(|k| process(10.0, k)).collect()
}

fn measured(processes: Vec<ProcessRun>) -> ProfileNumbers {
    ProfileNumbers::of(&ProfileRules::default(), 8, processes).unwrap()
}

#[test]
fn the_numbers_of_a_case() {
    let m = measured(three());
    assert!((m.median_ms.middle - 10.0).abs() < 0.02 && m.median_ms.low <= m.median_ms.middle, "{:?}", m.median_ms);
    assert!(m.p90_ms.unwrap() > 10.0 && m.p99_ms.unwrap() > m.p90_ms.unwrap());
    assert!((m.images_per_second - 800.0).abs() < 2.0, "{}", m.images_per_second);
    assert_eq!((m.cold_start_ms, m.prepare_ms, m.first_ms), (51.0, 31.0, 20.0));
    assert_eq!((m.peak_bytes, m.start_bytes, m.allocator_bytes), (Some(4 << 20), Some(1 << 20), None));
    assert_eq!((m.samples, m.noisy_samples, m.cores()), (150, 0, vec![1]));
    assert!((m.cost - 0.002).abs() < 1e-9, "{}", m.cost);
    assert_eq!(m.unreliable, Vec::<String>::new());
    let mut few = three();
    few.iter_mut().for_each(|p| p.samples_ms.truncate(3));
    assert_eq!((measured(few.clone()).p90_ms, measured(few).p99_ms), (None, None), "nine samples know neither");
    assert!(ProfileNumbers::of(&ProfileRules::default(), 1, Vec::new()).is_none());
}

#[test]
fn what_does_not_hold_is_told_and_stays_in_the_numbers() {
    let mut all = three();
    all[1].steady = false;
    all[2] = process(11.0, 2);
    all[0].samples_ms.iter_mut().enumerate().for_each(|(i, s)| *s *= 1.0 + 0.004 * i as f64);
    for p in &mut all[..2] {
        p.windows[0].noisy = Some("the host took 4.0 % of the time away".into());
    }
    let m = measured(all);
    assert_eq!((m.samples, m.noisy_samples), (150, 100), "none is dropped");
    let [never, wide, drifted, noisy] = &m.unreliable[..] else { panic!("{:?}", m.unreliable) };
    insta::assert_snapshot!(never, @"1 of 3 processes never became steady in 10 s of warm-up");
    assert!(wide.starts_with("the interval of the median is ") && wide.ends_with(" % wide, wanted 3 %"), "{wide}");
    assert!(drifted.starts_with("the calls of 1 of 3 processes drifted, by up to +"), "{drifted}");
    insta::assert_snapshot!(noisy, @"67 % of the samples were taken on a noisy machine, as when the host took 4.0 % of the time away");
    let quiet = three();
    assert!(reasons(&ProfileRules::default(), &quiet, &Interval { middle: 10.0, low: 9.9, high: 10.1 }).is_empty());
}

#[test]
fn what_the_measuring_costs_is_counted() {
    let ms = |i: usize| 10.0 + noise(i);
    let mut machine = Machine::new(&ms);
    machine.beside = 1.0;
    let s = machine.sample();
    let cost = s.seconds * 1e3 / s.ms.iter().sum::<f64>() - 1.0;
    // A millisecond beside a window of some 200.
    assert!((0.004..0.006).contains(&cost), "{cost}");
}

fn report() -> ProfileReport {
    let case = |model: &str, threads| ProfileCase { model: model.into(), engine: "libtorch".into(), threads, batch: 8 };
    let host = Host {
        machine: mobilenas_record::run::Host { cpu: "CPU".into(), cores: 2, memory: 1, os: "Linux".into() },
        governor: "unknown".into(),
        hypervisor: "none seen".into(),
        engines: vec!["libtorch 2".into()],
        program: "0".into(),
    };
    let mut noisy = three();
    noisy[0].windows[0].noisy = Some("x".into());
    let mut wide = three();
    wide[0] = process(12.0, 0);
    let failed = ProfileOutcome::Failed { why: "found 9 threads | expected fewer".into() };
    let rows = [
        (case("small", 1), ProfileOutcome::Measured(Box::new(measured(three())))),
        (case("mobilevitv2_050", 1), ProfileOutcome::Measured(Box::new(measured(noisy)))),
        (case("small", 2), ProfileOutcome::Measured(Box::new(measured(wide)))),
        (case("small", 9), failed),
    ];
    let rows = rows.map(|(case, outcome)| ProfileRow { case, outcome, host: host.clone() }).to_vec();
    let rules = ProfileRules::default();
    let (program, protocol) = ("mobilenas 0".to_string(), rules.to_string());
    ProfileReport { schema: SCHEMA, program, host, rules, protocol, rows }
}

#[test]
fn the_table_on_a_terminal_and_as_markdown() {
    let report = report();
    let cases: Vec<ProfileCase> = report.rows.iter().map(|r| r.case.clone()).collect();
    let table = output::ProfileTable::new(&cases);
    let lines: Vec<String> = std::iter::once(table.head()).chain(report.rows.iter().map(|r| table.row(r))).collect();
    insta::assert_snapshot!(lines.join("\n"));
    insta::assert_snapshot!(output::markdown(&report));
}

#[test]
fn the_file_of_everything_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    assert!(output::read(dir.path()).unwrap().is_none());
    output::write(&report(), dir.path()).unwrap();
    assert_eq!(output::read(dir.path()).unwrap().unwrap(), report());
    std::fs::write(dir.path().join(output::JSON), "{\"schema\": 9}").unwrap();
    let said = output::read(dir.path()).unwrap_err().to_string();
    assert!(said.ends_with("bench.json: schema 9, expected schema 1"), "{said}");
}

#[test]
fn every_row_has_the_same_columns() {
    let report = report();
    let names = |r: &ProfileRow| r.flat().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    let first = names(&report.rows[0]);
    assert!(report.rows.iter().all(|r| names(r) == first));
    let cell = |i: usize, name: &str| report.rows[i].flat().into_iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!(cell(3, "status"), Flat::Text(Some("failed".into())));
    assert_eq!(cell(3, "p50_ms"), Flat::Number(None));
    assert_eq!(cell(0, "samples"), Flat::Whole(Some(150)));
    assert_eq!(cell(0, "load_average"), Flat::Number(Some(0.5)));
    assert_eq!(cell(0, "frequency_mhz"), Flat::Number(None), "not told by the system");
}
