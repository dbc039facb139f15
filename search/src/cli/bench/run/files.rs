//! What `bench run` writes in the end: the same rows as JSON with every sample, as Markdown, as CSV and as Parquet; and of
//! published networks the model zoo, a ranked table and a plot for each setting.

use std::path::Path;

use anyhow::Result;
use mobilenas_bench::profile::output;
use mobilenas_bench::profile::record::{Cell, ProfileReport, ProfileRow};
use mobilenas_host::json_file;
use mobilenas_record::text;
use mobilenas_reports::flat::{Flat, Values};
use mobilenas_reports::zoo::{MeasuredNetwork, ModelZoo, model_zoo};
use mobilenas_space::{cost, families};

/// The rows as CSV.
const CSV: &str = "bench.csv";
/// The rows as Parquet.
const PARQUET: &str = "bench.parquet";

/// Writes every file into a folder that is there.
///
/// # Errors
/// When one cannot be written.
pub fn write(report: &ProfileReport, folder: &Path) -> Result<()> {
    output::write(report, folder)?;
    json_file::write(&folder.join(output::MARKDOWN), output::markdown(report).as_bytes())?;
    let flat = flat(report);
    json_file::write(&folder.join(CSV), &flat.csv(CSV)?)?;
    json_file::write(&folder.join(PARQUET), &flat.parquet(PARQUET)?)?;
    zoo(report, folder)
}

/// `model_zoo.md` and `model_zoo.svg` of the first engine, number of threads and batch size; of the others `model_zoo_2`
/// and so on.
fn zoo(report: &ProfileReport, folder: &Path) -> Result<()> {
    let setting = |row: &ProfileRow| (row.case.engine.clone(), row.case.threads, row.case.batch);
    let mut settings = Vec::new();
    for row in &report.rows {
        if !settings.contains(&setting(row)) {
            settings.push(setting(row));
        }
    }
    for (i, one) in settings.iter().enumerate() {
        let measured: Vec<MeasuredNetwork> =
            report.rows.iter().filter(|row| setting(row) == *one).filter_map(published).collect();
        let (engine, threads, batch) = one;
        let host = &report.host.machine.cpu;
        let words = format!(
            "engine {engine}, {}, {} at a time, {host}",
            text::plural(*threads, "thread"),
            text::plural(*batch, "image")
        );
        if let Some(zoo) = model_zoo(&words, &measured)? {
            write_zoo(folder, i, &zoo)?;
        }
    }
    Ok(())
}

/// Writes the zoo of a setting with this number.
pub(super) fn write_zoo(folder: &Path, i: usize, zoo: &ModelZoo) -> Result<()> {
    let name = if i == 0 { "model_zoo".to_owned() } else { format!("model_zoo_{}", i + 1) };
    json_file::write(&folder.join(format!("{name}.md")), zoo.markdown.as_bytes())?;
    Ok(json_file::write(&folder.join(format!("{name}.svg")), zoo.svg.as_bytes())?)
}

/// A row as the zoo shows it, if it is of a published network and was measured.
fn published(row: &ProfileRow) -> Option<MeasuredNetwork> {
    let graph = families::plan(&row.case.model, None, 1000).ok()?.lower().ok()?;
    let (cost, numbers) = (cost::graph(&graph), row.measured()?);
    let i = numbers.median_ms;
    Some(MeasuredNetwork {
        id: row.case.model.clone(),
        params: cost.params,
        macs: cost.macs,
        latency_ms: i.middle,
        interval_ms: (i.low, i.high),
        reliable: numbers.unreliable.is_empty(),
    })
}

/// Rows become columns.
fn flat(report: &ProfileReport) -> Flat {
    let mut columns: Vec<(String, Values)> = Vec::new();
    for record in &report.rows {
        for (i, (name, cell)) in record.flat().into_iter().enumerate() {
            if columns.len() == i {
                let empty = match cell {
                    Cell::Text(_) => Values::Text(Vec::new()),
                    Cell::Number(_) => Values::Number(Vec::new()),
                    Cell::Whole(_) => Values::Whole(Vec::new()),
                };
                columns.push((name.to_string(), empty));
            }
            match (&mut columns[i].1, cell) {
                (Values::Text(all), Cell::Text(v)) => all.push(v),
                (Values::Number(all), Cell::Number(v)) => all.push(v),
                (Values::Whole(all), Cell::Whole(v)) => all.push(v),
                // Every record has the same columns of the same kinds; a test holds it.
                (_, _) => {}
            }
        }
    }
    Flat { columns }
}
