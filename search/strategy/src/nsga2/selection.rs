//! Environmental selection: non-dominated sorting and crowding distance.

use std::cmp::Ordering;

use mobilenas_record::pareto::dominates;

use super::individual::Individual;

/// The best `n`: front by front, within the last front by crowding distance.
pub fn best(all: Vec<Individual>, n: usize) -> Vec<Individual> {
    let order = fronts(&all, n);
    let mut all: Vec<Option<Individual>> = all.into_iter().map(Some).collect();
    let mut chosen = Vec::with_capacity(n);
    for (rank, front) in order.into_iter().enumerate() {
        let mut front: Vec<Individual> = front.into_iter().filter_map(|i| all[i].take()).collect();
        set_crowding_distances(&mut front);
        front.iter_mut().for_each(|i| i.rank = rank);
        if chosen.len() + front.len() > n {
            // Stable: the older of equals stays.
            front.sort_by(|a, b| b.crowding_distance.total_cmp(&a.crowding_distance));
            front.truncate(n - chosen.len());
        }
        chosen.append(&mut front);
    }
    chosen
}

/// Positions by front, ascending within each, until there are `n`: feasible ones by domination, then the others by
/// violation.
fn fronts(all: &[Individual], n: usize) -> Vec<Vec<usize>> {
    let (mut feasible, mut infeasible): (Vec<usize>, Vec<usize>) =
        (0..all.len()).partition(|i| all[*i].violation <= 0.0);
    // In this order no individual is dominated by a later one: each belongs to the first front that does not dominate it.
    feasible.sort_by(|a, b| descending(&all[*a].scores, &all[*b].scores));
    let mut sorted: Vec<Vec<usize>> = Vec::new();
    for i in feasible {
        let dominated_by = |front: &Vec<usize>| {
            // With two objectives the last of a front is its best in the second, so it alone decides.
            let most = if all[i].scores.len() == 2 { 1 } else { front.len() };
            front.iter().rev().take(most).any(|j| dominates(&all[*j].scores, &all[i].scores))
        };
        // If a front dominates it, so do all fronts before.
        match sorted.partition_point(dominated_by) {
            k if k < sorted.len() => sorted[k].push(i),
            _ => sorted.push(vec![i]),
        }
    }
    infeasible.sort_by(|a, b| all[*a].violation.total_cmp(&all[*b].violation));
    sorted.extend(infeasible.chunk_by(|a, b| all[*a].violation == all[*b].violation).map(<[usize]>::to_vec));
    let mut count = 0;
    sorted.retain(|front| {
        let before = count;
        count += front.len();
        before < n
    });
    sorted.iter_mut().for_each(|front| front.sort_unstable());
    sorted
}

fn descending(a: &[f64], b: &[f64]) -> Ordering {
    // -0.0 equals 0.0 here, as in domination.
    a.iter().zip(b).map(|(x, y)| (y + 0.0).total_cmp(&(x + 0.0))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// Sets the crowding distances within a front: infinite at the ends of each objective.
fn set_crowding_distances(front: &mut [Individual]) {
    front.iter_mut().for_each(|i| i.crowding_distance = 0.0);
    let objectives = front.iter().map(|i| i.scores.len()).min().unwrap_or(0);
    let mut order: Vec<usize> = (0..front.len()).collect();
    for k in 0..objectives {
        order.sort_by(|a, b| front[*a].scores[k].total_cmp(&front[*b].scores[k]));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { return };
        let span = front[last].scores[k] - front[first].scores[k];
        front[first].crowding_distance = f64::INFINITY;
        front[last].crowding_distance = f64::INFINITY;
        if span <= 0.0 {
            continue;
        }
        for w in order.windows(3) {
            let gap = front[w[2]].scores[k] - front[w[0]].scores[k];
            front[w[1]].crowding_distance += gap / span;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_space::Domain;
    use rand::RngExt as _;

    use super::*;
    use crate::tests::rng;

    /// Fronts by their definition: what no remaining individual dominates, repeatedly.
    fn by_definition(all: &[Individual], n: usize) -> Vec<Vec<usize>> {
        let (mut left, mut found): (Vec<usize>, Vec<Vec<usize>>) = ((0..all.len()).collect(), Vec::new());
        while !left.is_empty() && found.iter().map(Vec::len).sum::<usize>() < n {
            let best = |i: &usize| !left.iter().any(|j| all[*j].dominates(&all[*i]));
            let (front, rest) = left.iter().copied().partition(best);
            found.push(front);
            left = rest;
        }
        found
    }

    #[test]
    fn fronts_are_those_of_the_definition() {
        let mut rng = rng(3, 0);
        for objectives in 1..=4 {
            for levels in [2, 5, 1000] {
                for share in [0.0, 0.4, 1.0] {
                    let genome = Domain::new([2; 3]).smallest();
                    let mut individual = || {
                        let infeasible = rng.random_bool(share);
                        let scores = (0..objectives).map(|_| f64::from(rng.random_range(0..levels))).collect();
                        let violation = if infeasible { f64::from(rng.random_range(1..4)) } else { 0.0 };
                        Individual { genome: genome.clone(), scores, violation, rank: 0, crowding_distance: 0.0 }
                    };
                    let all: Vec<Individual> = (0..60).map(|_| individual()).collect();
                    for n in [1, 20, 60] {
                        assert_eq!(fronts(&all, n), by_definition(&all, n), "{objectives} objectives, {n}: {all:?}");
                    }
                }
            }
        }
    }
}
