//! A table being written: line by line to `FILE.part`, which is renamed when it is complete.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mobilenas_host::write::Target;
use mobilenas_record::run as record;

use super::file::{Table, TableError, crc, engine, format, parse};
use super::row::{End, Header, TableRow};

/// A table being written.
#[derive(Debug)]
pub struct PartialTable {
    target: PathBuf,
    path: PathBuf,
    file: File,
    /// What is there.
    pub rows: Vec<TableRow>,
}

impl PartialTable {
    /// Begins a table, or goes on with one that was stopped. A last line that was cut off is removed.
    ///
    /// # Errors
    /// When the disk refuses, a line is damaged, or the part there is of something else.
    pub fn open(target: &Path, header: &Header) -> Result<PartialTable, TableError> {
        let mut name = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let io = |error| TableError::Io { path: path.clone(), error };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let Target::File(target) = Target::of(target).map_err(io)? else {
            return Err(io(io::Error::other("a pipe or device, expected a place for a file")));
        };
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(io(e)),
        };
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        bytes.truncate(whole);
        let rows = parse(&path, &bytes)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io)?;
        file.set_len(whole as u64).map_err(io)?;
        drop(file);
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        let mut part = PartialTable { target, path: path.clone(), file, rows };
        match part.rows.first() {
            None => part.append([TableRow::Table(Box::new(header.clone()))])?,
            Some(TableRow::Table(there)) => same(&path, there, header)?,
            Some(_) => format(&path, b"{}")?,
        }
        Ok(part)
    }

    /// Names of what is there already.
    pub fn known(&self, name: impl Fn(&TableRow) -> Option<&String>) -> BTreeSet<String> {
        self.rows.iter().filter_map(name).cloned().collect()
    }

    /// Appends lines and flushes them to the disk together.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, rows: impl IntoIterator<Item = TableRow>) -> Result<(), TableError> {
        let io = |error: io::Error| TableError::Io { path: self.path.clone(), error };
        let mut bytes = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut bytes, &row).map_err(|e| io(e.into()))?;
            bytes.push(b'\n');
            self.rows.push(row);
        }
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(io)
    }

    /// Forgets what is there and begins again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn restart(&mut self, header: &Header) -> Result<(), TableError> {
        let io = |error| TableError::Io { path: self.path.clone(), error };
        self.file.set_len(0).map_err(io)?;
        self.rows.clear();
        self.append([TableRow::Table(Box::new(header.clone()))])
    }

    /// Writes the last line and gives the file its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<Table, TableError> {
        let io = |error| TableError::Io { path: self.path.clone(), error };
        let bytes = fs::read(&self.path).map_err(io)?;
        let end = End { rows: self.rows.len(), crc: crc(&bytes) };
        self.append([TableRow::End(end)])?;
        // What cannot be read again gets no name.
        let mut table = Table::load(&self.path)?;
        fs::rename(&self.path, &self.target).map_err(|error| TableError::Io { path: self.target.clone(), error })?;
        table.path = self.target;
        Ok(table)
    }
}

/// Whether a part goes on with what was begun.
fn same(path: &Path, there: &Header, own: &Header) -> Result<(), TableError> {
    let host = |h: &Header| h.host.as_ref().map_or_else(String::new, record::Host::caption);
    let all = [
        ("program version", there.program.clone(), own.program.clone()),
        ("family", there.family.clone(), own.family.clone()),
        ("engine", engine(&there.engine), engine(&own.engine)),
        ("protocol", there.engine.protocol.clone(), own.engine.protocol.clone()),
        ("host", host(there), host(own)),
        ("device", there.device.clone().unwrap_or_default(), own.device.clone().unwrap_or_default()),
        ("list of blocks and networks", there.list.clone(), own.list.clone()),
        ("seed", there.seed.to_string(), own.seed.to_string()),
    ];
    match all.into_iter().find(|(_, a, b)| a != b) {
        None => Ok(()),
        Some((what, found, expected)) => Err(TableError::Other { path: path.to_path_buf(), what, found, expected }),
    }
}
