//! Metrics of the bench gate over commits: a Parquet file that grows by one check at a time, points at which a metric has
//! changed its level, and a plot of each. Advisory: nothing here is a verdict.

use std::fs::File;
use std::path::{Path, PathBuf};

use mobilenas_host::write::write_whole;
use polars::error::{PolarsError, PolarsResult};
use polars::prelude::{
    Column, DataFrame, IntoColumn as _, NamedFrom as _, ParquetCompression, ParquetReader, ParquetWriter,
    SerReader as _, Series as Values,
};

use crate::changes::{Change, changes};
use crate::plot::{self, Chart, Dress, Mark, Point, Series, Size};

/// What can go wrong with a history.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// The file cannot be opened, made or replaced.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no history.
    #[error("{}: {source}; expected a history that `mobilenas bench history` wrote", file.display())]
    Table {
        /// The file.
        file: PathBuf,
        /// What polars said.
        source: PolarsError,
    },
    /// A plot could not be drawn.
    #[error("{name}: the plot could not be drawn: {why}")]
    Plot {
        /// Which.
        name: String,
        /// What plotters said.
        why: String,
    },
}

/// One metric of one model at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The commit, or any other name of a state.
    pub commit: String,
    /// When it was checked, in seconds since 1970.
    pub time: i64,
    /// The network, or the pair.
    pub model: String,
    /// The metric.
    pub metric: String,
    /// Which tier spoke.
    pub tier: String,
    /// The machine: processor and cores. Values of two machines are two lines.
    pub host: String,
    /// The value.
    pub value: f64,
    /// What was said about it.
    pub verdict: String,
}

fn column<T, P: ?Sized>(name: &str, values: T) -> Column
where
    Values: polars::prelude::NamedFrom<T, P>,
{
    Values::new(name.into(), values).into_column()
}

fn table(rows: &[Row]) -> PolarsResult<DataFrame> {
    let text = |of: fn(&Row) -> &String| rows.iter().map(|r| of(r).as_str()).collect::<Vec<&str>>();
    let columns = vec![
        column("commit", text(|r| &r.commit)),
        column("time", rows.iter().map(|r| r.time).collect::<Vec<i64>>()),
        column("model", text(|r| &r.model)),
        column("metric", text(|r| &r.metric)),
        column("tier", text(|r| &r.tier)),
        column("host", text(|r| &r.host)),
        column("value", rows.iter().map(|r| r.value).collect::<Vec<f64>>()),
        column("verdict", text(|r| &r.verdict)),
    ];
    DataFrame::new(rows.len(), columns)
}

fn rows(table: &DataFrame) -> PolarsResult<Vec<Row>> {
    let text = |name: &str| -> PolarsResult<Vec<String>> {
        let all = table.column(name)?.str()?;
        Ok((0..all.len()).map(|i| all.get(i).unwrap_or_default().to_string()).collect())
    };
    let (commit, model, metric) = (text("commit")?, text("model")?, text("metric")?);
    let (tier, host, verdict) = (text("tier")?, text("host")?, text("verdict")?);
    let (time, value) = (table.column("time")?.i64()?, table.column("value")?.f64()?);
    let row = |i: usize| Row {
        commit: commit[i].clone(),
        time: time.get(i).unwrap_or_default(),
        model: model[i].clone(),
        metric: metric[i].clone(),
        tier: tier[i].clone(),
        host: host[i].clone(),
        value: value.get(i).unwrap_or(f64::NAN),
        verdict: verdict[i].clone(),
    };
    Ok((0..table.height()).map(row).collect())
}

/// Reads a history; an empty one if there is no file.
///
/// # Errors
/// When the file is there and is no history.
pub fn read(file: &Path) -> Result<Vec<Row>, DriftError> {
    let opened = match File::open(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| DriftError::File { file: file.to_path_buf(), source })?,
    };
    let parsed = ParquetReader::new(opened).finish().and_then(|t| rows(&t));
    parsed.map_err(|source| DriftError::Table { file: file.to_path_buf(), source })
}

