//! What follows from a study's rows.

use std::collections::BTreeMap;

use super::{Condition, NetworkOrigin, SearchRun, Study, StudyNetwork};
use mobilenas_record::Interval;
use mobilenas_record::interval::of_trainings as interval;
use mobilenas_record::metric::name as metric;
use mobilenas_record::rank;

/// Rounds of each bootstrap.
pub const ROUNDS: usize = 2000;

/// Whether inherited top-1 puts networks in the order of training them alone, under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Fidelity {
    /// How weights were inherited.
    pub condition: Condition,
    /// Networks: id, inherited top-1, mean test top-1 after training alone, percent.
    pub pairs: Vec<(u64, f64, f64)>,
    /// Kendall's tau-b, with the middle 95 % of a bootstrap over networks. `None` below three networks or all tied.
    pub tau: Option<Interval>,
    /// Spearman's rho, likewise.
    pub rho: Option<Interval>,
}

/// One fidelity for each condition, in the order of their names.
pub fn fidelities(study: &Study) -> Vec<Fidelity> {
    let mut by_condition: BTreeMap<&Condition, BTreeMap<u64, f64>> = BTreeMap::new();
    for i in &study.inherited {
        let Some(top1) = i.metric(metric::TOP1) else { continue };
        // Of two rows for one network the last counts, as after a resumed study.
        by_condition.entry(&i.condition).or_default().insert(i.network, top1);
    }
    let pair = |(id, inherited): (u64, f64)| {
        let tops = study.tops(id);
        (!tops.is_empty()).then(|| (id, inherited, tops.iter().sum::<f64>() / tops.len() as f64))
    };
    let one = |(condition, tops): (&Condition, BTreeMap<u64, f64>)| {
        let pairs: Vec<(u64, f64, f64)> = tops.into_iter().filter_map(pair).collect();
        let (tau, rho) = (estimate(&pairs, rank::kendall), estimate(&pairs, rank::spearman));
        Fidelity { condition: condition.clone(), pairs, tau, rho }
    };
    by_condition.into_iter().map(one).filter(|f| !f.pairs.is_empty()).collect()
}

/// Kendall's tau-b of MACs alone, and of parameters alone, with test top-1 after training alone: what inherited top-1 has to
/// be better than.
pub fn by_size(study: &Study) -> Option<[Interval; 2]> {
    let drawn = study.networks.iter().filter(|n| n.origin == NetworkOrigin::Drawn);
    let trained: Vec<(&StudyNetwork, f64)> = drawn
        .map(|n| (n, study.tops(n.id)))
        .filter(|(_, tops)| !tops.is_empty())
        .map(|(n, tops)| (n, tops.iter().sum::<f64>() / tops.len() as f64))
        .collect();
    let of = |size: fn(&StudyNetwork) -> u64| {
        let pairs: Vec<(u64, f64, f64)> = trained.iter().map(|(n, top1)| (n.id, size(n) as f64, *top1)).collect();
        estimate(&pairs, rank::kendall)
    };
    Some([of(|n| n.macs)?, of(|n| n.params)?])
}

fn estimate(pairs: &[(u64, f64, f64)], statistic: fn(&[f64], &[f64]) -> Option<f64>) -> Option<Interval> {
    if pairs.len() < 3 {
        return None;
    }
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(_, x, y)| (*x, *y)).unzip();
    let value = statistic(&a, &b)?;
    let [low, high] = rank::interval(&a, &b, statistic, ROUNDS, 0)?;
    Some(Interval { value, low, high })
}

/// Hypervolume over trials of one strategy's searches.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The strategy.
    pub strategy: String,
    /// Its searches, one a seed.
    pub seeds: usize,
    /// (trials, lower quartile, median, upper quartile) where one of them changes, and the last trial that all reached.
    pub points: Vec<(u64, f64, f64, f64)>,
    /// The hypervolume of each search at that last trial.
    pub ends: Vec<f64>,
}

