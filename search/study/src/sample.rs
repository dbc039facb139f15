//! Networks spread over a space: drawn at random within strata of equal width in the logarithm of MACs.

use std::collections::BTreeMap;

use mobilenas_space::{CostCache, Genome};
use rand::{Rng, RngExt as _};

use mobilenas_pipeline::experiment::Experiment;
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_space::seed::{Purpose, rng};

/// Draws for each network that is wanted.
const DRAWS: usize = 100;

/// So many different networks within the bounds, smallest first; fewer if the space has no more.
///
/// # Errors
/// When a genome makes no network.
pub fn spread(p: &Experiment, n: usize) -> Result<Vec<Genome>, RunError> {
    let (mut coster, mut pool) = (CostCache::new(), BTreeMap::new());
    for draw in 0..n * DRAWS {
        let mut rng = rng(p.config.seed, Purpose::Study, draw as u64, 0);
        let genome = p.bounds.meet(&p.space, &mut coster, &p.anchor, &mut rng, |rng| leaning(p, rng))?;
        let cost = p.space.cost(&genome, &mut coster)?;
        let digest = p.space.lower(&genome)?.digest();
        pool.entry(digest).or_insert((draw, (cost.macs as f64).ln(), genome));
    }
    let mut pool: Vec<(usize, f64, Genome)> = pool.into_values().collect();
    pool.sort_by_key(|(draw, ..)| *draw);
    let mut chosen = strata(&pool.iter().map(|(_, macs, _)| *macs).collect::<Vec<_>>(), n);
    chosen.sort_by(|a, b| pool[*a].1.total_cmp(&pool[*b].1));
    Ok(chosen.into_iter().map(|i| pool[i].2.clone()).collect())
}

/// A draw that leans towards the smallest or the largest network by a random share: plain draws seldom reach the ends.
fn leaning(p: &Experiment, rng: &mut dyn Rng) -> Genome {
    let (domain, lean) = (p.space.domain(), rng.random_range(-1.0..1.0f64));
    let end = if lean < 0.0 { p.space.smallest() } else { p.space.largest() };
    let begin = p.space.sample(rng);
    let knobs = domain.free().to_vec();
    knobs.into_iter().fold(begin, |g, knob| match rng.random_range(0.0..1.0f64) < lean.abs() {
        true => domain.with(&g, knob, &end),
        false => g,
    })
}

/// Positions of `n` sizes: the first in each of `n` strata of equal width; where a stratum is empty, the size that lies
/// farthest from those chosen.
fn strata(sizes: &[f64], n: usize) -> Vec<usize> {
    let low = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    let high = sizes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let stratum = |s: f64| (((s - low) / (high - low).max(1e-9) * n as f64) as usize).min(n.saturating_sub(1));
    let mut chosen: Vec<usize> = (0..n).filter_map(|k| sizes.iter().position(|s| stratum(*s) == k)).collect();
    while chosen.len() < n.min(sizes.len()) {
        let gap = |i: &usize| chosen.iter().map(|c| (sizes[*c] - sizes[*i]).abs()).fold(f64::INFINITY, f64::min);
        let rest = (0..sizes.len()).filter(|i| !chosen.contains(i));
        match rest.max_by(|a, b| gap(a).total_cmp(&gap(b)).then(b.cmp(a))) {
            Some(next) => chosen.push(next),
            None => break,
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stratum_has_one_and_gaps_are_filled_from_the_farthest() {
        let mut even = strata(&[0.0, 0.1, 1.1, 1.2, 2.1, 3.0], 3);
        even.sort_unstable();
        assert_eq!(even, [0, 2, 4]);
        // Nothing lies in the middle: of the rest, 1.4 is farther from what was chosen than 0.1.
        let mut gap = strata(&[0.0, 0.1, 1.4, 9.0, 9.1], 3);
        gap.sort_unstable();
        assert_eq!(gap, [0, 2, 3]);
        assert_eq!(strata(&[1.0, 1.0], 3).len(), 2, "no more than there are");
    }
}
