//! The file of a table, read and checked as a whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use mobilenas_record::{latency_table, run as record};
use mobilenas_space::ir::ShapeError;
use sha2::{Digest as _, Sha256};

use super::row::{BlockTime, Correction, FORMAT, Header, NetworkTime, Reference, TableRow, TableSource, Validation};

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk.
    #[error("{}: {error}, expected a latency table", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is damaged or incomplete.
    #[error("{}, line {line}: {found}, expected {expected}; `mobilenas latency-table build` makes it anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The table is of something else.
    #[error("{}: a table of another {what}: {found}, expected {expected}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the table has.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Blocks are not in the table.
    #[error("{}: has no time for {missing} of the {blocks} blocks that networks of the space can hold (the first is {first}), expected all; `mobilenas latency-table build` on this config times them", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Blocks that are not there.
        missing: usize,
        /// Blocks looked for.
        blocks: usize,
        /// One of them.
        first: String,
    },
    /// A network has a block that is not in the table.
    #[error("{}: has no time for the block {key}, expected one for each block of the network; `mobilenas latency-table build` on this config times them", path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// The block.
        key: String,
    },
    /// The reference network is not in the table.
    #[error("{}: has no time for {reference}, expected one: it is the unit of the mobile efficiency score", path.display())]
    Reference {
        /// The file.
        path: PathBuf,
        /// Its name.
        reference: &'static str,
    },
    /// A genome that makes no network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// A latency table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// What was timed, where, and how.
    pub header: Header,
    /// The reference network.
    pub reference: Option<Reference>,
    /// Whole networks.
    pub nets: Vec<NetworkTime>,
    /// How well it predicts whole networks.
    pub validation: Option<Validation>,
    /// The blocks.
    pub blocks: Vec<BlockTime>,
    /// Key to ms.
    times: HashMap<String, f64>,
}

pub(super) fn crc(bytes: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(bytes))
}

/// Largest file that is read as a table.
const LARGEST: u64 = 1 << 30;

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn load(path: &Path) -> Result<Table, TableError> {
        let io = |error| TableError::Io { path: path.to_path_buf(), error };
        let meta = fs::metadata(path).map_err(io)?;
        if !meta.is_file() || meta.len() > LARGEST {
            return Err(io(io::Error::other("is no file, or larger than 1 GiB")));
        }
        let bytes = fs::read(path).map_err(io)?;
        let rows = parse(path, &bytes)?;
        let damaged = |line: usize, found: &str, expected: &str| TableError::Damaged {
            path: path.to_path_buf(),
            line,
            found: found.to_string(),
            expected: expected.to_string(),
        };
        let last = rows.len();
        let Some(TableRow::End(end)) = rows.last() else {
            return Err(damaged(last, "the file ends here", "an `end` line"));
        };
        let body = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').map_or(&bytes[..0], |i| &bytes[..=i]);
        if end.rows + 1 != last || end.crc != crc(body) {
            return Err(damaged(last, "a checksum of other lines", "that of the lines before"));
        }
        let mut rows = rows.into_iter();
        let Some(TableRow::Table(header)) = rows.next() else {
            return Err(damaged(1, "another line", "a `table` line"));
        };
        let mut table = Table {
            path: path.to_path_buf(),
            digest: Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect(),
            header: *header,
            reference: None,
            nets: Vec::new(),
            validation: None,
            blocks: Vec::new(),
            times: HashMap::new(),
        };
        table.take(rows, &damaged)?;
        Ok(table)
    }

    fn take(
        &mut self,
        rows: impl Iterator<Item = TableRow>,
        damaged: &dyn Fn(usize, &str, &str) -> TableError,
    ) -> Result<(), TableError> {
        let mut places = Vec::new();
        for (line, row) in (2..).zip(rows) {
            match row {
                TableRow::Table(_) => return Err(damaged(line, "a second header", "one")),
                TableRow::Block(b) => {
                    places.push(line);
                    self.blocks.push(b);
                }
                TableRow::Net(n) => self.nets.push(n),
                TableRow::Reference(r) => self.reference = Some(r),
                TableRow::Validation(v) => self.validation = Some(v),
                TableRow::Rounds(_) | TableRow::End(_) => {}
            }
        }
        let reference = self.reference.as_ref().map(|r| r.latency.median_ms);
        let again = self.validation.as_ref().map_or(0.0, |v| v.again);
        if !(0.0..=1.0).contains(&again) {
            return Err(damaged(places.len() + 1, &format!("the share {again} of runs right after"), "0 to 1"));
        }
        for (line, b) in places.into_iter().zip(&self.blocks) {
            let ms = b.time(again, reference);
            if !(ms.is_finite() && ms > 0.0) {
                return Err(damaged(line, &format!("{ms} ms"), "a time above 0"));
            }
            if self.times.insert(b.key.clone(), ms).is_some() {
                return Err(damaged(line, &format!("{} twice", b.key), "each block once"));
            }
        }
        Ok(())
    }

    /// A block's time in ms.
    pub fn time(&self, key: &str) -> Option<f64> {
        self.times.get(key).copied()
    }

    /// The line from the sum of blocks to latency.
    pub fn line(&self) -> Correction {
        self.validation.as_ref().map_or(Correction::IDENTITY, |v| v.line)
    }
}