/// One band for each strategy, by name.
pub fn bands(study: &Study) -> Vec<Band> {
    let mut by_strategy: BTreeMap<&str, BTreeMap<u64, &SearchRun>> = BTreeMap::new();
    for s in study.searches.iter().filter(|s| s.volume.iter().any(|(_, v)| v.is_finite())) {
        by_strategy.entry(&s.strategy).or_default().insert(s.seed, s);
    }
    // All are compared up to where the shortest ends, so that every seed is in every median.
    let all = || by_strategy.values().flat_map(|s| s.values());
    let Some(last) = all().filter_map(|s| s.volume.last()).map(|(at, _)| *at).min() else { return Vec::new() };
    by_strategy.iter().map(|(strategy, searches)| band(strategy, searches.values().copied(), last)).collect()
}

fn band<'a>(strategy: &str, searches: impl Iterator<Item = &'a SearchRun>, last: u64) -> Band {
    let searches: Vec<&SearchRun> = searches.collect();
    let mut at: Vec<u64> = searches.iter().flat_map(|s| s.volume.iter().map(|(at, _)| *at)).collect();
    at.extend([1.min(last), last]);
    at.retain(|t| *t <= last);
    at.sort_unstable();
    at.dedup();
    let values = |t: u64| {
        let mut v: Vec<f64> = searches.iter().map(|s| value(s, t)).collect();
        v.sort_by(f64::total_cmp);
        v
    };
    let mut points: Vec<(u64, f64, f64, f64)> = Vec::new();
    for t in at {
        let v = values(t);
        let now = (t, quantile(&v, 0.25), quantile(&v, 0.5), quantile(&v, 0.75));
        let changed = points.last().is_none_or(|p| (p.1, p.2, p.3) != (now.1, now.2, now.3));
        if changed || t == last {
            points.push(now);
        }
    }
    let ends = searches.iter().map(|s| value(s, last)).collect();
    Band { strategy: strategy.to_owned(), seeds: searches.len(), points, ends }
}

/// A search's hypervolume after `t` trials; 0 before its first.
fn value(s: &SearchRun, t: u64) -> f64 {
    s.volume.iter().filter(|(at, v)| *at <= t && v.is_finite()).map(|(_, v)| *v).fold(0.0, f64::max)
}

/// The value below which a share of sorted values lies, between two neighbours in proportion (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let of = |i: usize| sorted.get(i).or(sorted.last()).copied().unwrap_or(0.0);
    let below = of(place.floor() as usize);
    below + (of(place.floor() as usize + 1) - below) * place.fract()
}

/// Of all pairs of a search of `one` and a search of `other`: those in which the first ends higher, ties as half.
pub fn pairs_won(one: &Band, other: &Band) -> (f64, usize) {
    let win = |a: f64, b: f64| {
        if a > b {
            1.0
        } else if a == b {
            0.5
        } else {
            0.0
        }
    };
    let won = one.ends.iter().flat_map(|a| other.ends.iter().map(move |b| win(*a, *b))).sum();
    (won, one.ends.len() * other.ends.len())
}

/// A network of the comparison with the papers.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing<'a> {
    /// The network.
    pub network: &'a StudyNetwork,
    /// Test top-1 of each training, percent.
    pub tops: Vec<f64>,
    /// Mean and error bar; see [`crate::winners::BARS`].
    pub top1: Interval,
}

/// The found and the published networks that were trained, best first.
pub fn standings(study: &Study) -> Vec<Standing<'_>> {
    let compared = study.networks.iter().filter(|n| n.origin != NetworkOrigin::Drawn);
    let mut all: Vec<Standing> = compared
        .filter_map(|network| {
            let tops = study.tops(network.id);
            let top1 = interval(&tops, study.header.dataset.test)?;
            Some(Standing { network, tops, top1 })
        })
        .collect();
    all.sort_by(|a, b| b.top1.value.total_cmp(&a.top1.value).then(a.network.id.cmp(&b.network.id)));
    all
}
