//! The coordinator with a virtual clock and workers that crash, hang, dawdle, hand back, start in vain and have wrong
//! clocks, while the coordinator itself dies and resumes.
//!
//! The full size, 1,000 workers and a million candidates:
//! `cargo test -p mobilenas-coordinator --test simulation -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::time::Instant;

use world::{Plan, World};

/// Memory of this process in MiB: the largest so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Runs a plan and checks what came of it.
fn simulate(plan: Plan) {
    let begin = Instant::now();
    let (jobs, workers) = (plan.jobs, plan.workers);
    let seen = World::new(plan).run();
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{workers} workers, {jobs} jobs, {} set aside, {} answers, {} workers lost, {} slow or silent, {} handed back, \
         {} starts of which {} failed, {} lives of the coordinator: {:.0} answers/s, {:.0} simulated hours in {took:.1} s, \
         at most {} things held, peak {} MiB",
        seen.set_aside,
        seen.answers,
        seen.crashes,
        seen.kills,
        seen.backs,
        seen.starts,
        seen.failed_starts,
        seen.lives,
        seen.answers as f64 / took,
        seen.hours,
        seen.most_held,
        peak_mib()
    );
    // Every kind of trouble came about.
    for (name, count) in [
        ("set aside", seen.set_aside),
        ("crashes", seen.crashes),
        ("kills", seen.kills),
        ("backs", seen.backs),
        ("failed starts", seen.failed_starts),
    ] {
        assert!(count > 0, "no {name}");
    }
    // Flat: a few things for each worker, however many jobs there are.
    assert!(seen.most_held <= 20 * workers as usize + 100, "{} things held", seen.most_held);
}

#[test]
fn nothing_is_lost_and_nothing_scored_twice() {
    simulate(Plan { workers: 50, jobs: 20_000, lives: 5, seed: 1 });
}

#[test]
fn nor_with_more_workers_than_jobs_are_ahead() {
    simulate(Plan { workers: 300, jobs: 20_000, lives: 3, seed: 2 });
}

#[test]
#[ignore = "a million jobs"]
fn a_million_candidates_on_a_thousand_workers() {
    simulate(Plan { workers: 1_000, jobs: 1_000_000, lives: 20, seed: 3 });
}
