//! Metrics of `mobilenas bench check` over commits: a Parquet file that grows by one check at a time, the points at which a
//! metric changes its level, and a plot of each metric. Nothing here is a verdict.

use std::path::{Path, PathBuf};

use mobilenas_host::write::write_whole;

use crate::changes::{Change, changes};
use crate::error::ReportError;
use crate::flat::{Flat, Values};
use crate::plot::{self, Chart, Mark, Placement, Point, Series, Size};

/// What can go wrong with a history.
#[derive(Debug, thiserror::Error)]
pub enum BenchHistoryError {
    /// The file cannot be opened, made or replaced.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a history.
    #[error("{}: {why}; expected a history that `mobilenas bench history` wrote", file.display())]
    Table {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A plot could not be drawn.
    #[error("{name}: the plot could not be drawn: {why}")]
    Plot {
        /// Which.
        name: String,
        /// Error of plotters.
        why: String,
    },
}

/// One metric of one model at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchHistoryRow {
    /// The commit, or any other name of a state.
    pub commit: String,
    /// When it was checked, in seconds since 1970.
    pub time: i64,
    /// The network, or the pair.
    pub model: String,
    /// The metric.
    pub metric: String,
    /// Which tier measured it.
    pub tier: String,
    /// The machine: processor and cores. Values of two machines are two series.
    pub host: String,
    /// The value.
    pub value: f64,
    /// The check's verdict on it.
    pub verdict: String,
}

fn table(rows: &[BenchHistoryRow]) -> Flat {
    let text = |of: fn(&BenchHistoryRow) -> &str| Values::text(rows.iter().map(of));
    let mut table = Flat::default();
    table.push("commit", text(|r| &r.commit));
    table.push("time", Values::Integer(rows.iter().map(|r| Some(r.time)).collect()));
    table.push("model", text(|r| &r.model));
    table.push("metric", text(|r| &r.metric));
    table.push("tier", text(|r| &r.tier));
    table.push("host", text(|r| &r.host));
    table.push("value", Values::Number(rows.iter().map(|r| Some(r.value)).collect()));
    table.push("verdict", text(|r| &r.verdict));
    table
}

/// The rows of a table; `None` if a column is missing or has another type.
fn rows(table: &Flat) -> Option<Vec<BenchHistoryRow>> {
    let text = |name: &str| match table.column(name)? {
        Values::Text(all) => Some(all.iter().map(|v| v.clone().unwrap_or_default()).collect::<Vec<String>>()),
        _ => None,
    };
    let (commit, model, metric) = (text("commit")?, text("model")?, text("metric")?);
    let (tier, host, verdict) = (text("tier")?, text("host")?, text("verdict")?);
    let (Values::Integer(time), Values::Number(value)) = (table.column("time")?, table.column("value")?) else {
        return None;
    };
    let row = |i: usize| BenchHistoryRow {
        commit: commit[i].clone(),
        time: time[i].unwrap_or_default(),
        model: model[i].clone(),
        metric: metric[i].clone(),
        tier: tier[i].clone(),
        host: host[i].clone(),
        value: value[i].unwrap_or(f64::NAN),
        verdict: verdict[i].clone(),
    };
    Some((0..commit.len()).map(row).collect())
}

/// Reads a history; an empty one if there is no file.
///
/// # Errors
/// When the file cannot be read or is not a history.
pub fn read(file: &Path) -> Result<Vec<BenchHistoryRow>, BenchHistoryError> {
    let refuse = |why: String| BenchHistoryError::Table { file: file.to_path_buf(), why };
    let bytes = match std::fs::read(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| BenchHistoryError::File { file: file.to_path_buf(), source })?,
    };
    let table = Flat::from_parquet("history", &bytes).map_err(|e| refuse(reason(e)))?;
    rows(&table).ok_or_else(|| refuse("a column is missing or has another type".to_owned()))
}

/// Writes a history whole.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, rows: &[BenchHistoryRow]) -> Result<(), BenchHistoryError> {
    let bytes = table(rows)
        .parquet("history")
        .map_err(|e| BenchHistoryError::Table { file: file.to_path_buf(), why: reason(e) })?;
    write_whole(file, &bytes).map_err(|source| BenchHistoryError::File { file: file.to_path_buf(), source })
}

