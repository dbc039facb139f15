//! Which of the networks that the searches tried are retrained: chosen by what the searches knew, before any is.

use std::collections::BTreeSet;

use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::dominates;
use mobilenas_space::{Cost, Genome, cost};

use crate::Study;
use crate::plan::StudyInterrupt;
use crate::vs_random::Tried;

/// How found networks are chosen, for a reader of the results.
pub fn in_words(noun: &str) -> String {
    format!(
        "Found networks are chosen among what the searches of the config's own strategy tried, all seeds together, by inherited {noun} \
     alone: for each published network the best that has fewer parameters and fewer MACs, then the best of the front. \
     The test split is seen by trained networks only and chooses nothing."
    )
}

impl Study<'_> {
    /// The found networks, at most `retrain.best`.
    /// Each with the position of its space.
    pub(super) fn found_networks(&self) -> Result<Vec<(usize, Genome)>, StudyInterrupt> {
        let (mut rivals, mut taken) = (Vec::new(), BTreeSet::new());
        for p in self.plan.experiments.all() {
            for v in p.space.family().variants() {
                let Ok(genome) = p.space.variant(v.id) else { continue };
                let graph = p.space.lower(&genome)?;
                taken.insert(graph.digest());
                rivals.push(cost::graph(&graph));
            }
        }
        Ok(choose(&self.tried()?, &rivals, taken, self.plan.experiment().config.retrain.best))
    }
}

fn choose(tried: &[Tried], rivals: &[Cost], mut taken: BTreeSet<String>, most: usize) -> Vec<(usize, Genome)> {
    let mut ranked: Vec<(&Tried, &Vec<f64>)> = tried.iter().filter_map(|t| Some((t, t.scores.as_ref()?))).collect();
    // The first objective is the accuracy; the sort is stable, so that of equals the one tried first comes first.
    ranked.sort_by(|(_, a), (_, b)| b[0].total_cmp(&a[0]));
    let less = |t: &Tried, c: &Cost| {
        let of = |name: &str| t.metrics.get(name).copied().unwrap_or(f64::INFINITY);
        of(metric::PARAMS) < c.params as f64 && of(metric::MACS) < c.macs as f64
    };
    let mut out = Vec::new();
    let mut take = |t: &Tried, out: &mut Vec<(usize, Genome)>| {
        let new = out.len() < most && taken.insert(t.digest.clone());
        if new {
            out.push((t.space, t.genome.clone()));
        }
        new
    };
    for rival in rivals {
        if let Some((t, _)) = ranked.iter().find(|(t, _)| less(t, rival)) {
            take(t, &mut out);
        }
    }
    for (t, scores) in &ranked {
        if !ranked.iter().any(|(_, other)| dominates(other, scores)) {
            take(t, &mut out);
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use mobilenas_space::Domain;

    use super::*;

    #[test]
    fn the_best_below_each_rival_comes_first_then_the_front() {
        let domain = Domain::new([9]);
        let one = |i: u8, top1: f64, params: f64, macs: f64, feasible: bool| Tried {
            space: 0,
            genome: domain.genome([i]).unwrap(),
            digest: i.to_string(),
            metrics: BTreeMap::from([("params".to_string(), params), ("macs".to_string(), macs)]),
            scores: feasible.then(|| vec![top1, -macs]),
        };
        let tried = [
            one(0, 90.0, 100.0, 100.0, true),
            one(1, 85.0, 60.0, 60.0, true),
            one(2, 80.0, 40.0, 50.0, true),
            one(3, 99.0, 10.0, 10.0, false),
            one(4, 70.0, 45.0, 55.0, true),
        ];
        let rival = |params, macs| Cost { params, macs, ..Cost::default() };
        let rivals = [rival(50, 90), rival(70, 90), rival(1, 1)];
        let genomes = |most| -> Vec<u8> {
            choose(&tried, &rivals, BTreeSet::new(), most).iter().map(|(_, g)| g.choices()[0]).collect()
        };
        // 2 is best below the first rival, 1 below the second, none below the third; 0 is on the front, 4 is not.
        assert_eq!(genomes(5), [2, 1, 0]);
        assert_eq!(genomes(1), [2]);
        let taken = BTreeSet::from(["2".to_string()]);
        let out = choose(&tried, &rivals, taken, 5);
        assert_eq!(
            out.iter().map(|(_, g)| g.choices()[0]).collect::<Vec<_>>(),
            [1, 0],
            "a published network is no find"
        );
    }
}
