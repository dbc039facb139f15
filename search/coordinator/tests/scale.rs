//! What a coordinator costs with real processes. It asserts no speed; the figures are in docs/scale.md.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;
use std::time::Instant;

use mobilenas_coordinator::{Failure, Hello, Pool, PoolConfig, PoolError, Rules};

/// Seconds that this process has had a core, and its memory in MiB.
fn used() -> (f64, u64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<f64>().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: u64 = resident.split_whitespace().nth(1).unwrap().parse().unwrap();
    ((ticks(11) + ticks(12)) / 100.0, kib / 1024)
}

/// Bytes that this process has read from pipes and written to them.
fn bytes() -> f64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let of = |name: &str| io.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap();
    of("rchar:") + of("wchar:")
}

#[test]
#[ignore = "starts 1,000 processes"]
fn what_a_coordinator_costs() {
    for (workers, seconds, jobs) in [(8, 0.0, 20_000), (8, 1.0, 80), (64, 1.0, 640), (1_000, 5.0, 5_000)] {
        let mut pool = Pool::<u64>::new(PoolConfig {
            rules: Rules::default(),
            expected: Hello::default(),
            workers,
            first: None,
            launched: false,
            stops: false,
            room: None,
            say: Box::new(|text| println!("{text}")),
            make: Box::new(|_| Ok(Command::new(env!("CARGO_BIN_EXE_echo_worker")))),
        });
        let run = |pool: &mut Pool<u64>, n: usize, seconds: f64| {
            let list: Vec<(f64, u64)> = (0..n as u64).map(|k| (seconds, k)).collect();
            let done = |i: usize, answer: Result<u64, Failure>| -> Result<(), PoolError> {
                assert_eq!(answer, Ok(i as u64));
                Ok(())
            };
            pool.run(&list, || true, done).unwrap();
        };
        let begin = Instant::now();
        run(&mut pool, workers, 2.0);
        let starting = begin.elapsed().as_secs_f64() - 2.0;
        let (begin, (cpu, _), before) = (Instant::now(), used(), bytes());
        run(&mut pool, jobs, seconds);
        let (took, (after, mib)) = (begin.elapsed().as_secs_f64(), used());
        println!(
            "{workers} workers, jobs of {seconds} s: {:.0} answers/s where {:.0} would be ideal, {:.0} us of a core and {:.0} \
             bytes an answer, {mib} MiB resident; all started after {starting:.1} s",
            jobs as f64 / took,
            workers as f64 / seconds,
            1e6 * (after - cpu) / jobs as f64,
            (bytes() - before) / jobs as f64,
        );
    }
}
