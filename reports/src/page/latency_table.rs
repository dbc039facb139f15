//! How well a table's latencies agree with measured ones: a plot and a sentence.

use std::path::{Path, PathBuf};

use mobilenas_record::latency_table::{self, LatencyTable, Source};
use mobilenas_record::text;

use super::about;
use super::folder::OutputFolder;
use crate::error::ReportError;
use crate::plot::{Bars, CANDIDATE, Chart, FRONT, LineStyle, Mark, Point, Series};
use crate::run_data::RunData;

/// Name of the plot's files.
pub(super) const FILE: &str = "latency_table";

/// Writes the plot of a table that belongs to no run into `folder`; returns the files.
///
/// # Errors
/// If the table was compared with no networks, the chart cannot be drawn, or a file cannot be written.
pub fn render_latency_table(name: &str, table: &LatencyTable, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let none =
        || ReportError::Plot { name: FILE.to_owned(), why: "the table was compared with no networks".to_owned() };
    let mut out = OutputFolder::flat(folder);
    out.charts(&[(FILE, chart_of(name, table).ok_or_else(none)?)])?;
    Ok(out.written().to_vec())
}

/// A run's chart, if its table was compared with measured networks.
pub(super) fn chart(run: &RunData) -> Option<Chart> {
    chart_of(&run.header.name, run.latency_table.as_ref()?)
}

fn chart_of(name: &str, table: &LatencyTable) -> Option<Chart> {
    let pairs = latency_table::sound(&table.pairs);
    let ends = pairs.iter().flat_map(|(p, m)| [*p, *m]);
    let (low, high) = ends.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
    if pairs.is_empty() {
        return None;
    }
    let band = |v: f64| Point { bars: Bars { x: None, y: Some((v * 0.9, v * 1.1)) }, ..Point::at(v, v) };
    let networks = pairs.iter().map(|(p, m)| Point::at(*m, *p)).collect();
    Some(Chart {
        title: format!("{name}: latency by the table against measured latency"),
        x_label: "Measured median latency (ms)".to_owned(),
        y_label: "Latency by the table (ms)".to_owned(),
        caption: vec![error(table), source(table)],
        series: vec![
            Series::new("equal, and ±10 %", Mark::Small, CANDIDATE, vec![band(low), band(high)])
                .joined(LineStyle::Straight),
            Series::new("networks", Mark::Dot, FRONT, networks),
        ],
        ..Chart::default()
    })
}

/// What the table was measured on.
fn source(t: &LatencyTable) -> String {
    let blocks = text::plural(t.entries, "block");
    format!("Table of {blocks} measured on {} with {}. {}", t.device, about::engine(&t.engine), t.engine.protocol)
}

/// The table's error in a sentence.
fn error(t: &LatencyTable) -> String {
    let Some(fit) = latency_table::fit(&t.pairs) else {
        return "The table was compared with no measured network: its error is not known.".to_owned();
    };
    let share = |n: usize| format!("{n} ({:.0} %)", 100.0 * n as f64 / fit.nets as f64);
    let order = fit.tau.map_or_else(
        || "There are too few networks to compare their order.".to_owned(),
        |t| format!("Kendall's τ-b of the order is {:.2} (bootstrap 95 %: {:.2} to {:.2}).", t.value, t.low, t.high),
    );
    format!(
        "Over {}, the mean absolute error of the table is {} % (with signs {:+.1} %); {} are within 5 %, {} within 10 %. \
         {order}",
        text::plural(fit.nets, "measured network"),
        text::significant(fit.mape, 2),
        fit.bias,
        share(fit.within_5),
        share(fit.within_10),
    )
}

/// Where a run's latencies come from, and the error of its table.
pub(super) fn reliability(run: &RunData) -> Option<(&'static str, String)> {
    let table = run.latency_table.as_ref()?;
    let origin = match table.source {
        Source::Measured => "Each trial was measured; the table was only compared with measured networks.",
        Source::Table => "The trials' latencies are not measured but sums over a table that was measured on this host.",
        Source::Imported => "The trials' latencies are not measured here but sums over an imported table.",
    };
    Some(("Error of the latency table", format!("{origin} {} {}", error(table), source(table))))
}
