//! All trials as one table, one row a trial: `trials.csv` and `trials.parquet`; and the networks of a study. The columns are
//! explained in `docs/formats.md`. An infeasible trial has the metrics that were known before its bound was missed.

use mobilenas_record::metric::{LATENCY, MACS, MEMORY, MES, PARAMS};
use mobilenas_record::run::{Latency, TrialOutcome};
use mobilenas_record::study::NetworkOrigin;

use crate::flat::{Flat, Values};
use crate::run_data::{RunData, RunTrial};
use crate::study::Study;
use crate::{genome, metrics};

/// Name of the table as CSV.
pub const CSV: &str = "trials.csv";
/// Name of the table as Parquet.
pub const PARQUET: &str = "trials.parquet";

/// The table of trials.
pub fn trials(run: &RunData) -> Flat {
    let rows = &run.trials;
    let text = |get: &dyn Fn(&RunTrial) -> Option<&str>| -> Values {
        Values::Text(rows.iter().map(|t| get(t).map(str::to_owned)).collect())
    };
    let number = |get: &dyn Fn(&RunTrial) -> Option<f64>| Values::number(rows.iter().map(get));
    let latency = |get: fn(&Latency) -> f64| number(&|t| t.trial.latency.as_ref().map(get));
    let mut table = Flat::default();
    table.push("id", Values::whole(rows.iter().map(|t| t.trial.id)));
    table.push("origin", Values::text(rows.iter().map(|t| if t.variant().is_some() { "variant" } else { "search" })));
    table.push("variant", text(&RunTrial::variant));
    if !run.header.spaces.is_empty() {
        table.push("space", text(&|t| t.trial.space.as_deref()));
    }
    table.push("digest", Values::text(rows.iter().map(|t| t.trial.digest.as_str())));
    table.push("status", Values::text(rows.iter().map(|t| status(&t.trial.outcome))));
    table.push("why", text(&|t| why(&t.trial.outcome)));
    for (knob, values) in genome::columns(rows.iter().map(|t| &t.trial.genome)) {
        table.push(format!("knob.{knob}"), Values::Integer(values));
    }
    for metric in [PARAMS, MACS, MEMORY, LATENCY] {
        table.push(metric.name, number(&|t| t.metric(metric.name)));
    }
    table.push("latency_p10_ms", latency(|l| l.p10_ms));
    table.push("latency_p90_ms", latency(|l| l.p90_ms));
    for metric in [*run.accuracy(), MES] {
        table.push(metric.name, number(&|t| t.metric(metric.name)));
    }
    table.push("on_front", Values::Flag(rows.iter().map(|t| Some(t.on_front)).collect()));
    table.push(format!("retrained_{}", run.final_accuracy().name), number(&|t| run.test_accuracy(t.trial.id)));
    table.push("seconds", number(&|t| Some(t.trial.seconds)));
    table
}

/// The networks of a study: `id`, `name`, `origin`, `space` (of several), `digest`, `knob.<name>`, `params`, `macs`, `memory` (bytes),
/// `latency_ms`, and `test_top1.<seed>` (percent) for each seed of a retraining.
pub fn networks(study: &Study, origin: fn(NetworkOrigin) -> &'static str) -> Flat {
    let rows = &study.networks;
    let mut table = Flat::default();
    table.push("id", Values::whole(rows.iter().map(|n| n.id)));
    table.push("name", Values::text(rows.iter().map(|n| n.name.as_str())));
    table.push("origin", Values::text(rows.iter().map(|n| origin(n.origin))));
    if !study.header.spaces.is_empty() {
        table.push("space", Values::text(rows.iter().map(|n| n.space.as_deref().unwrap_or_default())));
    }
    table.push("digest", Values::text(rows.iter().map(|n| n.digest.as_str())));
    for (knob, values) in genome::columns(rows.iter().map(|n| &n.genome)) {
        table.push(format!("knob.{knob}"), Values::Integer(values));
    }
    table.push(PARAMS.name, Values::whole(rows.iter().map(|n| n.params)));
    table.push(MACS.name, Values::whole(rows.iter().map(|n| n.macs)));
    table.push(MEMORY.name, Values::Whole(rows.iter().map(|n| n.memory).collect()));
    table.push(LATENCY.name, Values::number(rows.iter().map(|n| n.latency.as_ref().map(|l| l.median_ms))));
    for seed in study.training_seeds() {
        let training = |id: u64| study.retrained.iter().find(|r| r.network == id && r.seed == seed);
        let values = rows.iter().map(|n| training(n.id).and_then(|r| r.metric(metrics::TEST_ACCURACY.name)));
        table.push(format!("{}.{seed}", metrics::TEST_ACCURACY.name), Values::number(values));
    }
    table
}

fn status(outcome: &TrialOutcome) -> &'static str {
    match outcome {
        TrialOutcome::Scored(_) => "scored",
        TrialOutcome::Infeasible { .. } => "infeasible",
        TrialOutcome::Failed { .. } => "failed",
    }
}

fn why(outcome: &TrialOutcome) -> Option<&str> {
    match outcome {
        TrialOutcome::Scored(_) => None,
        TrialOutcome::Infeasible { why, .. } | TrialOutcome::Failed { why } => Some(why),
    }
}
