//! What foretells a candidate's top-1: zero-cost proxies, always beside plain parameters and MACs, so that none looks good
//! for growing with the network's size alone.

use std::collections::BTreeSet;

use crate::Frame;
use mobilenas_record::metric::name as metric;
use mobilenas_record::rank;
use mobilenas_record::run::TrialOutcome;

/// How well a metric orders candidates by top-1.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictor {
    /// Name of the metric.
    pub name: String,
    /// Scored trials that have both numbers and were compared.
    pub trials: usize,
    /// Kendall's tau-b with top-1; `None` where all are tied.
    pub kendall: Option<f64>,
    /// Spearman's rho with top-1.
    pub spearman: Option<f64>,
}

/// More trials than these are thinned evenly: Kendall's tau looks at every pair.
const MOST: usize = 2000;

/// Fewer trials say nothing.
const FEWEST: usize = 3;

/// Parameters and MACs, then each proxy that the trials have, by name. Empty for fewer than three scored trials.
pub fn predictors(f: &Frame) -> Vec<Predictor> {
    let scored: Vec<_> = f.trials.iter().filter(|e| e.is_scored()).collect();
    let mut proxies = BTreeSet::new();
    for e in &scored {
        if let TrialOutcome::Scored(metrics) = &e.trial.outcome {
            proxies.extend(metrics.keys().map(String::as_str));
        }
    }
    for other in [metric::PARAMS, metric::MACS, metric::MEMORY, metric::LATENCY, metric::TOP1, metric::MES] {
        proxies.remove(other);
    }
    let of = |name: &str| -> Option<Predictor> {
        let pairs: Vec<(f64, f64)> =
            scored.iter().filter_map(|e| Some((e.metric(name)?, e.metric(metric::TOP1)?))).collect();
        let every = pairs.len().div_ceil(MOST).max(1);
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().step_by(every).unzip();
        (a.len() >= FEWEST).then(|| Predictor {
            name: name.to_owned(),
            trials: a.len(),
            kendall: rank::kendall(&a, &b),
            spearman: rank::spearman(&a, &b),
        })
    };
    [metric::PARAMS, metric::MACS].into_iter().chain(proxies).filter_map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use mobilenas_record::run::{JournalRow, Origin, Trial};

    /// A journal of trials with the given values of `top1`, `params` and, where there is one, `nwot`.
    fn frame(trials: &[(f64, f64, Option<f64>)]) -> Frame {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../tests/header.jsonl");
        let mut lines = vec![text.trim().to_owned()];
        for (id, (top1, params, nwot)) in (0..).zip(trials) {
            let mut m = BTreeMap::from([("top1".to_owned(), *top1), ("params".to_owned(), *params)]);
            m.extend(nwot.map(|v| ("nwot".to_owned(), v)));
            m.insert("macs".to_owned(), 7.0);
            let trial = Trial {
                id,
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
        Frame::read(dir.path()).unwrap()
    }

    #[test]
    fn proxies_stand_beside_params_and_macs() {
        let f = frame(&[(10.0, 1.0, None), (20.0, 2.0, Some(9.0)), (30.0, 4.0, Some(5.0)), (40.0, 3.0, Some(1.0))]);
        let all = predictors(&f);
        let named: Vec<(&str, usize)> = all.iter().map(|p| (p.name.as_str(), p.trials)).collect();
        assert_eq!(named, [("params", 4), ("macs", 4), ("nwot", 3)]);
        // One of six pairs is in the wrong order; all MACs are tied; the proxy has the reverse order.
        assert!((all[0].kendall.unwrap() - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!((all[1].kendall, all[1].spearman), (None, None));
        assert!((all[2].kendall.unwrap() + 1.0).abs() < 1e-12 && (all[2].spearman.unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(predictors(&frame(&[(1.0, 1.0, None), (2.0, 2.0, None)])), []);
    }
}
