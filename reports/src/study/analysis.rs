//! Statistics over a study's rows.

use std::collections::BTreeMap;

use mobilenas_record::interval::of_trainings;
use mobilenas_record::study::{Condition, NetworkOrigin, SearchRun, StudyNetwork};
use mobilenas_record::{Interval, quantile, rank};

use super::read::Study;

/// Rounds of each bootstrap.
pub const ROUNDS: usize = 2000;

/// How well inherited accuracy ranks networks as training them from scratch does, under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Fidelity {
    /// How weights were inherited.
    pub condition: Condition,
    /// Networks: id, inherited accuracy, mean test accuracy after training from scratch, percent.
    pub pairs: Vec<(u64, f64, f64)>,
    /// Kendall's tau-b, with the middle 95 % of a bootstrap over networks. `None` for fewer than three networks, or if all are tied.
    pub tau: Option<Interval>,
    /// Spearman's rho, likewise.
    pub rho: Option<Interval>,
    /// Partial tau-b given MACs and parameters, likewise: ordering large networks before small ones does not count.
    pub partial: Option<Interval>,
    /// Tau-b over pairs of networks of the same third of MACs, likewise.
    pub within: Option<Interval>,
}

/// Strata of MACs.
const STRATA: usize = 3;

/// One fidelity for each condition, in the order of their names; over the networks of all spaces.
pub fn fidelities(study: &Study) -> Vec<Fidelity> {
    among(study, |_| true)
}

/// Where a study has several spaces, the name of each with its fidelities over its own networks.
pub fn fidelities_by_space(study: &Study) -> Vec<(&str, Vec<Fidelity>)> {
    let of = |space: &'_ str| {
        let own = |id| study.network(id).is_some_and(|n| n.space.as_deref() == Some(space));
        among(study, own)
    };
    study.header.spaces.iter().map(|s| (s.name.as_str(), of(&s.name))).collect()
}

fn among(study: &Study, own: impl Fn(u64) -> bool) -> Vec<Fidelity> {
    let mut by_condition: BTreeMap<&Condition, BTreeMap<u64, f64>> = BTreeMap::new();
    for i in study.inherited.iter().filter(|i| own(i.network)) {
        let Some(accuracy) = i.metric(study.accuracy().name) else { continue };
        // Of two rows for one network the last one counts, as after a resumed study.
        by_condition.entry(&i.condition).or_default().insert(i.network, accuracy);
    }
    let pair = |(id, inherited): (u64, f64)| mean(&study.test_accuracies(id)).map(|trained| (id, inherited, trained));
    let one = |(condition, accuracies): (&Condition, BTreeMap<u64, f64>)| {
        let pairs: Vec<(u64, f64, f64)> = accuracies.into_iter().filter_map(pair).collect();
        let (tau, rho) = (estimate(&pairs, rank::kendall), estimate(&pairs, rank::spearman));
        let [partial, within] = beyond_size(study, &pairs).unwrap_or_default();
        Fidelity { condition: condition.clone(), pairs, tau, rho, partial, within }
    };
    by_condition.into_iter().map(one).filter(|f| !f.pairs.is_empty()).collect()
}

/// Partial tau-b given MACs and parameters, and tau-b within strata of MACs.
fn beyond_size(study: &Study, pairs: &[(u64, f64, f64)]) -> Option<[Option<Interval>; 2]> {
    let network = |id: u64| study.networks.iter().find(|n| n.id == id);
    let sizes: Vec<[f64; 2]> =
        pairs.iter().map(|p| network(p.0).map(|n| [n.macs as f64, n.params as f64])).collect::<Option<_>>()?;
    let macs: Vec<f64> = sizes.iter().map(|s| s[0]).collect();
    let strata = rank::strata(&macs, STRATA);
    let of = |items: &[usize], value: &dyn Fn(usize) -> f64| items.iter().map(|i| value(*i)).collect::<Vec<f64>>();
    let both = |items: &[usize]| (of(items, &|i| pairs[i].1), of(items, &|i| pairs[i].2));
    let partial = |items: &[usize]| {
        let ((x, y), [macs, params]) = (both(items), [0, 1].map(|k| of(items, &|i| sizes[i][k])));
        rank::partial_kendall(&x, &y, &[&macs, &params])
    };
    let within = |items: &[usize]| {
        let (x, y) = both(items);
        rank::kendall_within(&x, &y, &items.iter().map(|i| strata[*i]).collect::<Vec<_>>())
    };
    Some([bootstrapped(pairs.len(), partial), bootstrapped(pairs.len(), within)])
}

