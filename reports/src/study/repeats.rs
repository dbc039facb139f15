//! How well trainings alone agree with each other: no score can agree better with one of them than another of them does.

use std::collections::{BTreeMap, BTreeSet};

use super::{NetworkOrigin, Study};
use mobilenas_record::metric::name as metric;
use mobilenas_record::rank;

/// Trainings of the same drawn networks with several seeds, against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeats {
    /// Networks that were trained with every seed.
    pub networks: usize,
    /// Seeds.
    pub seeds: usize,
    /// Kendall's tau-b between the test top-1s of two seeds, the mean over all pairs of seeds.
    pub tau: f64,
    /// Standard deviation of a network's test top-1 over its seeds, percentage points, from all networks together.
    pub deviation: f64,
}

/// What trainings with other seeds say of each other; `None` below two seeds or three networks.
pub fn repeats(study: &Study) -> Option<Repeats> {
    let drawn: BTreeSet<u64> =
        study.networks.iter().filter(|n| n.origin == NetworkOrigin::Drawn).map(|n| n.id).collect();
    let mut tops: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
    for r in study.retrained.iter().filter(|r| drawn.contains(&r.network)) {
        let Some(top1) = r.metric(metric::TEST_TOP1) else { continue };
        tops.entry(r.network).or_default().insert(r.seed, top1);
    }
    let seeds: BTreeSet<u64> = tops.values().flat_map(|t| t.keys().copied()).collect();
    tops.retain(|_, t| t.len() == seeds.len());
    if seeds.len() < 2 || tops.len() < 3 {
        return None;
    }
    let by_seed: Vec<Vec<f64>> =
        seeds.iter().map(|seed| tops.values().filter_map(|t| t.get(seed).copied()).collect()).collect();
    let pairs = (0..by_seed.len()).flat_map(|i| (i + 1..by_seed.len()).map(move |j| (i, j)));
    let taus = pairs.map(|(i, j)| rank::kendall(&by_seed[i], &by_seed[j])).collect::<Option<Vec<f64>>>()?;
    let variance = |t: &BTreeMap<u64, f64>| {
        let mean = t.values().sum::<f64>() / t.len() as f64;
        t.values().map(|v| (v - mean).powi(2)).sum::<f64>() / (t.len() - 1) as f64
    };
    Some(Repeats {
        networks: tops.len(),
        seeds: seeds.len(),
        tau: taus.iter().sum::<f64>() / taus.len() as f64,
        deviation: (tops.values().map(variance).sum::<f64>() / tops.len() as f64).sqrt(),
    })
}
