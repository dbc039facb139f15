//! The table while it fills, the same as Markdown, and the file of everything.

use std::fmt::Write as _;
use std::path::Path;

use super::case::ProfileCase;
use super::record::{ProfileReport, ProfileRow, SCHEMA};
use super::rules::width;
use mobilenas_host::json_file::{self, FileError};

/// The file of everything.
pub const JSON: &str = "bench.json";
/// The table as Markdown.
pub const MARKDOWN: &str = "bench.md";

const HEAD: [&str; 12] =
    ["model", "engine", "threads", "batch", "p50 ms", "95 %", "p90", "p99", "images/s", "cold ms", "peak MiB", "notes"];
/// Columns of text, which stand to the left.
const TEXT: [usize; 3] = [0, 1, 11];

/// Widths of the columns, known before the first row.
#[derive(Clone, Debug)]
pub struct ProfileTable {
    widths: [usize; 12],
}

fn digits(ms: f64) -> String {
    let places = if ms < 10.0 { 3 } else { 2 };
    format!("{ms:.places$}")
}

fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_string(), digits)
}

fn notes(record: &ProfileRow) -> String {
    let noisy = record.measured().filter(|m| m.noisy_samples > 0);
    let noisy = noisy.map(|m| format!("{:.0} % noisy", 100.0 * m.noisy_samples as f64 / m.samples as f64));
    match (record.status(), record.why()) {
        ("measured", _) => noisy.unwrap_or_default(),
        (status, why) => format!("{status}: {}", why.unwrap_or_default()),
    }
}

fn cells(record: &ProfileRow) -> [String; 12] {
    let (c, m) = (&record.case, record.measured());
    let of = |f: &dyn Fn(&super::record::ProfileNumbers) -> String| m.map_or_else(|| "-".to_string(), f);
    [
        c.model.clone(),
        c.engine.clone(),
        c.threads.to_string(),
        c.batch.to_string(),
        of(&|m| digits(m.median_ms.middle)),
        of(&|m| format!("±{:.1} %", 50.0 * width(&m.median_ms))),
        of(&|m| maybe(m.p90_ms)),
        of(&|m| maybe(m.p99_ms)),
        of(&|m| format!("{:.1}", m.images_per_second)),
        of(&|m| format!("{:.0}", m.cold_start_ms)),
        of(&|m| m.peak_bytes.map_or_else(|| "-".to_string(), |b| format!("{:.0}", b as f64 / f64::from(1 << 20)))),
        notes(record),
    ]
}

impl ProfileTable {
    /// For these cases.
    pub fn new(cases: &[ProfileCase]) -> ProfileTable {
        let mut widths = HEAD.map(|h| h.chars().count().max(8));
        for (i, w) in [(2, 7), (3, 5), (11, 0)] {
            widths[i] = w;
        }
        for c in cases {
            widths[0] = widths[0].max(c.model.chars().count());
            widths[1] = widths[1].max(c.engine.chars().count());
        }
        ProfileTable { widths }
    }

    fn line(&self, cells: &[String; 12]) -> String {
        let place = |(i, cell): (usize, &String)| {
            let wide = self.widths[i];
            if TEXT.contains(&i) { format!("{cell:<wide$}") } else { format!("{cell:>wide$}") }
        };
        cells.iter().enumerate().map(place).collect::<Vec<_>>().join("  ").trim_end().to_string()
    }

    /// The first line.
    pub fn head(&self) -> String {
        self.line(&HEAD.map(String::from))
    }

    /// The line of a row.
    pub fn row(&self, record: &ProfileRow) -> String {
        self.line(&cells(record))
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}

/// The table as Markdown, with the machine and the rules below.
pub fn markdown(report: &ProfileReport) -> String {
    let sides: Vec<&str> = (0..HEAD.len()).map(|i| if TEXT.contains(&i) { "---" } else { "---:" }).collect();
    let mut out = format!("| {} |\n| {} |\n", HEAD.join(" | "), sides.join(" | "));
    for record in &report.rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {} |", cells(record).each_ref().map(|c| escaped(c)).join(" | "));
    }
    let h = &report.host;
    let _ = writeln!(
        out,
        "\n{}, {}, {} cores, {}, governor {}, hypervisor {}; {}.\n\nProtocol: {}.",
        report.program,
        escaped(&h.machine.cpu),
        h.machine.cores,
        escaped(&h.machine.os),
        h.governor,
        escaped(&h.hypervisor),
        h.engines.join(", "),
        report.protocol
    );
    out
}

/// Writes the file of everything into a folder.
///
/// # Errors
/// When it cannot be written.
pub fn write(report: &ProfileReport, folder: &Path) -> Result<(), FileError> {
    let file = folder.join(JSON);
    json_file::write(&file, json_file::text(&file, report, false)?.as_bytes())
}

/// Reads the file of everything from a folder; `None` if there is none.
///
/// # Errors
/// When it is there and is none, or of another version.
pub fn read(folder: &Path) -> Result<Option<ProfileReport>, FileError> {
    json_file::read(&folder.join(JSON), SCHEMA, "a report that `mobilenas bench run` wrote")
}
