//! All trials as one table, one row a trial: what `trials.csv` and `trials.parquet` hold.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `id` | u64 | counts from 0 in the order of the journal |
//! | `origin` | text | `search` or `variant` |
//! | `variant` | text or null | name of the published variant |
//! | `digest` | text | digest of the graph; equal graphs are one candidate |
//! | `status` | text | `scored`, `infeasible` or `failed` |
//! | `why` | text or null | the bound missed, or the error |
//! | `knob.<name>` | i64 or null | the genome, one column a knob, by name |
//! | `params`, `macs` | f64 or null | learnable parameters; multiply-accumulates of one image |
//! | `memory` | f64 or null | peak memory of one image, bytes |
//! | `latency_ms`, `latency_p10_ms`, `latency_p90_ms` | f64 or null | median and percentiles, one image, ms |
//! | `top1` | f64 or null | search-validation split, inherited weights, percent |
//! | `mes` | f64 or null | mobile efficiency score with the run's constants |
//! | `on_front` | bool | on the front of top-1 against latency |
//! | `retrained_test_top1` | f64 or null | test split, retrained from scratch, percent; mean over retrainings |
//! | `seconds` | f64 | what scoring took |
//!
//! An infeasible trial has the metrics that were known before its bound was missed.

use std::borrow::Cow;

use polars::prelude::{Column, CsvWriter, DataFrame, ParquetCompression, ParquetWriter, PolarsResult, SerWriter};

use crate::study::{NetworkOrigin, Study, StudyNetwork};
use crate::{Entry, Frame, ReportError, genome};
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{Latency, TrialOutcome};

/// Name of the table as CSV.
pub const CSV: &str = "trials.csv";
/// Name of the table as Parquet.
pub const PARQUET: &str = "trials.parquet";

/// The table of trials with text exactly as in the journal; columns as in the module's table.
///
/// # Errors
/// If polars refuses the columns.
pub fn trials(frame: &Frame) -> Result<DataFrame, ReportError> {
    build(frame, &|text| Cow::Borrowed(text)).map_err(|source| ReportError::Table { name: "trials", source })
}

/// The table as CSV, UTF-8, nulls as empty cells, one header line. Text that a spreadsheet would run is defused.
///
/// # Errors
/// If polars refuses the columns or cannot encode them.
pub fn csv(frame: &Frame) -> Result<Vec<u8>, ReportError> {
    let encode = || {
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes).n_threads(1).finish(&mut build(frame, &defused)?)?;
        Ok(bytes)
    };
    encode().map_err(|source| ReportError::Table { name: CSV, source })
}

/// The table as Parquet with zstd compression.
///
/// # Errors
/// If polars refuses the columns or cannot encode them.
pub fn parquet(frame: &Frame) -> Result<Vec<u8>, ReportError> {
    let mut table = trials(frame)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .set_parallel(false)
        .finish(&mut table)
        .map_err(|source| ReportError::Table { name: PARQUET, source })?;
    Ok(bytes)
}