/// Below this Kendall's tau, the order of latencies by a table cannot be trusted.
const LOW_TAU: f64 = 0.9;

impl Table {
    /// Where the times were taken, in words.
    pub fn device(&self) -> String {
        let host = self.header.host.as_ref().map(record::Host::caption);
        host.or_else(|| self.header.device.clone()).unwrap_or_else(|| "an unknown device".to_string())
    }

    /// What a run's journal says of its engine.
    pub fn engine(&self) -> record::Engine {
        let (v, imported) = (self.validation.as_ref(), self.header.source == TableSource::Imported);
        let table = record::TableUse {
            source: if imported { "imported" } else { "table" }.to_string(),
            digest: self.digest.clone(),
            device: self.device(),
            blocks: self.blocks.len(),
            fit_nets: v.map_or(0, |v| v.fit_nets),
            nets: v.map_or(0, |v| v.nets),
        };
        record::Engine { table: Some(table), ..self.header.engine.clone() }
    }

    /// The journal's row.
    pub fn row(&self) -> record::JournalRow {
        record::JournalRow::LatencyTable(self.comparison())
    }

    /// The validation networks, for reports.
    pub fn comparison(&self) -> latency_table::LatencyTable {
        let imported = self.header.source == TableSource::Imported;
        let pair = |(name, predicted_ms, measured_ms)| latency_table::Pair { name, predicted_ms, measured_ms };
        latency_table::LatencyTable {
            source: if imported { latency_table::Source::Imported } else { latency_table::Source::Table },
            device: self.device(),
            engine: self.header.engine.clone(),
            entries: self.blocks.len(),
            pairs: self.pairs().into_iter().map(pair).collect(),
        }
    }

    /// What readers of its latencies have to know, in one sentence.
    pub fn in_words(&self) -> String {
        let (e, device) = (&self.header.engine, self.device());
        let head = format!("Latency is a sum over blocks that were timed on {device} under {} {}", e.name, e.version);
        match &self.validation {
            Some(v) => format!(
                "{head}, corrected by a line through {} whole networks; on {} others it was off by {:.1} % on average, and within 10 % for {:.0} % of them.",
                v.fit_nets, v.nets, v.mape, v.within_10
            ),
            None => format!("{head}; no whole network was timed, so the sum is neither corrected nor judged."),
        }
    }

    /// Why the order of networks by this table is not to be trusted, if it is not.
    pub fn warning(&self) -> Option<String> {
        let tau = self.validation.as_ref().and_then(|v| v.tau);
        match tau {
            Some(tau) if tau >= LOW_TAU => None,
            Some(tau) => Some(format!(
                "The latency table orders whole networks with a Kendall's tau of {tau:.2}, below {LOW_TAU}: small differences of latency mean nothing."
            )),
            None => Some(
                "The latency table was judged on no whole networks: how well it orders them is not known.".to_string(),
            ),
        }
    }
}

/// The lines of a file; the last one may be the end.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<TableRow>, TableError> {
    let mut rows = Vec::new();
    for (i, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let damaged = |found: String| TableError::Damaged {
            path: path.to_path_buf(),
            line: i + 1,
            found,
            expected: "a line of a latency table".to_string(),
        };
        if i == 0 {
            format(path, line)?;
        }
        let cut = (line.last() != Some(&b'\n')).then(|| "a line that is cut off".to_string());
        let row = serde_json::from_slice(line).map_err(|e| damaged(cut.clone().unwrap_or_else(|| e.to_string())))?;
        if let Some(found) = cut {
            return Err(damaged(found));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The format is looked at first: another one may have other fields.
pub(super) fn format(path: &Path, first: &[u8]) -> Result<(), TableError> {
    let json: serde_json::Value = serde_json::from_slice(first).unwrap_or_default();
    let found = &json["table"]["format"];
    if found.is_null() {
        let (found, expected) = ("found no `table` line with a `format`".to_string(), "a latency table".to_string());
        return Err(TableError::Damaged { path: path.to_path_buf(), line: 1, found, expected });
    }
    if found != FORMAT {
        let expected = FORMAT.to_string();
        return Err(TableError::Other { path: path.to_path_buf(), what: "format", found: found.to_string(), expected });
    }
    Ok(())
}

/// An engine and how it ran, in words.
pub fn engine(e: &record::Engine) -> String {
    format!("{} {}, {}, {} threads, batch {}", e.name, e.version, e.precision, e.threads, e.batch)
}
