//! Imports a table from a CSV of times that were measured on another device: `jobs.csv` with its columns filled in.
//!
//! Strict: every mistake is listed with its line.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use mobilenas_record::run as record;
use mobilenas_space::{Reachable, Space, latency_key};
use sha2::{Digest as _, Sha256};

use super::file::{Table, TableError};
use super::jobs::{COLUMNS, SPREAD, what};
use super::networks;
use super::partial::PartialTable;
use super::row::{BlockTime, FORMAT, Header, NetworkTime, Reference, Subset, TableRow, TableSource};
use super::validate::validation;
use mobilenas_host::{Problem, Problems, nearest};
use mobilenas_space::seed::{Purpose, rng};

/// Required columns.
const NEEDED: [&str; 3] = ["what", "id", "median_ms"];
/// Times in ms that a device can take; sums and ratios of them are numbers, too.
const RANGE: std::ops::RangeInclusive<f64> = 1e-6..=1e9;
/// Most samples of a time.
const MOST_SAMPLES: usize = 1_000_000_000;
/// Larger files are no lists.
const LARGEST: u64 = 1 << 28;

/// Where and how the times were measured.
#[derive(Clone, Debug)]
pub struct Device {
    /// The device, in words.
    pub device: String,
    /// The engine that ran the blocks there.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Precision of the arithmetic.
    pub precision: String,
    /// Threads.
    pub threads: usize,
    /// Images in a batch.
    pub batch: usize,
}

/// Why a list of times is no table.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The list cannot be read as text.
    #[error("{}: {found}, expected a CSV file in UTF-8", file.display())]
    File {
        /// The file.
        file: std::path::PathBuf,
        /// What was found.
        found: String,
    },
    /// Mistakes in the list.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The table's file.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl ImportError {
    /// Whether the list is at fault.
    pub fn is_input(&self) -> bool {
        matches!(self, ImportError::File { .. } | ImportError::Problems(_))
    }
}

/// One line of the list.
struct ListLine {
    number: u64,
    fields: HashMap<String, String>,
}

impl ListLine {
    fn get(&self, column: &str) -> &str {
        self.fields.get(column).map_or("", |s| s.trim())
    }
}

/// Mistakes under way.
struct Mistakes(Problems);

impl Mistakes {
    fn add(&mut self, line: u64, column: &str, message: impl Into<String>) {
        let path = if column.is_empty() { vec![] } else { vec![column.to_string()] };
        self.0.all.push(Problem { line, path, message: message.into() });
    }

    /// A number above 0; nothing where the column is empty and may be.
    fn number(&mut self, line: &ListLine, column: &str, needed: bool) -> Option<f64> {
        let text = line.get(column);
        match text.parse::<f64>() {
            Ok(v) if RANGE.contains(&v) || (v == 0.0 && column == SPREAD) => Some(v),
            _ if text.is_empty() && !needed => None,
            _ => {
                let found = if text.is_empty() { "nothing".to_string() } else { format!("{text:?}") };
                let (low, high) = (RANGE.start(), RANGE.end());
                self.add(line.number, column, format!("found {found}, expected a number from {low:e} to {high:e}"));
                None
            }
        }
    }

    /// Samples: 1 where the list does not say.
    fn count(&mut self, line: &ListLine) -> usize {
        let text = line.get("count");
        match text.parse() {
            _ if text.is_empty() => 1,
            Ok(n) if (1..=MOST_SAMPLES).contains(&n) => n,
            _ => {
                let message = format!("found {text:?}, expected a whole number from 1 to {MOST_SAMPLES}");
                self.add(line.number, "count", message);
                1
            }
        }
    }
}

