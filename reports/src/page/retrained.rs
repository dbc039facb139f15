//! Retrained networks: test accuracy against latency and parameters, and a table.

use mobilenas_record::metric::{LATENCY, MACS, PARAMS};
use mobilenas_record::run::Retrained;
use mobilenas_record::{MetricInfo, text};

use super::about;
use super::figure::figures;
use super::folder::OutputFolder;
use super::html::{Cell, paragraph, table};
use super::section::Section;
use super::trial_table::{genome, label};
use super::trials;
use crate::error::ReportError;
use crate::metrics;
use crate::plot::Chart;
use crate::retrained::{RetrainedNetwork, error_bars, retrained_networks};
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "retrained",
    heading: "Retrained networks",
    help: "test accuracy of the networks that were trained on their own",
    render,
};

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    if run.retrained.is_empty() {
        return Ok(String::new());
    }
    let axes = [("retrained_latency", "latency"), ("retrained_params", "parameters")];
    let charts: Vec<(&str, Chart)> =
        axes.into_iter().filter_map(|(file, axis)| Some((file, chart(run, axis)?))).collect();
    let note = format!(
        "Each network was {} for {} and scored on the {} test images, which neither the supernet nor the \
         search saw. Do not compare this with the accuracy of the search, which is on another split with inherited weights.",
        run.retraining(),
        epochs(run),
        text::thousands(run.header.dataset.test as u64)
    );
    Ok(paragraph(&note) + &figures(&charts, out)? + &rows(run))
}

/// Test accuracy against another metric, if a network has both.
fn chart(run: &RunData, against: &str) -> Option<Chart> {
    let (plot, _) = trials::plot("trials", &[run], &|_| true);
    let axis = |name: &str| plot.axes.iter().position(|a| a.name.starts_with(name));
    let mut chart = plot.chart(axis(against)?, axis("test ")?);
    chart.caption.push(about::source(run));
    (!chart.is_empty()).then_some(chart)
}

/// A metric's mean over the trainings of a network.
fn mean(n: &RetrainedNetwork, metric: &MetricInfo) -> Option<f64> {
    let all: Vec<f64> = n.runs.iter().filter_map(|r| r.metrics.get(metric.name).copied()).collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

fn rows(run: &RunData) -> String {
    let int8 = metrics::judged_in_int8(run.accuracy().name);
    let quantized = run.retrained.iter().any(|r| r.metrics.contains_key(int8.name));
    let row = |n: &RetrainedNetwork| {
        let trial = run.trial(n.trial);
        let of = |m: &MetricInfo| Cell::number(trial.and_then(|t| t.metric(m.name)), |v| metrics::number(m, v));
        let each = |show: &dyn Fn(&Retrained) -> String| {
            let mut all: Vec<String> = n.runs.iter().map(show).collect();
            all.dedup();
            Cell::Number(all.join(", "))
        };
        // One training tells no error bar where accuracy is no share of images.
        let barred = n.accuracy.filter(|a| a.low < a.high);
        let mut cells = vec![
            Cell::Text(trial.map_or_else(|| format!("#{} (not in the journal)", n.trial), |t| label(run, t))),
            Cell::number(n.accuracy.map(|a| a.value), |v| format!("{v:.2}")),
            Cell::Number(barred.map_or_else(|| "–".to_owned(), |a| format!("{:.2}–{:.2}", a.low, a.high))),
        ];
        if quantized {
            cells.push(Cell::number(mean(n, int8), |v| metrics::number(int8, v)));
        }
        cells.extend([
            of(run.accuracy()),
            of(&LATENCY),
            of(&PARAMS),
            of(&MACS),
            each(&|r| r.epochs.to_string()),
            Cell::Number(n.runs.len().to_string()),
            Cell::Number(text::duration(n.runs.iter().map(|r| r.seconds).sum())),
            trial.map_or_else(|| Cell::Code(n.digest.clone()), |t| genome(run, t)),
        ]);
        cells
    };
    let mut heads = vec!["Trial".to_owned(), metrics::head(run.final_accuracy()), "Error bar".to_owned()];
    heads.extend(quantized.then(|| metrics::head(int8)));
    heads.extend([
        format!("Search: {} (%)", metrics::noun(run.accuracy())),
        metrics::head(&LATENCY),
        metrics::head(&PARAMS),
        metrics::head(&MACS),
        "Epochs".to_owned(),
        "Seeds".to_owned(),
        "Took".to_owned(),
        "Genome".to_owned(),
    ]);
    paragraph(error_bars(run)) + &table(&heads, &retrained_networks(run).iter().map(row).collect::<Vec<_>>())
}

/// The epochs of the trainings: `30 epochs`, or `20 to 30 epochs` should they differ.
fn epochs(run: &RunData) -> String {
    let all = run.retrained.iter().map(|r| r.epochs);
    let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), e| (lo.min(e), hi.max(e)));
    if least == most { format!("{most} epochs") } else { format!("{least} to {most} epochs") }
}
