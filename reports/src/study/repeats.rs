//! How well repeated trainings agree: no score can agree better with one of them than another training does.

use std::collections::{BTreeMap, BTreeSet};

use mobilenas_record::study::NetworkOrigin;
use mobilenas_record::{Interval, rank};

use super::analysis::bootstrapped;
use super::read::Study;

/// Agreement between trainings of the same drawn networks with several seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedAgreement {
    /// Networks trained with every seed.
    pub networks: usize,
    /// Seeds.
    pub seeds: usize,
    /// Kendall's tau-b between the test accuracies of two seeds, the mean over all pairs of seeds, with the middle 95 % of
    /// a bootstrap over networks.
    pub tau: Interval,
    /// Standard deviation of a network's test accuracy over its seeds, percentage points, pooled over the networks.
    pub deviation: f64,
}

/// How well trainings with different seeds agree; `None` for fewer than two seeds or three networks.
pub fn seed_agreement(study: &Study) -> Option<SeedAgreement> {
    let drawn: BTreeSet<u64> =
        study.networks.iter().filter(|n| n.origin == NetworkOrigin::Drawn).map(|n| n.id).collect();
    let mut accuracies: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
    for r in study.retrained.iter().filter(|r| drawn.contains(&r.network)) {
        if let Some(accuracy) = r.metric(study.final_accuracy().name) {
            accuracies.entry(r.network).or_default().insert(r.seed, accuracy);
        }
    }
    let seeds: BTreeSet<u64> = accuracies.values().flat_map(|t| t.keys().copied()).collect();
    accuracies.retain(|_, t| t.len() == seeds.len());
    if seeds.len() < 2 || accuracies.len() < 3 {
        return None;
    }
    let of = |seed| accuracies.values().filter_map(|t| t.get(seed).copied()).collect();
    let by_seed: Vec<Vec<f64>> = seeds.iter().map(of).collect();
    let tau = |items: &[usize]| {
        let of = |k: usize| items.iter().map(|i| by_seed[k][*i]).collect::<Vec<f64>>();
        let pairs = (0..by_seed.len()).flat_map(|i| (i + 1..by_seed.len()).map(move |j| (i, j)));
        let taus = pairs.map(|(i, j)| rank::kendall(&of(i), &of(j))).collect::<Option<Vec<f64>>>()?;
        Some(taus.iter().sum::<f64>() / taus.len() as f64)
    };
    let variance = |t: &BTreeMap<u64, f64>| {
        let mean = t.values().sum::<f64>() / t.len() as f64;
        t.values().map(|v| (v - mean).powi(2)).sum::<f64>() / (t.len() - 1) as f64
    };
    Some(SeedAgreement {
        networks: accuracies.len(),
        seeds: seeds.len(),
        tau: bootstrapped(accuracies.len(), tau)?,
        deviation: (accuracies.values().map(variance).sum::<f64>() / accuracies.len() as f64).sqrt(),
    })
}
