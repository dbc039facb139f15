//! Retrained networks, with the uncertainty of their test accuracy.

use mobilenas_record::Interval;
use mobilenas_record::interval::of_trainings;
use mobilenas_record::run::Retrained;

use crate::metrics;
use crate::run_data::RunData;

/// One network with all its trainings.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrainedNetwork {
    pub trial: u64,
    pub digest: String,
    pub runs: Vec<Retrained>,
    /// Mean test accuracy over the trainings, percent, with its error bar.
    pub accuracy: Option<Interval>,
}

/// What the error bars show, for captions.
pub const ERROR_BARS: &str = "Error bars of test accuracy: for several trainings of a network, mean ± one standard \
    deviation over seeds; for one training, the 95 % Wilson interval for the number of test images, which does not \
    include the spread over seeds.";

/// The same of runs for a task whose accuracy is no share of images.
const BARS_OF_SEEDS: &str = "Error bars of test accuracy: mean ± one standard deviation over the seeds of several \
                             trainings; one training has none.";

/// What the error bars of a run's test accuracies are.
pub fn error_bars(run: &RunData) -> &'static str {
    if run.accuracy().name == metrics::ACCURACY.name { ERROR_BARS } else { BARS_OF_SEEDS }
}

/// All retrained networks, best first.
pub fn retrained_networks(run: &RunData) -> Vec<RetrainedNetwork> {
    let mut all: Vec<RetrainedNetwork> = Vec::new();
    for r in &run.retrained {
        match all.iter_mut().find(|n| n.trial == r.trial) {
            Some(n) => n.runs.push(r.clone()),
            None => {
                let (trial, digest) = (r.trial, r.digest.clone());
                all.push(RetrainedNetwork { trial, digest, runs: vec![r.clone()], accuracy: None });
            }
        }
    }
    for n in &mut all {
        let known: Vec<f64> = n.runs.iter().filter_map(|r| run.final_accuracy_of(r)).collect();
        n.accuracy = of_trainings(&known, run.header.dataset.test);
        if run.accuracy().name != metrics::ACCURACY.name && known.len() == 1 {
            // How far it would be off on other images is known of shares of images alone.
            n.accuracy = n.accuracy.map(|a| Interval { low: a.value, high: a.value, ..a });
        }
    }
    let key = |n: &RetrainedNetwork| n.accuracy.map_or(f64::NEG_INFINITY, |a| a.value);
    all.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.trial.cmp(&b.trial)));
    all
}