/// Reads the lines of a list; mistakes of its form are told here.
fn lines(path: &Path, mistakes: &mut Mistakes) -> Result<Vec<ListLine>, ImportError> {
    let bad = |found: String| ImportError::File { file: path.to_path_buf(), found };
    let meta = fs::metadata(path).map_err(|e| bad(e.to_string()))?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(bad("found no file, or one too large for a list of times".to_string()));
    }
    let bytes = fs::read(path).map_err(|e| bad(e.to_string()))?;
    // Of UTF-16 without a byte order mark, every other byte of a list is 0.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.iter().take(2).any(|b| *b == 0) {
        return Err(bad("found text in UTF-16".to_string()));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("found bytes that are not UTF-8".to_string()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head: Vec<String> = match reader.headers() {
        Ok(h) => h.iter().map(|s| s.trim().to_string()).collect(),
        Err(e) => return Err(bad(e.to_string())),
    };
    let known = || COLUMNS.iter().copied().chain([SPREAD]);
    for (i, name) in head.iter().enumerate() {
        if !known().any(|k| k == name) {
            let hint = nearest(name, known()).map(|n| format!(", did you mean {n}?")).unwrap_or_default();
            mistakes.add(1, name, format!("unknown column{hint}"));
        } else if head[..i].contains(name) {
            mistakes.add(1, name, "occurs twice");
        }
    }
    for name in NEEDED.iter().filter(|n| !head.iter().any(|h| h == *n)) {
        mistakes.add(1, "", format!("missing column {name}"));
    }
    let mut all = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(r) => r,
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                mistakes.add(line, "", format!("no line of a CSV: {e}"));
                continue;
            }
        };
        let number = record.position().map_or(0, csv::Position::line);
        if record.len() != head.len() {
            let message = format!("found {} fields, expected {} as in the first line", record.len(), head.len());
            mistakes.add(number, "", message);
            continue;
        }
        let fields = head.iter().cloned().zip(record.iter().map(ToString::to_string)).collect();
        all.push(ListLine { number, fields });
    }
    Ok(all)
}

/// Makes a table of a list's times.
///
/// # Errors
/// Every mistake of the list; or what the disk refuses.
pub fn import(list: &Path, space: &Space, device: &Device, most: usize, out: &Path) -> Result<Table, ImportError> {
    let mut mistakes = Mistakes(Problems::new(list));
    let lines = lines(list, &mut mistakes)?;
    let reachable = Reachable::of(space, most, &mut rng(1, Purpose::Timing, 0, 0)).map_err(TableError::from)?;
    let mut rows = Vec::new();
    if mistakes.0.all.is_empty() {
        rows = read(&lines, space, &reachable, &mut mistakes);
    }
    mistakes.0.none()?;
    let reference = rows.iter().find_map(|r| match r {
        TableRow::Reference(r) => Some(r.latency.median_ms),
        _ => None,
    });
    let blocks = rows.iter().filter(|r| matches!(r, TableRow::Block(_))).count();
    let header = header(space, device, blocks, reachable.complete, list)?;
    let validation = validation(&rows, reference);
    let mut part = PartialTable::open(out, &header)?;
    // A part that a killed import left is written anew.
    if part.rows.len() > 1 {
        part.restart(&header)?;
    }
    part.append(rows.into_iter().chain(validation.map(TableRow::Validation)))?;
    Ok(part.finish()?)
}

fn header(space: &Space, d: &Device, blocks: usize, whole: bool, list: &Path) -> Result<Header, TableError> {
    let bytes = fs::read(list).map_err(|error| TableError::Io { path: list.to_path_buf(), error })?;
    Ok(Header {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_string(),
        source: TableSource::Imported,
        family: space.family().name().to_string(),
        classes: space.classes(),
        blocks,
        whole,
        list: Sha256::digest(&bytes).iter().take(16).map(|b| format!("{b:02x}")).collect(),
        engine: record::Engine {
            name: d.engine.clone(),
            version: d.version.clone(),
            precision: d.precision.clone(),
            threads: d.threads,
            batch: d.batch,
            protocol: format!("times taken on {}, as its list has them", d.device),
            table: None,
        },
        host: None,
        device: Some(d.device.clone()),
        on: None,
        seed: 0,
    })
}

