//! Landmarks: a few networks that were trained from scratch correct the inherited scores of all others.

use mobilenas_record::ridge::Ridge;
use mobilenas_record::study::Condition;
use mobilenas_record::{Interval, rank};

use super::analysis::{bootstrapped, fidelities};
use super::read::Study;

/// How many landmarks are tried.
const LANDMARKS: [usize; 3] = [6, 12, 24];

/// How well scores rank networks once landmarks have corrected them: over the networks that are no landmarks.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrected {
    /// How weights were inherited.
    pub condition: Condition,
    /// Networks that the correction was fitted on, spread over MACs.
    pub landmarks: usize,
    /// Networks that are compared.
    pub networks: usize,
    /// Kendall's tau-b of the scores as they were, with the middle 95 % of a bootstrap over networks.
    pub before: Option<Interval>,
    /// That of the corrected scores.
    pub tau: Option<Interval>,
    /// Partial tau-b of the corrected scores given MACs and parameters.
    pub partial: Option<Interval>,
    /// That of a correction that knows MACs and parameters, and no score.
    pub by_size: Option<Interval>,
    /// Error of the correction on each landmark when it is fitted on the others, in points.
    pub left_out: f64,
}

/// A network: its inherited score, MACs and parameters, and what training it from scratch gave.
struct Known {
    score: f64,
    macs: f64,
    params: f64,
    trained: f64,
}

impl Known {
    fn sizes(&self) -> Vec<f64> {
        vec![self.macs.ln(), self.params.ln()]
    }

    fn features(&self) -> Vec<f64> {
        [vec![self.score], self.sizes()].concat()
    }
}

/// For each condition, and each number of landmarks that leaves as many networks again to compare.
pub fn corrected(study: &Study) -> Vec<Corrected> {
    let mut all = Vec::new();
    for fidelity in fidelities(study) {
        let known = |(id, score, trained): &(u64, f64, f64)| {
            let network = study.networks.iter().find(|n| n.id == *id)?;
            let (macs, params) = (network.macs as f64, network.params as f64);
            Some(Known { score: *score, macs, params, trained: *trained })
        };
        let mut networks: Vec<Known> = fidelity.pairs.iter().filter_map(known).collect();
        networks.sort_by(|a, b| a.macs.total_cmp(&b.macs));
        let enough = LANDMARKS.into_iter().filter(|k| 2 * k <= networks.len());
        all.extend(enough.filter_map(|landmarks| one(&fidelity.condition, &networks, landmarks)));
    }
    all
}

fn one(condition: &Condition, networks: &[Known], landmarks: usize) -> Option<Corrected> {
    // In the middle of each of so many parts of the order by MACs.
    let at: Vec<usize> = (0..landmarks).map(|j| (2 * j + 1) * networks.len() / (2 * landmarks)).collect();
    let (fitted, compared): (Vec<(usize, &Known)>, Vec<_>) =
        networks.iter().enumerate().partition(|(i, _)| at.contains(i));
    let targets: Vec<f64> = fitted.iter().map(|(_, n)| n.trained).collect();
    let fit = |of: fn(&Known) -> Vec<f64>| Ridge::fit(&fitted.iter().map(|(_, n)| of(n)).collect::<Vec<_>>(), &targets);
    let (ridge, size) = (fit(Known::features)?, fit(Known::sizes)?);
    let compared: Vec<&Known> = compared.into_iter().map(|(_, n)| n).collect();
    let column = |value: &dyn Fn(&Known) -> f64| compared.iter().map(|n| value(n)).collect::<Vec<f64>>();
    let (trained, macs, params) = (column(&|n| n.trained), column(&|n| n.macs), column(&|n| n.params));
    let predicted = column(&|n| ridge.predict(&n.features()));
    let pick = |values: &[f64], items: &[usize]| items.iter().map(|i| values[*i]).collect::<Vec<f64>>();
    let tau = |scores: &[f64]| {
        bootstrapped(compared.len(), |items| rank::kendall(&pick(scores, items), &pick(&trained, items)))
    };
    let partial = bootstrapped(compared.len(), |items| {
        let given = [pick(&macs, items), pick(&params, items)];
        rank::partial_kendall(&pick(&predicted, items), &pick(&trained, items), &[&given[0], &given[1]])
    });
    Some(Corrected {
        condition: condition.clone(),
        landmarks,
        networks: compared.len(),
        before: tau(&column(&|n| n.score)),
        tau: tau(&predicted),
        partial,
        by_size: tau(&column(&|n| size.predict(&n.sizes()))),
        left_out: ridge.left_out,
    })
}
