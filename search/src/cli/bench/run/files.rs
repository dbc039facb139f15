//! What `bench run` writes in the end: the same rows as JSON with every sample, as Markdown, as CSV and as Parquet.

use std::path::Path;

use anyhow::Result;
use mobilenas_bench::json_file;
use mobilenas_bench::profile::output;
use mobilenas_bench::profile::record::{Cell, ProfileReport};
use mobilenas_reports::flat::{Flat, Values};

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
    Ok(())
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
