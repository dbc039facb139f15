//! `mobilenas bench history FILE`: checks over commits.

use std::path::{Path, PathBuf};

use anyhow::Result;
use mobilenas_bench::regression::{RegressionReport, finding};
use mobilenas_host::outln;
use mobilenas_host::write::write_whole;
use mobilenas_reports::bench_history::{self, BenchHistoryError, BenchHistoryRow};

use crate::cli::Input;

/// Arguments of `bench history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The history, a Parquet file; made if there is none
    file: PathBuf,
    /// A check to append: the `check.json` of `bench check --out`
    #[arg(long, value_name = "FILE", requires = "commit")]
    append: Option<PathBuf>,
    /// The commit that was checked
    #[arg(long, value_name = "NAME", requires = "append")]
    commit: Option<String>,
    /// Folder for the plots: one SVG for each model, metric and machine
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn checked(file: &Path) -> Result<RegressionReport, Input> {
    let refuse = |e: String| Input(format!("{}: {e}, expected the check.json of `bench check --out`", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| refuse(e.to_string()))?;
    let report: RegressionReport = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    if report.schema != finding::REPORT_SCHEMA {
        return Err(refuse(format!("schema {}", report.schema)));
    }
    Ok(report)
}

/// Appends and draws.
///
/// # Errors
/// When a file is not what it should be.
pub fn run(args: &Args) -> Result<i32> {
    let input = |e: BenchHistoryError| match e {
        BenchHistoryError::Table { .. } => anyhow::Error::from(Input(e.to_string())),
        other => other.into(),
    };
    let mut rows = bench_history::read(&args.file).map_err(input)?;
    if let (Some(check), Some(commit)) = (&args.append, &args.commit) {
        let report = checked(check)?;
        let (time, host) = (mobilenas_host::unix_now() as i64, report.host);
        let host = format!("{}, {} cores", host.machine.cpu, host.machine.cores);
        rows.extend(report.findings.iter().filter_map(|f| {
            Some(BenchHistoryRow {
                commit: commit.clone(),
                time,
                model: f.model.clone(),
                metric: f.metric.clone(),
                tier: f.tier.to_string(),
                host: host.clone(),
                value: f.candidate?,
                verdict: f.verdict.to_string(),
            })
        }));
        bench_history::write(&args.file, &rows).map_err(input)?;
    }
    let histories = bench_history::metric_histories(&rows);
    for history in &histories {
        for c in &history.changes {
            let (commit, percent) = (&history.points[c.at].0, 100.0 * (c.after / c.before - 1.0));
            let (model, metric) = (&history.model, &history.metric);
            outln!("{model} {metric}: {:.6} -> {:.6} ({percent:+.2} %) since {commit}", c.before, c.after)?;
        }
    }
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)?;
        for (i, history) in histories.iter().enumerate() {
            let before = histories[..i].iter().filter(|h| h.name() == history.name()).count();
            let again = if before > 0 { format!(".{}", before + 1) } else { String::new() };
            write_whole(&folder.join(format!("{}{again}.svg", history.name())), history.svg()?.as_bytes())?;
        }
    }
    outln!("{} values in {} lines", rows.len(), histories.len())?;
    Ok(0)
}