/// The networks of a study as CSV: `id`, `name`, `origin`, `digest`, `knob.<name>`, `params`, `macs`, `memory` (bytes),
/// `latency_ms`, and `test_top1.<seed>` (percent) for each seed of a training from scratch.
///
/// # Errors
/// If polars refuses the columns or cannot encode them.
pub(crate) fn networks(study: &Study, word: impl Fn(NetworkOrigin) -> &'static str) -> Result<Vec<u8>, ReportError> {
    let rows = &study.networks;
    let text = |get: &dyn Fn(&StudyNetwork) -> &str| -> Vec<String> {
        rows.iter().map(|n| defused(get(n)).into_owned()).collect()
    };
    let mut columns = vec![
        column("id", rows.iter().map(|n| n.id).collect::<Vec<u64>>()),
        column("name", text(&|n| &n.name)),
        column("origin", text(&|n| word(n.origin))),
        column("digest", text(&|n| &n.digest)),
    ];
    for (knob, values) in genome::columns(rows.iter().map(|n| &n.genome)) {
        columns.push(column(&format!("knob.{knob}"), values));
    }
    columns.push(column(metric::PARAMS, rows.iter().map(|n| n.params).collect::<Vec<u64>>()));
    columns.push(column(metric::MACS, rows.iter().map(|n| n.macs).collect::<Vec<u64>>()));
    columns.push(column(metric::MEMORY, rows.iter().map(|n| n.memory).collect::<Vec<Option<u64>>>()));
    let latency = |n: &StudyNetwork| n.latency.as_ref().map(|l| l.median_ms).filter(|v| v.is_finite());
    columns.push(column(metric::LATENCY, rows.iter().map(latency).collect::<Vec<Option<f64>>>()));
    let mut seeds: Vec<u64> = study.retrained.iter().map(|r| r.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    for seed in seeds {
        let top1 = |n: &StudyNetwork| study.retrained.iter().find(|r| r.network == n.id && r.seed == seed);
        let values = rows.iter().map(|n| top1(n).and_then(|r| r.metric(metric::TEST_TOP1)));
        columns.push(column(&format!("{}.{seed}", metric::TEST_TOP1), values.collect::<Vec<Option<f64>>>()));
    }
    let encode = || {
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes).n_threads(1).finish(&mut DataFrame::new(rows.len(), columns)?)?;
        Ok(bytes)
    };
    encode().map_err(|source| ReportError::Table { name: "networks.csv", source })
}

/// Text that no spreadsheet takes for a formula: an apostrophe goes before a leading `=`, `+`, `-`, `@`, tab or return.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

/// The columns; `safe` is applied to every text that someone else wrote.
fn build(frame: &Frame, safe: &dyn Fn(&str) -> Cow<'_, str>) -> PolarsResult<DataFrame> {
    let rows = &frame.trials;
    let text = |get: &dyn Fn(&Entry) -> Option<String>| -> Vec<Option<String>> {
        rows.iter().map(|e| get(e).map(|t| safe(&t).into_owned())).collect()
    };
    let number = |get: &dyn Fn(&Entry) -> Option<f64>| -> Vec<Option<f64>> {
        rows.iter().map(|e| get(e).filter(|v| v.is_finite())).collect()
    };
    let latency = |get: fn(&Latency) -> f64| number(&|e| e.trial.latency.as_ref().map(get));

    let mut columns = vec![
        column("id", rows.iter().map(|e| e.trial.id).collect::<Vec<u64>>()),
        column("origin", text(&|e| Some(if e.variant().is_some() { "variant" } else { "search" }.to_owned()))),
        column("variant", text(&|e| e.variant().map(str::to_owned))),
        column("digest", text(&|e| Some(e.trial.digest.clone()))),
        column("status", text(&|e| Some(status(&e.trial.outcome).to_owned()))),
        column("why", text(&|e| why(&e.trial.outcome).map(str::to_owned))),
    ];
    for (knob, values) in genome::columns(rows.iter().map(|e| &e.trial.genome)) {
        columns.push(column(&format!("knob.{knob}"), values));
    }
    columns.extend([
        column(metric::PARAMS, number(&|e| e.metric(metric::PARAMS))),
        column(metric::MACS, number(&|e| e.metric(metric::MACS))),
        column(metric::MEMORY, number(&|e| e.metric(metric::MEMORY))),
        column(metric::LATENCY, number(&|e| e.metric(metric::LATENCY))),
        column("latency_p10_ms", latency(|l| l.p10_ms)),
        column("latency_p90_ms", latency(|l| l.p90_ms)),
        column(metric::TOP1, number(&|e| e.metric(metric::TOP1))),
        column(metric::MES, number(&|e| e.mes)),
        column("on_front", rows.iter().map(|e| e.on_front).collect::<Vec<bool>>()),
        column("retrained_test_top1", number(&|e| frame.retrained_test_top1(e.trial.id))),
        column("seconds", number(&|e| Some(e.trial.seconds))),
    ]);
    DataFrame::new(rows.len(), columns)
}

pub(crate) fn column<T, P: ?Sized>(name: &str, values: T) -> Column
where
    polars::prelude::Series: polars::prelude::NamedFrom<T, P>,
{
    use polars::prelude::{IntoColumn, NamedFrom, Series};
    Series::new(name.into(), values).into_column()
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
