//! Networks retrained from scratch, with how far their test top-1 can be trusted.

use mobilenas_record::Interval;
use mobilenas_record::interval::of_trainings;

use crate::Frame;
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::Retrained;

/// One network with all its retrainings.
#[derive(Clone, Debug, PartialEq)]
pub struct Winner {
    /// The trial it was.
    pub trial: u64,
    /// Digest of its graph.
    pub digest: String,
    /// Its retrainings, as the journal has them.
    pub runs: Vec<Retrained>,
    /// Mean test top-1 over the retrainings, percent, and the ends of its error bar.
    pub top1: Option<Interval>,
}

/// What the error bars show, in words, for captions.
pub const BARS: &str = "Error bars of test top-1: with several retrainings of a network, the mean and one standard \
    deviation over their seeds; with one, the 95 % Wilson interval for the number of test images, which knows nothing \
    of the seed.";

/// All retrained networks, best first.
pub fn winners(f: &Frame) -> Vec<Winner> {
    let mut all: Vec<Winner> = Vec::new();
    for r in &f.retrained {
        match all.iter_mut().find(|w| w.trial == r.trial) {
            Some(w) => w.runs.push(r.clone()),
            None => all.push(Winner { trial: r.trial, digest: r.digest.clone(), runs: vec![r.clone()], top1: None }),
        }
    }
    for w in &mut all {
        let tops: Vec<f64> = w.runs.iter().filter_map(top1).collect();
        w.top1 = of_trainings(&tops, f.run.dataset.test);
    }
    let key = |w: &Winner| w.top1.map_or(f64::NEG_INFINITY, |t| t.value);
    all.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.trial.cmp(&b.trial)));
    all
}

/// Test top-1 of one retraining, if it is a number.
pub fn top1(r: &Retrained) -> Option<f64> {
    r.metrics.get(metric::TEST_TOP1).copied().filter(|v| v.is_finite())
}