fn read(lines: &[ListLine], space: &Space, reachable: &Reachable, mistakes: &mut Mistakes) -> Vec<TableRow> {
    let known: HashMap<&str, ()> = reachable.blocks().iter().map(|(k, _)| (k.as_str(), ())).collect();
    let mut seen: HashMap<(String, String), u64> = HashMap::new();
    let mut rows = Vec::new();
    for line in lines {
        let (kind, id) = (line.get("what").to_string(), line.get("id").to_string());
        if let Some(first) = seen.insert((kind.clone(), id.clone()), line.number) {
            mistakes.add(line.number, "id", format!("{kind} {id} twice, first on line {first}"));
            continue;
        }
        let row = match kind.as_str() {
            what::BLOCK if !known.contains_key(id.as_str()) => {
                mistakes.add(line.number, "id", format!("found {id:?}, expected a block of the space"));
                None
            }
            what::BLOCK => block(line, id, mistakes).map(TableRow::Block),
            what::NET => net(line, id, space, mistakes).map(TableRow::Net),
            what::REFERENCE => reference(line, &id, mistakes).map(TableRow::Reference),
            _ => {
                let message = format!("found {kind:?}, expected one of block, net, reference");
                mistakes.add(line.number, "what", message);
                None
            }
        };
        rows.extend(row);
    }
    let has = |key: &str| seen.contains_key(&(what::BLOCK.to_string(), key.to_string()));
    let missing: Vec<&String> = reachable.blocks().iter().map(|(k, _)| k).filter(|k| !has(k)).collect();
    if let Some(first) = missing.first() {
        let (n, all) = (missing.len(), reachable.blocks().len());
        let last = lines.last().map_or(1, |l| l.number);
        mistakes.add(last, "", format!("no line for {n} of the {all} blocks of the space, the first is {first}"));
    }
    rows
}

fn block(line: &ListLine, key: String, mistakes: &mut Mistakes) -> Option<BlockTime> {
    let (ms, count) = (mistakes.number(line, "median_ms", true), mistakes.count(line));
    let spread = mistakes.number(line, SPREAD, false);
    Some(BlockTime { key, ms: ms?, ratio: None, again: None, count, spread })
}

fn net(line: &ListLine, digest: String, space: &Space, mistakes: &mut Mistakes) -> Option<NetworkTime> {
    let set = match line.get("set") {
        "fit" => Some(Subset::Fit),
        "validation" => Some(Subset::Validation),
        other => {
            mistakes.add(line.number, "set", format!("found {other:?}, expected fit or validation"));
            None
        }
    };
    // A network that was not timed takes no part.
    if line.get("median_ms").is_empty() {
        return None;
    }
    let (ms, count) = (mistakes.number(line, "median_ms", true), mistakes.count(line));
    let spread = mistakes.number(line, SPREAD, false);
    let genome: Option<BTreeMap<String, i64>> = serde_json::from_str(line.get("genome")).ok();
    let graph = match genome.as_ref().map(|g| space.genome(g)) {
        None => Err("no genome, expected knob to value as JSON".to_string()),
        Some(Err(e)) => Err(e.to_string()),
        Some(Ok(g)) => space.lower(&g).map_err(|e| e.to_string()),
    };
    let graph = graph.map_err(|e| mistakes.add(line.number, "genome", e)).ok()?;
    if graph.digest() != digest {
        mistakes.add(line.number, "id", format!("found {digest}, expected {}, the genome's", graph.digest()));
    }
    let blocks = latency_key::blocks(&graph).iter().map(latency_key::key).collect();
    Some(NetworkTime { set: set?, digest, genome: genome?, blocks, ms: ms?, ratio: None, count, spread })
}

fn reference(line: &ListLine, id: &str, mistakes: &mut Mistakes) -> Option<Reference> {
    if id != networks::REFERENCE {
        mistakes.add(line.number, "id", format!("found {id:?}, expected {}", networks::REFERENCE));
    }
    let (ms, count) = (mistakes.number(line, "median_ms", true), mistakes.count(line));
    let ms = ms?;
    // One number is all that is known of it.
    let latency = record::Latency { median_ms: ms, p10_ms: ms, p90_ms: ms, samples: count };
    let (_, resolution) = networks::reference()?;
    Some(Reference { model: id.to_string(), resolution, latency, seen: None })
}
