//! What predicts a candidate's accuracy: zero-cost proxies, always beside plain parameters and MACs, so that no proxy looks
//! good only because it grows with the network's size.

use std::collections::BTreeSet;

use mobilenas_record::metric::{MACS, PARAMS};
use mobilenas_record::rank;
use mobilenas_record::run::TrialOutcome;

use crate::metrics;
use crate::run_data::{RunData, RunTrial};

/// How well a metric ranks candidates by accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictor {
    pub name: String,
    /// Scored trials that have both numbers and were compared.
    pub trials: usize,
    /// Kendall's tau-b with the accuracy; `None` where all are tied.
    pub kendall: Option<f64>,
    /// Spearman's rho with the accuracy.
    pub spearman: Option<f64>,
}

/// More trials are thinned evenly: Kendall's tau takes O(n²).
const MOST: usize = 2000;

/// Fewer trials say nothing.
const FEWEST: usize = 3;

/// Parameters and MACs, then each proxy that the trials have, by name. Empty for fewer than three scored trials.
pub fn predictors(run: &RunData) -> Vec<Predictor> {
    let mut proxies = BTreeSet::new();
    for trial in run.scored() {
        if let TrialOutcome::Scored(all) = &trial.trial.outcome {
            proxies.extend(all.keys().map(String::as_str).filter(|name| metrics::known(name).is_none()));
        }
    }
    let of = |name: &str| -> Option<Predictor> {
        let pair = |t: &RunTrial| Some((t.metric(name)?, t.metric(run.accuracy().name)?));
        let pairs: Vec<(f64, f64)> = run.scored().filter_map(pair).collect();
        let every = pairs.len().div_ceil(MOST).max(1);
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().step_by(every).unzip();
        (a.len() >= FEWEST).then(|| Predictor {
            name: name.to_owned(),
            trials: a.len(),
            kendall: rank::kendall(&a, &b),
            spearman: rank::spearman(&a, &b),
        })
    };
    [PARAMS.name, MACS.name].into_iter().chain(proxies).filter_map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use mobilenas_record::run::{JournalRow, Origin, Trial};

    /// A journal of trials with the given values of `top1`, `params` and, where there is one, `nwot`.
    fn run(trials: &[(f64, f64, Option<f64>)]) -> RunData {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../tests/header.jsonl");
        let mut lines = vec![text.trim().to_owned()];
        for (id, (top1, params, nwot)) in (0..).zip(trials) {
            let mut m = BTreeMap::from([("top1".to_owned(), *top1), ("params".to_owned(), *params)]);
            m.extend(nwot.map(|v| ("nwot".to_owned(), v)));
            m.insert("macs".to_owned(), 7.0);
            let trial = Trial {
                id,
                space: None,
                origin: Origin::Search,
                genome: BTreeMap::new(),
                digest: id.to_string(),
                outcome: TrialOutcome::Scored(m),
                latency: None,
                cached: Vec::new(),
                seconds: 0.0,
            };
            lines.push(serde_json::to_string(&JournalRow::Trial(trial)).unwrap());
        }
        std::fs::write(dir.path().join("journal.jsonl"), lines.join("\n") + "\n").unwrap();
        RunData::read(dir.path()).unwrap()
    }

    #[test]
    fn proxies_stand_beside_params_and_macs() {
        let of = run(&[(10.0, 1.0, None), (20.0, 2.0, Some(9.0)), (30.0, 4.0, Some(5.0)), (40.0, 3.0, Some(1.0))]);
        let all = predictors(&of);
        let named: Vec<(&str, usize)> = all.iter().map(|p| (p.name.as_str(), p.trials)).collect();
        assert_eq!(named, [("params", 4), ("macs", 4), ("nwot", 3)]);
        // One of six pairs is in the wrong order; all MACs are tied; the proxy has the reverse order.
        assert!((all[0].kendall.unwrap() - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!((all[1].kendall, all[1].spearman), (None, None));
        assert!((all[2].kendall.unwrap() + 1.0).abs() < 1e-12 && (all[2].spearman.unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(predictors(&run(&[(1.0, 1.0, None), (2.0, 2.0, None)])), []);
    }
}