/// Kendall's tau-b of MACs, and of parameters, with test accuracy after training from scratch: the baseline for inherited
/// accuracy.
pub fn by_size(study: &Study) -> Option<[Interval; 2]> {
    let drawn = study.networks.iter().filter(|n| n.origin == NetworkOrigin::Drawn);
    let trained: Vec<(&StudyNetwork, f64)> =
        drawn.filter_map(|n| Some((n, mean(&study.test_accuracies(n.id))?))).collect();
    let of = |size: fn(&StudyNetwork) -> u64| {
        let pairs: Vec<(u64, f64, f64)> =
            trained.iter().map(|(n, accuracy)| (n.id, size(n) as f64, *accuracy)).collect();
        estimate(&pairs, rank::kendall)
    };
    Some([of(|n| n.macs)?, of(|n| n.params)?])
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn estimate(pairs: &[(u64, f64, f64)], statistic: fn(&[f64], &[f64]) -> Option<f64>) -> Option<Interval> {
    bootstrapped(pairs.len(), |items| {
        let (a, b): (Vec<f64>, Vec<f64>) = items.iter().map(|i| (pairs[*i].1, pairs[*i].2)).unzip();
        statistic(&a, &b)
    })
}

/// A statistic of items, given by their indices, with the middle 95 % of a bootstrap; `None` for fewer than three.
pub(super) fn bootstrapped(n: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
    if n < 3 {
        return None;
    }
    let value = statistic(&(0..n).collect::<Vec<_>>())?;
    let [low, high] = rank::bootstrap(n, statistic, ROUNDS, 0)?;
    Some(Interval { value, low, high })
}

/// Hypervolume over trials of one strategy's searches.
#[derive(Clone, Debug, PartialEq)]
pub struct HypervolumeBand {
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
pub fn bands(study: &Study) -> Vec<HypervolumeBand> {
    let mut by_strategy: BTreeMap<&str, BTreeMap<u64, &SearchRun>> = BTreeMap::new();
    for s in study.searches.iter().filter(|s| s.volume.iter().any(|(_, v)| v.is_finite())) {
        by_strategy.entry(&s.strategy).or_default().insert(s.seed, s);
    }
    // All are compared up to where the shortest one ends, so that every seed is in every median.
    let all = || by_strategy.values().flat_map(|s| s.values());
    let Some(last) = all().filter_map(|s| s.volume.last()).map(|(at, _)| *at).min() else { return Vec::new() };
    by_strategy.iter().map(|(strategy, searches)| band(strategy, searches.values().copied(), last)).collect()
}

fn band<'a>(strategy: &str, searches: impl Iterator<Item = &'a SearchRun>, last: u64) -> HypervolumeBand {
    let searches: Vec<&SearchRun> = searches.collect();
    let mut at: Vec<u64> = searches.iter().flat_map(|s| s.volume.iter().map(|(at, _)| *at)).collect();
    at.extend([1.min(last), last]);
    at.retain(|t| *t <= last);
    at.sort_unstable();
    at.dedup();
    let mut points: Vec<(u64, f64, f64, f64)> = Vec::new();
    for t in at {
        let values: Vec<f64> = searches.iter().map(|s| value(s, t)).collect();
        let [low, median, high] = [0.25, 0.5, 0.75].map(|q| quantile::quantile(&values, q).unwrap_or_default());
        let now = (t, low, median, high);
        let changed = points.last().is_none_or(|p| (p.1, p.2, p.3) != (now.1, now.2, now.3));
        if changed || t == last {
            points.push(now);
        }
    }
    let ends = searches.iter().map(|s| value(s, last)).collect();
    HypervolumeBand { strategy: strategy.to_owned(), seeds: searches.len(), points, ends }
}

/// A search's hypervolume after `t` trials; 0 before its first.
fn value(s: &SearchRun, t: u64) -> f64 {
    s.volume.iter().filter(|(at, v)| *at <= t && v.is_finite()).map(|(_, v)| *v).fold(0.0, f64::max)
}

/// Of all pairs of a search of `one` and a search of `other`: those in which the first ends higher, ties as half.
pub fn pairs_won(one: &HypervolumeBand, other: &HypervolumeBand) -> (f64, usize) {
    let win = |a: &f64, b: &f64| match a.total_cmp(b) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let won = one.ends.iter().flat_map(|a| other.ends.iter().map(move |b| win(a, b))).sum();
    (won, one.ends.len() * other.ends.len())
}

/// A found or published network that was trained from scratch.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedNetwork<'a> {
    /// The network.
    pub network: &'a StudyNetwork,
    /// Test accuracy of each training, percent.
    pub accuracies: Vec<f64>,
    /// Mean with its error bar; see [`crate::retrained::ERROR_BARS`].
    pub accuracy: Interval,
}

impl ComparedNetwork<'_> {
    /// Whether it dominates another network: higher accuracy outside both error bars, lower latency, fewer parameters.
    pub fn dominates(&self, other: &ComparedNetwork) -> bool {
        let faster = match (&self.network.latency, &other.network.latency) {
            (Some(a), Some(b)) => a.median_ms < b.median_ms,
            _ => false,
        };
        self.accuracy.low > other.accuracy.high && faster && self.network.params < other.network.params
    }
}

/// The found and the published networks that were trained from scratch, best first.
pub fn compared_networks(study: &Study) -> Vec<ComparedNetwork<'_>> {
    let compared = study.networks.iter().filter(|n| n.origin != NetworkOrigin::Drawn);
    let mut all: Vec<ComparedNetwork> = compared
        .filter_map(|network| {
            let accuracies = study.test_accuracies(network.id);
            let accuracy = of_trainings(&accuracies, study.header.dataset.test)?;
            Some(ComparedNetwork { network, accuracies, accuracy })
        })
        .collect();
    all.sort_by(|a, b| b.accuracy.value.total_cmp(&a.accuracy.value).then(a.network.id.cmp(&b.network.id)));
    all
}
