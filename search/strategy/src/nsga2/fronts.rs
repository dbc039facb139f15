//! Non-dominated sorting and crowding.

use std::cmp::Ordering;

use super::{One, dominates};

/// The best `n`: front by front, the last one's by crowding.
pub fn survivors(all: Vec<One>, n: usize) -> Vec<One> {
    let order = fronts(&all, n);
    let mut all: Vec<Option<One>> = all.into_iter().map(Some).collect();
    let mut chosen = Vec::with_capacity(n);
    for (rank, front) in order.into_iter().enumerate() {
        let mut front: Vec<One> = front.into_iter().filter_map(|i| all[i].take()).collect();
        crowd(&mut front);
        front.iter_mut().for_each(|o| o.rank = rank);
        if chosen.len() + front.len() > n {
            // Stable: the older of equals stays.
            front.sort_by(|a, b| b.crowding.total_cmp(&a.crowding));
            front.truncate(n - chosen.len());
        }
        chosen.append(&mut front);
    }
    chosen
}

/// Positions by front, ascending within each, until there are `n`: those within the bounds by domination, then the others
/// by how far they are outside.
fn fronts(all: &[One], n: usize) -> Vec<Vec<usize>> {
    let (mut within, mut outside): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|i| all[*i].violation <= 0.0);
    // After this order none is dominated by a later one: each goes to the first front that none before it dominates from.
    within.sort_by(|a, b| descending(&all[*a].scores, &all[*b].scores));
    let mut sorted: Vec<Vec<usize>> = Vec::new();
    for i in within {
        let beaten = |front: &Vec<usize>| {
            // With two objectives the last of a front is its best in the second, which decides alone.
            let most = if all[i].scores.len() == 2 { 1 } else { front.len() };
            front.iter().rev().take(most).any(|j| dominates(&all[*j].scores, &all[i].scores))
        };
        // A front that dominates from is followed by none that dominates unless all before it do.
        match sorted.partition_point(beaten) {
            k if k < sorted.len() => sorted[k].push(i),
            _ => sorted.push(vec![i]),
        }
    }
    outside.sort_by(|a, b| all[*a].violation.total_cmp(&all[*b].violation));
    sorted.extend(outside.chunk_by(|a, b| all[*a].violation == all[*b].violation).map(<[usize]>::to_vec));
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
    // Both zeros are one number here, as they are to domination.
    a.iter().zip(b).map(|(x, y)| (y + 0.0).total_cmp(&(x + 0.0))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// Crowding distances within a front: the ends of each objective are infinitely lonely.
fn crowd(front: &mut [One]) {
    front.iter_mut().for_each(|o| o.crowding = 0.0);
    let objectives = front.iter().map(|o| o.scores.len()).min().unwrap_or(0);
    let mut order: Vec<usize> = (0..front.len()).collect();
    for k in 0..objectives {
        order.sort_by(|a, b| front[*a].scores[k].total_cmp(&front[*b].scores[k]));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { return };
        let span = front[last].scores[k] - front[first].scores[k];
        front[first].crowding = f64::INFINITY;
        front[last].crowding = f64::INFINITY;
        if span <= 0.0 {
            continue;
        }
        for w in order.windows(3) {
            let gap = front[w[2]].scores[k] - front[w[0]].scores[k];
            front[w[1]].crowding += gap / span;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mobilenas_space::Domain;
    use rand::RngExt as _;

    use super::*;
    use crate::testing::rng;

    /// Fronts by the definition: what nothing left dominates, again and again.
    fn by_definition(all: &[One], n: usize) -> Vec<Vec<usize>> {
        let (mut left, mut found): (Vec<usize>, Vec<Vec<usize>>) = ((0..all.len()).collect(), Vec::new());
        while !left.is_empty() && found.iter().map(Vec::len).sum::<usize>() < n {
            let best = |i: &usize| !left.iter().any(|j| all[*j].beats(&all[*i]));
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
                    let mut one = || {
                        let outside = rng.random_bool(share);
                        let scores = (0..objectives).map(|_| f64::from(rng.random_range(0..levels))).collect();
                        let violation = if outside { f64::from(rng.random_range(1..4)) } else { 0.0 };
                        One { genome: genome.clone(), scores, violation, rank: 0, crowding: 0.0 }
                    };
                    let all: Vec<One> = (0..60).map(|_| one()).collect();
                    for n in [1, 20, 60] {
                        assert_eq!(fronts(&all, n), by_definition(&all, n), "{objectives} objectives, {n}: {all:?}");
                    }
                }
            }
        }
    }
}
