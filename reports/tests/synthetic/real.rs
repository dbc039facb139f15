//! A made-up run over a real space: genomes, variants, parameters and MACs are the family's own; accuracy and latency are
//! made up from them.

use mobilenas_record::run::*;
use mobilenas_space::{CostCache, Genome, Space, SpaceConfig, memory};

use super::{Random, header, unit};

/// The space of the runs: MobileViT at a quarter of its widths.
pub fn space() -> Space {
    let strides = [("stem.stride", 2), ("stages.1.stride", 2), ("stages.2.stride", 2), ("stages.3.stride", 1)];
    let mut knobs: std::collections::BTreeMap<String, Vec<i64>> =
        strides.iter().map(|(k, v)| ((*k).to_owned(), vec![*v])).collect();
    knobs.insert("resolution".to_owned(), vec![24, 28, 32]);
    knobs.insert("stages.4.stride".to_owned(), vec![2]);
    for (stage, choices) in [(2, vec![1, 2, 4]), (3, vec![1, 2, 4]), (4, vec![1, 2])] {
        knobs.insert(format!("stages.{stage}.patch"), choices);
    }
    Space::new(&SpaceConfig { family: "mobilevit_v1".to_owned(), width: 0.25, divisor: 8, knobs, classes: 10 }).unwrap()
}

fn draw(space: &Space, r: &mut Random) -> Genome {
    let values = space.knobs().iter().map(|k| {
        let choices: Vec<i64> = k.choices.iter().map(|c| i64::from(*c)).collect();
        (k.name.clone(), r.pick(&choices))
    });
    space.genome(&values.collect()).unwrap()
}

fn trial(id: u64, variant: Option<&str>, space: &Space, coster: &mut CostCache, r: &mut Random) -> Option<Trial> {
    let genome = match variant {
        Some(name) => space.variant(name).unwrap(),
        None => draw(space, r),
    };
    let cost = space.cost(&genome, coster).ok()?;
    let (params, macs) = (cost.params as f64, cost.macs as f64);
    let median_ms = 0.4 + macs / 3e6 * (0.8 + 0.4 * r.unit());
    let top1 = ((60.0 + 4.0 * (macs / 1e5).ln() + 2.0 * r.unit()) * 50.0).round() / 50.0;
    let memory = memory(&space.lower(&genome).ok()?).bytes() as f64;
    let metrics = [("params", params), ("macs", macs), ("memory", memory), ("latency_ms", median_ms), ("top1", top1)];
    let outcome = TrialOutcome::Scored(metrics.map(|(k, v)| (k.to_owned(), v)).into());
    let latency = Some(Latency { median_ms, p10_ms: median_ms * 0.985, p90_ms: median_ms * 1.04, samples: 50 });
    let origin = variant.map_or(Origin::Search, |v| Origin::Variant(v.to_owned()));
    let digest = format!("{:016x}", r.next());
    Some(Trial {
        id,
        space: None,
        origin,
        genome: space.values(&genome),
        digest,
        outcome,
        latency,
        cached: Vec::new(),
        seconds: 0.2,
    })
}

/// All rows of a run of `trials` trials; the first found and the last variant are retrained.
pub fn rows(name: &str, seed: u64, trials: u64) -> Vec<JournalRow> {
    let (space, mut coster, mut r) = (space(), CostCache::new(), Random(seed));
    let mut run = header();
    (run.name, run.seed) = (name.to_owned(), seed);
    run.space_size = space.size();
    let mut rows = vec![JournalRow::Run(Box::new(run)), unit()];
    let variants = ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"];
    let mut id = 0;
    while id < trials {
        if let Some(t) = trial(id, variants.get(id as usize).copied(), &space, &mut coster, &mut r) {
            rows.push(JournalRow::Trial(t));
            id += 1;
        }
    }
    for (trial, top1) in [(3, 88.0), (4, 87.0), (2, 89.0), (4, 87.6)] {
        let metrics = std::collections::BTreeMap::from([("test_top1".to_owned(), top1)]);
        let (digest, epochs) = (format!("d{trial}"), 3.0);
        rows.push(JournalRow::Retrained(Retrained {
            trial,
            digest,
            seed: 7,
            epochs,
            metrics,
            seconds: 60.0,
            inherited: false,
        }));
    }
    rows
}
