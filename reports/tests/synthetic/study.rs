//! A made-up study: 24 drawn networks under four conditions, three strategies with seven seeds, six networks retrained
//! with three seeds.

use std::collections::BTreeMap;

use mobilenas_record::run::{Caveat, Done, Latency};
use mobilenas_reports::study::*;

use super::{Random, header};

fn head(name: &str) -> StudyHeader {
    let run = header();
    StudyHeader {
        format: FORMAT,
        name: name.to_owned(),
        program: run.program,
        started_unix: run.started_unix,
        config_digest: run.config_digest,
        family: run.family,
        spaces: Vec::new(),
        metric: run.metric,
        dataset: run.dataset,
        host: run.host,
        engine: run.engine,
        volume: Some(Volume {
            of: "top-1 and MACs".to_owned(),
            unit: "% · M".to_owned(),
            reference: "10 % top-1 and 40 M MACs".to_owned(),
        }),
    }
}

fn metrics(name: &str, value: f64) -> std::collections::BTreeMap<String, f64> {
    std::collections::BTreeMap::from([(name.to_owned(), value)])
}

fn network(id: u64, name: &str, origin: NetworkOrigin, size: f64) -> StudyNetwork {
    let median_ms = 1.0 + size * 3.0;
    StudyNetwork {
        id,
        name: name.to_owned(),
        origin,
        space: None,
        genome: BTreeMap::from([("stages.1.depth".to_owned(), 1 + id as i64 % 4)]),
        digest: format!("{id:016x}"),
        params: (2e5 + size * 9e5) as u64,
        macs: (2e6 + size * 3e7) as u64,
        memory: Some((1.1e6 + size * 4e6) as u64),
        latency: Some(Latency { median_ms, p10_ms: median_ms * 0.98, p90_ms: median_ms * 1.05, samples: 50 }),
    }
}

fn fidelity(r: &mut Random, rows: &mut Vec<StudyRow>) {
    for id in 0..24 {
        let size = r.unit();
        rows.push(StudyRow::Network(network(id, &format!("drawn {id}"), NetworkOrigin::Drawn, size)));
        let true_top1 = 84.0 + 5.0 * size + 0.6 * r.unit();
        for (rule, noise, off) in [("sandwich", 2.0, 4.0), ("uniform", 4.0, 7.0)] {
            for recalibrated in [true, false] {
                let (noise, off) = if recalibrated { (noise, off) } else { (30.0, 45.0) };
                let condition = Condition { rule: rule.to_owned(), recalibrated, finetune_steps: 0 };
                let top1 = true_top1 - off + noise * (r.unit() - 0.5);
                rows.push(StudyRow::Inherited(InheritedScore {
                    network: id,
                    condition,
                    seconds: None,
                    metrics: metrics("top1", top1),
                }));
            }
        }
        let test_top1 = true_top1 + 0.2 * r.unit();
        rows.push(StudyRow::Retrained(TrainedNetwork {
            network: id,
            seed: 1,
            epochs: 3.0,
            metrics: metrics("test_top1", test_top1),
            seconds: 20.0,
        }));
    }
}

fn searches(r: &mut Random, rows: &mut Vec<StudyRow>) {
    for (strategy, gain) in [("random", 0.5), ("regularized_evolution", 0.9), ("nsga2", 1.0)] {
        for seed in 1..=7 {
            let (mut volume, mut now) = (Vec::new(), 900.0);
            for trial in (1..=120).step_by(3) {
                now += gain * 500.0 * r.unit() / (trial as f64).sqrt().max(1.0);
                volume.push((trial, now));
            }
            volume.push((120, now));
            let cost = volume.iter().map(|(trial, _)| *trial as f64 / 2.0).collect();
            let point = |i: i32| {
                let (top1, macs) = (70.0 + 5.0 * f64::from(i) + gain, 1e6 * f64::from(1 + i * i));
                [("top1", top1), ("macs", macs)].map(|(name, v)| (name.to_owned(), v)).into()
            };
            let (strategy, front) = (strategy.to_owned(), (0..4).rev().map(point).collect());
            rows.push(StudyRow::Search(SearchRun { strategy, seed, volume, cost, front, seconds: 60.0 }));
        }
    }
}

/// All rows of the study; the first find has the name given.
pub fn rows(name: &str, find: &str) -> Vec<StudyRow> {
    let mut r = Random(3);
    let mut rows =
        vec![StudyRow::Study(Box::new(head(name))), StudyRow::Caveat(Caveat { text: "A small study.".to_owned() })];
    fidelity(&mut r, &mut rows);
    searches(&mut r, &mut rows);
    let compared = [
        (find, NetworkOrigin::Found, 0.3),
        ("found B", NetworkOrigin::Found, 0.55),
        ("found C", NetworkOrigin::Found, 0.8),
        ("mobilevit_xxs", NetworkOrigin::Published, 0.31),
        ("mobilevit_xs", NetworkOrigin::Published, 0.56),
        ("mobilevit_s", NetworkOrigin::Published, 0.95),
    ];
    for (i, (name, origin, size)) in compared.into_iter().enumerate() {
        let id = 100 + i as u64;
        rows.push(StudyRow::Network(network(id, name, origin, size)));
        for seed in 1..=3 {
            let found = if origin == NetworkOrigin::Found { 0.7 } else { 0.0 };
            let test_top1 = 85.0 + 4.0 * size + found + 0.8 * r.unit();
            rows.push(StudyRow::Retrained(TrainedNetwork {
                network: id,
                seed,
                epochs: 6.0,
                metrics: metrics("test_top1", test_top1),
                seconds: 40.0,
            }));
        }
    }
    rows.push(StudyRow::Done(Done { seconds: BTreeMap::from([("all".to_owned(), 5400.0)]) }));
    rows
}

/// Writes a study's file into a folder.
pub fn write(dir: &std::path::Path, rows: &[StudyRow]) {
    let text: String = rows.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(FILE), text).unwrap();
}
