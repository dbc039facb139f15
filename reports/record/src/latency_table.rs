//! How well latencies out of a table agree with measured ones: the journal's row, and what follows from it.

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::interval::Interval;
use crate::rank;

/// Where the latencies of a run's trials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Each trial was measured; a table was only compared with that.
    Measured,
    /// Sums over a table that was measured on the run's host.
    Table,
    /// Sums over a table that someone else measured, on another device.
    Imported,
}

/// The row `latency_table`: a table of latencies, and networks whose latency it predicts and that were measured as well.
///
/// Written before the first trial if trials take their latency from the table. Journals without a table have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyTable {
    /// Where the trials' latencies come from.
    pub source: Source,
    /// The device that the table was measured on, in words.
    pub device: String,
    /// What ran the blocks while they were timed.
    pub engine: Engine,
    /// Blocks that the table has a latency of.
    pub entries: usize,
    /// The networks that were measured as a whole, on the table's device and engine. May be empty.
    pub pairs: Vec<Pair>,
}

/// One network of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What to call it: a published name or a digest.
    pub name: String,
    /// The table's sum, ms.
    pub predicted_ms: f64,
    /// The measured median, ms.
    pub measured_ms: f64,
}

/// The error of a table over its pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Pairs with two positive, finite numbers; the others take no part.
    pub nets: usize,
    /// Mean of |predicted - measured| / measured, percent.
    pub mape: f64,
    /// Mean of (predicted - measured) / measured, percent: what a constant factor would mend.
    pub bias: f64,
    /// Networks with an error of at most 5 %.
    pub within_5: usize,
    /// Networks with an error of at most 10 %.
    pub within_10: usize,
    /// Kendall's tau-b of predicted and measured, with the middle 95 % of a bootstrap over the networks.
    pub tau: Option<Interval>,
}

/// Rounds of the bootstrap.
const ROUNDS: usize = 1000;

/// The error over pairs; `None` if there is none with two positive, finite numbers.
pub fn fit(pairs: &[Pair]) -> Option<Fit> {
    let known = sound(pairs);
    let errors: Vec<f64> = known.iter().map(|(p, m)| 100.0 * (p - m) / m).collect();
    let nets = errors.len();
    if nets == 0 {
        return None;
    }
    let mean = |of: fn(f64) -> f64| errors.iter().map(|e| of(*e)).sum::<f64>() / nets as f64;
    // A network at exactly 5 % stays within, whatever the division rounds.
    let within = |most: f64| errors.iter().filter(|e| e.abs() <= most + 1e-9).count();
    let (predicted, measured): (Vec<f64>, Vec<f64>) = known.into_iter().unzip();
    let tau = rank::kendall(&predicted, &measured).map(|value| {
        let [low, high] = rank::interval(&predicted, &measured, rank::kendall, ROUNDS, 0).unwrap_or([value, value]);
        Interval { value, low, high }
    });
    Some(Fit { nets, mape: mean(f64::abs), bias: mean(|e| e), within_5: within(5.0), within_10: within(10.0), tau })
}

/// The pairs (predicted, measured) in ms that are positive and finite.
pub fn sound(pairs: &[Pair]) -> Vec<(f64, f64)> {
    let good = |v: f64| v.is_finite() && v > 0.0;
    pairs.iter().map(|p| (p.predicted_ms, p.measured_ms)).filter(|(p, m)| good(*p) && good(*m)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pairs(all: &[(f64, f64)]) -> Vec<Pair> {
        all.iter().map(|(p, m)| Pair { name: String::new(), predicted_ms: *p, measured_ms: *m }).collect()
    }

    #[test]
    fn errors_by_hand() {
        // +5 %, -10 %, +20 %, and two that are no latencies.
        let fit = fit(&pairs(&[(1.05, 1.0), (1.8, 2.0), (3.6, 3.0), (f64::NAN, 1.0), (1.0, 0.0)])).unwrap();
        assert_eq!((fit.nets, fit.within_5, fit.within_10), (3, 1, 2));
        assert!((fit.mape - 35.0 / 3.0).abs() < 1e-9 && (fit.bias - 5.0).abs() < 1e-9, "{fit:?}");
        assert!((fit.tau.unwrap().value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_pair_has_no_error() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&pairs(&[(1.0, f64::INFINITY)])), None);
        assert_eq!(fit(&pairs(&[(1.0, 2.0)])).unwrap().tau, None, "one network has no order");
    }
}
