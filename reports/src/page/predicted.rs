//! How well a table's latencies agree with measured ones: a plot, and its words for the section of trust.

use std::path::{Path, PathBuf};

use super::{Report, Site};
use crate::plot::{CANDIDATE, Chart, FRONT, Mark, Point, Series, Steps};
use crate::{Frame, ReportError};
use mobilenas_record::latency_table::{self, LatencyTable, Source};
use mobilenas_record::text;

/// Predicted against measured latency.
pub struct Predicted;

/// Name of the plot's files.
pub(super) const FILE: &str = "latency_table";

impl Report for Predicted {
    fn name(&self) -> &str {
        "latency_table"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        chart(f).iter().try_for_each(|chart| out.plot(FILE, chart))
    }
}

/// Writes the plot of a table that belongs to no run into `folder`; gives the files.
///
/// # Errors
/// If the table was compared with no networks, the chart cannot be drawn, or a file cannot be written.
pub fn render_latency_table(name: &str, table: &LatencyTable, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let none =
        || ReportError::Plot { name: FILE.to_owned(), why: "the table was compared with no networks".to_owned() };
    let mut site = Site::flat(folder);
    site.plot(FILE, &chart_of(name, table).ok_or_else(none)?)?;
    Ok(site.written().to_vec())
}

/// A run's chart, if its table was compared with measured networks.
pub(super) fn chart(f: &Frame) -> Option<Chart> {
    chart_of(&f.run.name, f.latency_table.as_ref()?)
}

fn chart_of(name: &str, table: &LatencyTable) -> Option<Chart> {
    let pairs = latency_table::sound(&table.pairs);
    let ends = pairs.iter().flat_map(|(p, m)| [*p, *m]);
    let (low, high) = ends.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
    if pairs.is_empty() {
        return None;
    }
    let band = |v: f64| Point { bars: crate::plot::Bars { x: None, y: Some((v * 0.9, v * 1.1)) }, ..Point::at(v, v) };
    let series = |of: &str, mark, color, points, steps| Series { name: of.to_owned(), mark, color, points, steps };
    Some(Chart {
        title: format!("{name}: latency by the table against measured latency"),
        x_label: "Measured median latency (ms)".to_owned(),
        y_label: "Latency by the table (ms)".to_owned(),
        caption: vec![words(table), provenance(table)],
        series: vec![
            series("equal, and ±10 %", Mark::Speck, CANDIDATE, vec![band(low), band(high)], Some(Steps::Straight)),
            series("networks", Mark::Dot, FRONT, pairs.iter().map(|(p, m)| Point::at(*m, *p)).collect(), None),
        ],
    })
}

/// What the table was measured on.
fn provenance(t: &LatencyTable) -> String {
    let e = &t.engine;
    format!(
        "Table of {} measured on {} with {} {}, {}, {}, batch {}. {}",
        text::plural(t.entries, "block"),
        t.device,
        e.name,
        e.version,
        e.precision,
        text::plural(e.threads, "thread"),
        e.batch,
        e.protocol
    )
}

/// The table's error in a sentence.
fn words(t: &LatencyTable) -> String {
    let Some(fit) = latency_table::fit(&t.pairs) else {
        return "The table was compared with no measured network: its error is not known.".to_owned();
    };
    let share = |n: usize| format!("{n} ({:.0} %)", 100.0 * n as f64 / fit.nets as f64);
    let order = fit.tau.map_or_else(
        || "Too few networks to compare their order.".to_owned(),
        |t| {
            format!(
                "Kendall's τ-b of the order is {:.2} (95 % of bootstrap samples: {:.2} to {:.2}).",
                t.value, t.low, t.high
            )
        },
    );
    format!(
        "Over {}, the table is off by {} % on average (mean of the absolute errors; with their signs {:+.1} %); {} are \
         within 5 %, {} within 10 %. {order}",
        text::plural(fit.nets, "measured network"),
        text::significant(fit.mape, 2),
        fit.bias,
        share(fit.within_5),
        share(fit.within_10),
    )
}

/// What the section of trust says of it: where latencies come from, and their error.
pub(super) fn trust(f: &Frame) -> Option<(&'static str, String)> {
    let table = f.latency_table.as_ref()?;
    let source = match table.source {
        Source::Measured => "Each trial was measured; the table was only compared with measured networks.",
        Source::Table => "The trials' latencies are sums over a table that was measured on this host, not measured.",
        Source::Imported => "The trials' latencies are sums over an imported table, not measured here.",
    };
    Some(("Error of the latency table", format!("{source} {} {}", words(table), provenance(table))))
}