/// Writes a history whole.
///
/// # Errors
/// When the system or polars refuses.
pub fn write(file: &Path, rows: &[Row]) -> Result<(), DriftError> {
    let mut bytes = Vec::new();
    let made = table(rows).and_then(|mut t| {
        ParquetWriter::new(&mut bytes)
            .with_compression(ParquetCompression::Zstd(None))
            .set_parallel(false)
            .finish(&mut t)
    });
    made.map_err(|source| DriftError::Table { file: file.to_path_buf(), source })?;
    write_whole(file, &bytes).map_err(|source| DriftError::File { file: file.to_path_buf(), source })
}

/// One metric of one model on one machine over commits.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The network, or the pair.
    pub model: String,
    /// The metric.
    pub metric: String,
    /// The machine.
    pub host: String,
    /// Commits with values, in order.
    pub points: Vec<(String, f64)>,
    /// Where its level has changed.
    pub changes: Vec<Change>,
}

/// The lines of a history, in the order in which they first occur.
pub fn lines(rows: &[Row]) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    for r in rows.iter().filter(|r| r.value.is_finite()) {
        match all.iter_mut().find(|l| l.model == r.model && l.metric == r.metric && l.host == r.host) {
            Some(line) => line.points.push((r.commit.clone(), r.value)),
            None => all.push(Line {
                model: r.model.clone(),
                metric: r.metric.clone(),
                host: r.host.clone(),
                points: vec![(r.commit.clone(), r.value)],
                changes: Vec::new(),
            }),
        }
    }
    for line in &mut all {
        line.changes = changes(&line.points.iter().map(|(_, v)| *v).collect::<Vec<f64>>());
    }
    all
}

impl Line {
    /// The line as a plot; the first value of a new level is a diamond with its commit.
    pub fn chart(&self) -> Chart {
        let short = |commit: &str| commit.chars().take(10).collect::<String>();
        let at = |i: usize| Point::at(i as f64, self.points[i].1);
        let begins = |i: &usize| self.changes.iter().any(|c| c.at == *i);
        let steady = (0..self.points.len()).filter(|i| !begins(i)).map(at).collect();
        let changed = self.changes.iter().map(|c| {
            let label = format!("{} {:+.1} %", short(&self.points[c.at].0), 100.0 * (c.after / c.before - 1.0));
            Point { label: Some(label), ..at(c.at) }
        });
        let series = |name: &str, mark, color, points| Series { name: name.into(), mark, color, points, steps: None };
        let ends = self.points.first().zip(self.points.last());
        let ends = ends.map(|((a, _), (b, _))| format!("From {} to {}, on {}.", short(a), short(b), self.host));
        Chart {
            title: format!("{} of {} over commits", self.metric, self.model),
            x_label: "commits checked".into(),
            y_label: self.metric.clone(),
            caption: ends.into_iter().collect(),
            series: vec![
                series("checked", Mark::Dot, plot::CANDIDATE, steady),
                series("level changed", Mark::Diamond, plot::RETRAINED, changed.collect()),
            ],
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
    /// When plotters refuses.
    pub fn svg(&self) -> Result<String, DriftError> {
        let chart = self.chart();
        let picture = chart.picture(Size { width: 900, height: 480 }, Dress::Full);
        plot::svg(&picture, &chart.title).map_err(|why| DriftError::Plot { name: self.name(), why })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn history() -> Vec<Row> {
        let row = |i: i64, value: f64| Row {
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
        let lines = lines(&history());
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].changes.iter().map(|c| c.at).collect::<Vec<_>>(), [12]);
        let svg = lines[0].svg().unwrap();
        assert!(svg.contains("c12 +10.0 %") && svg.contains("latency_ms of net over commits"), "{svg}");
        std::fs::write(&file, "no parquet").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("expected a history"));
    }

    #[test]
    fn two_machines_are_two_lines() {
        let mut all = history();
        all[3].host = "Other".into();
        assert_eq!(lines(&all).len(), 2);
    }
}
