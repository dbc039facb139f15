//! Which networks are trained from scratch: found ones that may dominate a published variant, and these variants.

use std::cmp::Ordering;

use mobilenas_record::pareto::dominates;

/// A scored network: its trial, and the objectives with larger better, the first of which is what is compared under the
/// others.
pub type Scored = (u64, Vec<f64>);

/// A found network to train, and the published variant that it stands against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalist {
    /// Trial of the found network.
    pub found: u64,
    /// Trial of the variant; none where no variant was scored, or every one has been named before.
    pub variant: Option<u64>,
}

/// All found networks that are worth a training, the first ones first. First, for each variant that some found network
/// undercuts in all objectives but the first, the best of these networks, by how far it is ahead of the variant in the
/// first objective. Then the rest of the front, best in the first objective first, each against the variant nearest to it.
/// The list does not depend on how many are trained, so a run with more goes on from one with fewer.
pub fn finalists(found: &[Scored], variants: &[Scored]) -> Vec<Finalist> {
    let better = |a: &Scored, b: &Scored| b.1[0].total_cmp(&a.1[0]).then(a.0.cmp(&b.0));
    let mut pairs: Vec<(f64, &Scored, &Scored)> = variants
        .iter()
        .filter_map(|v| {
            let best = found.iter().filter(|f| undercuts(f, v)).min_by(|a, b| better(a, b))?;
            Some((best.1[0] - v.1[0], best, v))
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.0.cmp(&b.2.0)));
    let mut all: Vec<Finalist> = Vec::new();
    for (_, f, v) in pairs {
        if all.iter().all(|one| one.found != f.0) {
            all.push(Finalist { found: f.0, variant: Some(v.0) });
        }
    }
    let mut front: Vec<&Scored> =
        found.iter().filter(|f| !found.iter().any(|other| dominates(&other.1, &f.1))).collect();
    front.sort_by(|a, b| better(a, b));
    for f in front {
        if all.iter().any(|one| one.found == f.0) {
            continue;
        }
        let free = variants.iter().filter(|v| all.iter().all(|one| one.variant != Some(v.0)));
        let variant = free.min_by(|a, b| nearer(f, a, b)).map(|v| v.0);
        all.push(Finalist { found: f.0, variant });
    }
    all
}

/// Whether a network is no worse than a variant in all objectives but the first.
pub fn undercuts(f: &Scored, variant: &Scored) -> bool {
    f.1[1..].iter().zip(&variant.1[1..]).all(|(a, b)| a >= b)
}

/// Which of two variants is nearer to a network in what it costs: by ratios, which have no unit.
fn nearer(f: &Scored, a: &Scored, b: &Scored) -> Ordering {
    let distance = |v: &Scored| -> f64 {
        let ratio = |(x, y): (&f64, &f64)| (x.abs().max(1e-12) / y.abs().max(1e-12)).ln().abs();
        f.1[1..].iter().zip(&v.1[1..]).map(ratio).sum()
    };
    distance(a).total_cmp(&distance(b)).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(u64, f64, f64)]) -> Vec<Scored> {
        all.iter().map(|(id, accuracy, macs)| (*id, vec![*accuracy, -*macs])).collect()
    }

    fn pairs(found: &[(u64, f64, f64)], variants: &[(u64, f64, f64)]) -> Vec<(u64, Option<u64>)> {
        finalists(&of(found), &of(variants)).into_iter().map(|f| (f.found, f.variant)).collect()
    }

    #[test]
    fn the_one_that_is_furthest_ahead_of_a_variant_it_undercuts_comes_first() {
        let variants = [(0, 70.0, 100.0), (1, 80.0, 200.0), (2, 85.0, 400.0)];
        // 12 is best under the second variant, 11 under the first; none is ahead of the third but 13 costs less.
        let found = [(10, 60.0, 50.0), (11, 76.0, 90.0), (12, 83.0, 190.0), (13, 84.0, 390.0), (14, 90.0, 900.0)];
        // 10 is on the front too; no variant is left for it.
        assert_eq!(pairs(&found, &variants), [(11, Some(0)), (12, Some(1)), (13, Some(2)), (14, None), (10, None)]);
    }

    #[test]
    fn one_network_stands_against_one_variant() {
        let variants = [(0, 70.0, 100.0), (1, 71.0, 200.0)];
        // The best under both; then the rest of the front against the variant that is left.
        assert_eq!(pairs(&[(10, 80.0, 90.0), (11, 81.0, 300.0)], &variants), [(10, Some(0)), (11, Some(1))]);
    }

    #[test]
    fn without_a_cheaper_network_the_nearest_variant_stands_for_comparison() {
        let variants = [(0, 70.0, 100.0), (1, 71.0, 900.0)];
        assert_eq!(pairs(&[(10, 80.0, 1000.0)], &variants), [(10, Some(1))]);
        assert_eq!(pairs(&[(10, 80.0, 1000.0), (11, 79.0, 1100.0)], &[]), [(10, None)]);
    }

    #[test]
    fn with_one_objective_every_network_undercuts() {
        let one = |all: &[(u64, f64)]| all.iter().map(|(id, a)| (*id, vec![*a])).collect::<Vec<_>>();
        let all = finalists(&one(&[(10, 50.0), (11, 60.0)]), &one(&[(0, 70.0)]));
        assert_eq!(all, [Finalist { found: 11, variant: Some(0) }]);
    }
}
