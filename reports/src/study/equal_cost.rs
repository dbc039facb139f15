//! Strategies against random search at equal cost: a trial of a large network takes longer to score than one of a small one.

use std::collections::BTreeMap;

use mobilenas_record::quantile;
use mobilenas_record::study::SearchRun;

use super::RANDOM;

/// What a strategy's searches reach for the seconds of scoring that the cheapest search of all took.
#[derive(Clone, Debug, PartialEq)]
pub struct EqualCost {
    /// The strategy.
    pub strategy: String,
    /// The seconds.
    pub seconds: f64,
    /// Hypervolume of each search after them.
    pub volumes: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Cost at which half of the searches have reached the median of the hypervolumes with which random search ends, as a share
    /// of the median cost of a whole random search; `None` if fewer than half reach it, and of random search itself.
    pub share: Option<f64>,
}

/// One entry for each strategy, by name; none where rows do not tell costs.
pub fn at_equal_cost(searches: &[SearchRun]) -> Vec<EqualCost> {
    let told = |s: &&SearchRun| !s.cost.is_empty() && s.cost.len() == s.volume.len();
    let mut by_strategy: BTreeMap<&str, BTreeMap<u64, &SearchRun>> = BTreeMap::new();
    for s in searches.iter().filter(told) {
        by_strategy.entry(&s.strategy).or_default().insert(s.seed, s);
    }
    let all = || by_strategy.values().flat_map(|s| s.values());
    let Some(seconds) = all().filter_map(|s| s.cost.last().copied()).min_by(f64::total_cmp) else { return Vec::new() };
    let median = |values: &[f64]| quantile::quantile(values, 0.5);
    let goal = by_strategy.get(RANDOM).and_then(|searches| {
        let last =
            |of: fn(&SearchRun) -> Option<f64>| -> Vec<f64> { searches.values().filter_map(|s| of(s)).collect() };
        Some((median(&last(|s| s.volume.last().map(|v| v.1)))?, median(&last(|s| s.cost.last().copied()))?))
    });
    let one = |(strategy, searches): (&&str, &BTreeMap<u64, &SearchRun>)| {
        let volumes: Vec<f64> = searches.values().map(|s| volume_at(s, seconds)).collect();
        let share = goal.filter(|_| *strategy != RANDOM).and_then(|(volume, cost)| {
            let mut reached: Vec<f64> = searches.values().filter_map(|s| cost_of(s, volume)).collect();
            reached.sort_by(f64::total_cmp);
            let half = searches.len().div_ceil(2);
            Some(reached.get(half - 1)? / cost).filter(|share| share.is_finite())
        });
        let median = median(&volumes).unwrap_or_default();
        EqualCost { strategy: (*strategy).to_owned(), seconds, volumes, median, share }
    };
    by_strategy.iter().map(one).collect()
}

/// A search's hypervolume after so many seconds; 0 before its first point.
fn volume_at(s: &SearchRun, seconds: f64) -> f64 {
    s.cost
        .iter()
        .zip(&s.volume)
        .filter(|(at, v)| **at <= seconds && v.1.is_finite())
        .map(|(_, v)| v.1)
        .fold(0.0, f64::max)
}

/// The seconds after which a search has a hypervolume.
fn cost_of(s: &SearchRun, volume: f64) -> Option<f64> {
    s.volume.iter().zip(&s.cost).find(|(v, _)| v.1 >= volume).map(|(_, at)| *at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn search(strategy: &str, seed: u64, points: &[(f64, f64)]) -> SearchRun {
        let volume = points.iter().enumerate().map(|(i, (_, v))| (i as u64 + 1, *v)).collect();
        let cost: Vec<f64> = points.iter().map(|(at, _)| *at).collect();
        SearchRun {
            strategy: strategy.to_owned(),
            seed,
            volume,
            seconds: *cost.last().unwrap(),
            cost,
            front: Vec::new(),
        }
    }

    #[test]
    fn costs_are_compared_up_to_the_cheapest_search() {
        let searches = [
            search("random", 1, &[(10.0, 1.0), (40.0, 4.0), (100.0, 6.0)]),
            search("random", 2, &[(10.0, 2.0), (60.0, 5.0), (120.0, 8.0)]),
            search("nsga2", 1, &[(5.0, 3.0), (22.0, 7.0), (80.0, 9.0)]),
            search("nsga2", 2, &[(5.0, 3.0), (66.0, 6.5)]),
            search("nsga2", 3, &[(5.0, 1.0), (70.0, 7.5)]),
        ];
        let all = at_equal_cost(&searches);
        assert_eq!((all[0].strategy.as_str(), all[0].seconds), ("nsga2", 66.0));
        assert_eq!((all[0].volumes.as_slice(), all[0].median), ([7.0, 6.5, 1.0].as_slice(), 6.5));
        assert_eq!((all[1].volumes.as_slice(), all[1].median), ([4.0, 5.0].as_slice(), 4.5));
        // Random search ends at 6 and 8, in the median at 7 after 110 s. Two of three searches have that after 22 and 70 s.
        assert_eq!((all[0].share, all[1].share), (Some(70.0 / 110.0), None));
    }

    #[test]
    fn rows_without_costs_are_left_out() {
        let searches = [SearchRun { cost: Vec::new(), ..search("random", 1, &[(1.0, 1.0)]) }];
        assert_eq!(at_equal_cost(&searches), []);
    }
}
