//! The effect of each knob's choices: how often each was tried and is on the front, and what networks with it cost and reach.
//!
//! These are means over the trials that the search happened to propose. A strategy proposes good choices together, so a
//! mean over trials with one choice is also a mean over the choices that went with it: it describes, it proves nothing.

use std::collections::BTreeMap;

use mobilenas_record::MetricInfo;
use mobilenas_record::metric::{LATENCY, MACS, PARAMS};

use crate::genome;
use crate::run_data::{RunData, RunTrial};

/// The metrics that are averaged, in the order of [`Choice::means`].
pub fn averaged(run: &RunData) -> [&'static MetricInfo; 4] {
    [run.accuracy(), &LATENCY, &PARAMS, &MACS]
}

/// A mean with its standard error, over `count` values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub mean: f64,
    /// Standard error of the mean; 0 for one value.
    pub error: f64,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub value: i64,
    /// Scored trials that have it.
    pub scored: usize,
    /// Of these, how many are on the front of accuracy against latency.
    pub on_front: usize,
    /// Means over the scored trials that have it, in the order of [`averaged`].
    pub means: [Option<Mean>; 4],
}

/// A knob with at least two scored choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal {
    pub knob: String,
    /// Its choices, ascending.
    pub choices: Vec<Choice>,
}

impl Marginal {
    /// Difference of a metric's means between the largest and the smallest choice; `metric` is an index of [`averaged`].
    pub fn effect(&self, metric: usize) -> Option<f64> {
        let of = |c: Option<&Choice>| c.and_then(|c| c.means.get(metric).copied().flatten()).map(|m| m.mean);
        Some(of(self.choices.last())? - of(self.choices.first())?)
    }
}

/// All knobs with at least two scored choices, by name.
pub fn marginals(run: &RunData) -> Vec<Marginal> {
    let scored: Vec<&RunTrial> = run.scored().collect();
    let numbers: Vec<[Option<f64>; 4]> = scored.iter().map(|t| averaged(run).map(|m| t.metric(m.name))).collect();
    genome::columns(scored.iter().map(|t| &t.trial.genome))
        .into_iter()
        .map(|(knob, values)| {
            let mut by_value: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            for (i, value) in values.into_iter().enumerate() {
                if let Some(value) = value {
                    by_value.entry(value).or_default().push(i);
                }
            }
            let choice = |(value, rows): (i64, Vec<usize>)| Choice {
                value,
                scored: rows.len(),
                on_front: rows.iter().filter(|i| scored[**i].on_front).count(),
                means: [0, 1, 2, 3].map(|m| mean(rows.iter().filter_map(|i| numbers[*i][m]))),
            };
            Marginal { knob: knob.to_owned(), choices: by_value.into_iter().map(choice).collect() }
        })
        .filter(|m| m.choices.len() > 1)
        .collect()
}

/// Mean and standard error; `None` for no values.
pub fn mean(values: impl Iterator<Item = f64> + Clone) -> Option<Mean> {
    let count = values.clone().count();
    if count == 0 {
        return None;
    }
    let n = count as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
    let error = if count > 1 { (squares / (n - 1.0) / n).sqrt() } else { 0.0 };
    Some(Mean { mean, error, count })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn means_and_their_errors() {
        assert_eq!(mean(std::iter::empty()), None);
        assert_eq!(mean([4.0].into_iter()), Some(Mean { mean: 4.0, error: 0.0, count: 1 }));
        let m = mean([1.0, 2.0, 3.0, 4.0].into_iter()).unwrap();
        assert!((m.mean - 2.5).abs() < 1e-12 && (m.error - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