/// The cause of an error of a table.
fn reason(error: ReportError) -> String {
    match error {
        ReportError::Table { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// One metric of one model on one machine over commits.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricHistory {
    /// The network, or the pair.
    pub model: String,
    /// The metric.
    pub metric: String,
    /// The machine.
    pub host: String,
    /// Commits with values, in order.
    pub points: Vec<(String, f64)>,
    /// Where its level changes.
    pub changes: Vec<Change>,
}

/// The histories of each metric, in the order in which they first occur.
pub fn metric_histories(rows: &[BenchHistoryRow]) -> Vec<MetricHistory> {
    let mut all: Vec<MetricHistory> = Vec::new();
    for r in rows.iter().filter(|r| r.value.is_finite()) {
        match all.iter_mut().find(|m| m.model == r.model && m.metric == r.metric && m.host == r.host) {
            Some(m) => m.points.push((r.commit.clone(), r.value)),
            None => all.push(MetricHistory {
                model: r.model.clone(),
                metric: r.metric.clone(),
                host: r.host.clone(),
                points: vec![(r.commit.clone(), r.value)],
                changes: Vec::new(),
            }),
        }
    }
    for m in &mut all {
        m.changes = changes(&m.points.iter().map(|(_, v)| *v).collect::<Vec<f64>>());
    }
    all
}

impl MetricHistory {
    /// The history as a plot; the first value of a new level is a diamond with its commit.
    pub fn chart(&self) -> Chart {
        let short = |commit: &str| commit.chars().take(10).collect::<String>();
        let at = |i: usize| Point::at(i as f64, self.points[i].1);
        let begins = |i: &usize| self.changes.iter().any(|c| c.at == *i);
        let steady = (0..self.points.len()).filter(|i| !begins(i)).map(at).collect();
        let changed = self.changes.iter().map(|c| {
            let label = format!("{} {:+.1} %", short(&self.points[c.at].0), 100.0 * (c.after / c.before - 1.0));
            Point { label: Some(label), ..at(c.at) }
        });
        let ends = self.points.first().zip(self.points.last());
        let ends = ends.map(|((a, _), (b, _))| format!("From {} to {}, on {}.", short(a), short(b), self.host));
        Chart {
            title: format!("{} of {} over commits", self.metric, self.model),
            x_label: "commits checked".into(),
            y_label: self.metric.clone(),
            caption: ends.into_iter().collect(),
            series: vec![
                Series::new("checked", Mark::Dot, plot::CANDIDATE, steady),
                Series::new("level changed", Mark::Diamond, plot::RETRAINED, changed.collect()),
            ],
            ..Chart::default()
        }
    }

    /// A file name for its plot.
    pub fn name(&self) -> String {
        let plain = |t: &str| t.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
        format!("{}.{}", plain(&self.model), plain(&self.metric))
    }

    /// Its plot as SVG.
    ///
    /// # Errors
    /// When plotters cannot draw.
    pub fn svg(&self) -> Result<String, BenchHistoryError> {
        let chart = self.chart();
        let picture = plot::picture(&chart, Size { width: 900, height: 480 }, Placement::Standalone);
        plot::svg(&picture, &chart.title).map_err(|why| BenchHistoryError::Plot { name: self.name(), why })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn history() -> Vec<BenchHistoryRow> {
        let row = |i: i64, value: f64| BenchHistoryRow {
            commit: format!("c{i}"),
            time: i,
            model: "net".into(),
            metric: "latency_ms".into(),
            tier: "1 paired".into(),
            host: "Some CPU, 2 cores".into(),
            value,
            verdict: "pass".into(),
        };
        (0..20).map(|i| row(i, if i < 12 { 10.0 } else { 11.0 } + 0.02 * (i % 3) as f64)).collect()
    }

    #[test]
    fn a_history_is_written_and_read_and_its_change_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h.parquet");
        assert!(read(&file).unwrap().is_empty());
        write(&file, &history()).unwrap();
        assert_eq!(read(&file).unwrap(), history());
        let all = metric_histories(&history());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].changes.iter().map(|c| c.at).collect::<Vec<_>>(), [12]);
        let svg = all[0].svg().unwrap();
        assert!(svg.contains("c12 +10.0 %") && svg.contains("latency_ms of net over commits"), "{svg}");
        std::fs::write(&file, "no parquet").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("expected a history"));
    }

    #[test]
    fn two_machines_are_two_lines() {
        let mut all = history();
        all[3].host = "Other".into();
        assert_eq!(metric_histories(&all).len(), 2);
    }
}
