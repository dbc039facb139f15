//! Pareto dominance, fronts and hypervolume for any number of objectives, each to be made large or small.
//!
//! A point with a value that is not finite, or with another number of values than there are goals, is never on a front
//! and adds no volume: a number that is not known cannot be best.

use crate::Goal;

/// Whether `a` dominates `b` where larger is better in every objective: nowhere smaller, somewhere larger.
// A tournament calls it in its innermost loop, from another crate.
#[inline]
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x >= y) && a.iter().zip(b).any(|(x, y)| x > y)
}

/// Whether `a` dominates `b`: nowhere worse, somewhere better. False if either is not comparable.
pub fn dominates_by(a: &[f64], b: &[f64], goals: &[Goal]) -> bool {
    match (costs(a, goals), costs(b, goals)) {
        (Some(a), Some(b)) => dominates_by_cost(&a, &b),
        _ => false,
    }
}

/// Indices, ascending, of the points that no other point dominates. Equal points stay together: all or none.
///
/// `points` has one row a point and one column a goal. Takes O(n log n + n·f) for a front of f points.
pub fn front<P: AsRef<[f64]>>(points: &[P], goals: &[Goal]) -> Vec<usize> {
    let mut ranked: Vec<(usize, Vec<f64>)> =
        points.iter().enumerate().filter_map(|(i, p)| Some((i, costs(p.as_ref(), goals)?))).collect();
    // In lexicographic order a point can be dominated only by one before it, and then by one of the front.
    ranked.sort_by(|a, b| lexicographic(&a.1, &b.1));
    let mut front: Vec<(usize, Vec<f64>)> = Vec::new();
    for (i, cost) in ranked {
        // The latest member is the likeliest to dominate.
        if !front.iter().rev().any(|(_, other)| dominates_by_cost(other, &cost)) {
            front.push((i, cost));
        }
    }
    let mut indices: Vec<usize> = front.into_iter().map(|(i, _)| i).collect();
    indices.sort_unstable();
    indices
}

/// The volume that `points` dominate up to `reference`, a point that is worse than all that should count.
///
/// Its unit is the product of the objectives' units. Points that are not better than the reference in every objective
/// add nothing. Slices along one objective after the other: exact; O(n log n) for 2 goals, about O(n^(d-1) log n) for
/// d, so meant for 2 to 4.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64], goals: &[Goal]) -> f64 {
    let Some(reference) = costs(reference, goals) else {
        return 0.0;
    };
    let inside: Vec<Vec<f64>> = points
        .iter()
        .filter_map(|p| costs(p.as_ref(), goals))
        .filter(|p| p.iter().zip(&reference).all(|(v, r)| v < r))
        .collect();
    volume(inside, &reference)
}

/// Volume between points (costs, all better than the reference) and the reference.
fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    let Some((&limit, rest)) = reference.split_last() else {
        return 0.0;
    };
    let last = rest.len();
    if last == 0 {
        let best = points.iter().map(|p| p[0]).fold(limit, f64::min);
        return limit - best;
    }
    points.sort_by(|a, b| a[last].total_cmp(&b[last]));
    if last == 1 {
        return area(&points, rest[0], limit);
    }
    let mut total = 0.0;
    for i in 0..points.len() {
        let from = points[i][last];
        let to = points.get(i + 1).map_or(limit, |p| p[last]);
        if to > from {
            let slice = points[..=i].iter().map(|p| p[..last].to_vec()).collect();
            total += (to - from) * volume(slice, rest);
        }
    }
    total
}

/// Area of points sorted by their second cost, up to the two limits.
fn area(points: &[Vec<f64>], first_limit: f64, second_limit: f64) -> f64 {
    let mut best = first_limit;
    let mut total = 0.0;
    for p in points {
        if p[0] < best {
            total += (best - p[0]) * (second_limit - p[1]);
            best = p[0];
        }
    }
    total
}

/// The point as costs, or `None` if it is not comparable.
fn costs(point: &[f64], goals: &[Goal]) -> Option<Vec<f64>> {
    let comparable = point.len() == goals.len() && point.iter().all(|v| v.is_finite());
    comparable.then(|| point.iter().zip(goals).map(|(v, g)| g.cost(*v)).collect())
}

fn dominates_by_cost(a: &[f64], b: &[f64]) -> bool {
    dominates(b, a)
}

fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::Goal::{Maximize, Minimize};
    use super::*;

    /// SplitMix64: a seeded generator that needs nothing.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// Points on a small grid, so that ties and duplicates happen; now and then a value that is not finite.
        fn points(&mut self, n: usize, d: usize, broken: bool) -> Vec<Vec<f64>> {
            let value = |r: u64| match r % 40 {
                0 if broken => f64::NAN,
                1 if broken => f64::INFINITY,
                2 if broken => f64::NEG_INFINITY,
                _ => (r >> 8) as f64 % 12.0 - 3.0,
            };
            (0..n).map(|_| (0..d).map(|_| value(self.next())).collect()).collect()
        }

        fn goals(&mut self, d: usize) -> Vec<Goal> {
            (0..d).map(|_| if self.next() & 1 == 0 { Maximize } else { Minimize }).collect()
        }
    }

    fn brute_force(points: &[Vec<f64>], goals: &[Goal]) -> Vec<usize> {
        (0..points.len())
            .filter(|&i| points[i].iter().all(|v| v.is_finite()))
            .filter(|&i| !points.iter().any(|p| dominates_by(p, &points[i], goals)))
            .collect()
    }

    #[test]
    fn front_equals_brute_force() {
        let mut random = Random(7);
        for round in 0..400 {
            let d = 1 + round % 5;
            let n = (random.next() % 60) as usize;
            let (points, goals) = (random.points(n, d, true), random.goals(d));
            assert_eq!(front(&points, &goals), brute_force(&points, &goals), "{goals:?} {points:?}");
        }
    }

    #[test]
    fn dominance_is_strict_and_antisymmetric() {
        let mut random = Random(11);
        for round in 0..500 {
            let d = 1 + round % 4;
            let (points, goals) = (random.points(2, d, false), random.goals(d));
            assert!(!dominates_by(&points[0], &points[0], &goals));
            assert!(!(dominates_by(&points[0], &points[1], &goals) && dominates_by(&points[1], &points[0], &goals)));
        }
    }

    #[test]
    fn equal_points_stay_and_unknown_ones_never_enter() {
        let goals = [Maximize, Minimize];
        let points =
            [[70.0, 5.0], [70.0, 5.0], [60.0, 5.0], [f64::NAN, 0.1], [99.0, f64::INFINITY], [f64::INFINITY, 1.0]];
        assert_eq!(front(&points, &goals), [0, 1]);
        assert_eq!(front(&[[0.0], [-0.0]], &[Minimize]), [0, 1]);
        assert!(front::<[f64; 2]>(&[], &goals).is_empty());
        assert!(front(&[[1.0]], &goals).is_empty(), "a point with a value too few");
        assert!(!dominates_by(&[1.0, 1.0], &[f64::NAN, 2.0], &goals));
    }

    /// Volume by counting the unit cells of the grid: exact for whole numbers.
    fn counted(points: &[Vec<f64>], reference: &[f64], goals: &[Goal]) -> f64 {
        let d = goals.len();
        let span = 16_i64;
        let mut total = 0;
        for cell in 0..span.pow(d as u32) {
            // The cell's corner nearest to the reference, as a cost.
            let at: Vec<i64> = (0..d).map(|k| cell / span.pow(k as u32) % span - 11).collect();
            let inside = |p: &Vec<f64>| p.iter().zip(goals).zip(&at).all(|((v, g), a)| g.cost(*v) <= *a as f64);
            let bounded = reference.iter().zip(goals).zip(&at).all(|((r, g), a)| (*a as f64) < g.cost(*r));
            total += i64::from(bounded && points.iter().any(inside));
        }
        total as f64
    }

    #[test]
    fn hypervolume_equals_counted_cells() {
        let mut random = Random(3);
        for round in 0..60 {
            let d = 1 + round % 4;
            let n = (random.next() % 9) as usize;
            let (points, goals) = (random.points(n, d, false), random.goals(d));
            let reference: Vec<f64> = goals.iter().map(|g| if *g == Minimize { 4.0 } else { -1.0 }).collect();
            let (found, expected) = (hypervolume(&points, &reference, &goals), counted(&points, &reference, &goals));
            assert!((found - expected).abs() < 1e-9, "{found} {expected} {goals:?} {points:?}");
        }
    }

    #[test]
    fn hypervolume_by_hand() {
        let goals = [Maximize, Minimize];
        assert_eq!(hypervolume(&[[3.0, 1.0], [2.0, 0.5], [1.0, 1.5]], &[0.0, 2.0], &goals), 3.0 + 1.0);
        assert_eq!(hypervolume(&[[3.0, 2.0]], &[0.0, 2.0], &goals), 0.0, "on the reference's edge");
        assert_eq!(hypervolume(&[[f64::NAN, 1.0]], &[0.0, 2.0], &goals), 0.0);
        assert_eq!(hypervolume(&[[1.0, 1.0]], &[f64::NAN, 2.0], &goals), 0.0);
    }

    #[test]
    fn dominated_points_add_no_volume() {
        let mut random = Random(5);
        for round in 0..100 {
            let d = 2 + round % 3;
            let (points, goals) = (random.points(12, d, false), random.goals(d));
            let reference: Vec<f64> = goals.iter().map(|g| if *g == Minimize { 9.0 } else { -4.0 }).collect();
            let only: Vec<Vec<f64>> = front(&points, &goals).into_iter().map(|i| points[i].clone()).collect();
            let (all, best) = (hypervolume(&points, &reference, &goals), hypervolume(&only, &reference, &goals));
            assert!((all - best).abs() < 1e-9);
        }
    }
}
