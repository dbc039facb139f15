//! Files of `torch.save`: where in the file each tensor's numbers lie, found without running what the file says.
//!
//! Two layouts exist. Since PyTorch 1.6 a file is a zip of uncompressed entries, one of them a pickle and one per storage;
//! before, it was five pickles and then the storages.

mod dict;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use tch::Kind;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Pickle, Value};
use super::stored::{Dict, Span};
use dict::{Found, Reader, Storage, Storages, storages};

/// The largest pickle that is read: those of state dicts take some hundred bytes a tensor.
const MOST: u64 = 64 << 20;

/// How files of the old layout begin: protocol 2 and PyTorch's magic number.
const MAGIC: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Which of the layouts a file has, by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A zip.
    Zip,
    /// Pickles and storages one after another.
    Old,
}

impl Layout {
    /// By the first bytes of a file; `None` for other files.
    pub fn of(begin: &[u8]) -> Option<Layout> {
        match begin {
            [b'P', b'K', 3, 4, ..] => Some(Layout::Zip),
            _ if begin.starts_with(&MAGIC) => Some(Layout::Old),
            _ => None,
        }
    }
}

fn io(e: std::io::Error) -> String {
    format!("cannot be read ({e})")
}

/// Reads what a file holds, but no tensor's numbers.
///
/// # Errors
/// When it is damaged, cut short, or no dictionary of tensors: what was found.
pub fn open(file: &File, layout: Layout) -> Found<Dict> {
    let len = file.metadata().map_err(io)?.len();
    match layout {
        Layout::Zip => zipped(file, len),
        Layout::Old => old(file, len),
    }
}

/// An uncompressed entry of a zip: its place in the file.
fn entry(zip: &mut ZipArchive<BufReader<&File>>, name: &str, len: u64) -> Found<Span> {
    let entry = zip.by_name(name).map_err(|e| format!("a damaged zip ({name}: {e})"))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(format!("{name} is compressed"));
    }
    let (start, bytes) = (entry.data_start(), entry.size());
    // PyTorch writes 0 where it is told to write no checksums.
    Ok(Span {
        file: 0,
        start,
        bytes: bytes.min(len.saturating_sub(start)),
        crc: Some(entry.crc32()).filter(|c| *c != 0),
    })
}

/// The bytes of a small entry.
fn small(mut file: &File, span: Span, most: u64, what: &str) -> Found<Vec<u8>> {
    if span.bytes > most {
        return Err(format!("{what} of {} bytes", span.bytes));
    }
    let mut data = vec![0; span.bytes as usize];
    file.seek(SeekFrom::Start(span.start)).and_then(|_| file.read_exact(&mut data)).map_err(io)?;
    match span.damage(&data) {
        None => Ok(data),
        Some(damage) => Err(format!("{what} is {damage}")),
    }
}

fn zipped(file: &File, len: u64) -> Found<Dict> {
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| format!("a damaged zip ({e})"))?;
    let mut names: Vec<String> = zip.file_names().map(str::to_string).collect();
    names.sort();
    let Some(name) = names.iter().find(|n| n.ends_with("/data.pkl")) else {
        let numpy = names.iter().any(|n| n.ends_with(".npy"));
        return Err(if numpy { "a NumPy archive" } else { "a zip without data.pkl" }.to_string());
    };
    let folder = name.trim_end_matches("data.pkl").to_string();
    if names.contains(&format!("{folder}constants.pkl")) {
        return Err("a TorchScript program".to_string());
    }
    let order = format!("{folder}byteorder");
    if names.contains(&order) {
        let word = small(file, entry(&mut zip, &order, len)?, 16, "its byte order")?;
        if word != b"little" {
            return Err(format!("byte order {}", String::from_utf8_lossy(&word)));
        }
    }
    let data = small(file, entry(&mut zip, name, len)?, MOST, "a pickle")?;
    let pickle = pickle::read(&data).map_err(|e| e.to_string())?;
    let mut places = Storages::new();
    for (key, kind, len_elements) in storages(&pickle)? {
        let span = entry(&mut zip, &format!("{folder}data/{key}"), len)?;
        whole(&key, kind, len_elements, span.bytes)?;
        places.insert(key, Storage { kind, span, len: len_elements });
    }
    Reader::new(&pickle, &places).root()
}

/// Whether a storage has the bytes that its elements need.
fn whole(key: &str, kind: Kind, elements: u64, has: u64) -> Found<u64> {
    let needs = elements.checked_mul(kind.elt_size_in_bytes() as u64);
    needs.filter(|n| *n <= has).ok_or_else(|| format!("storage {key} of {elements} elements in {has} bytes"))
}

fn old(mut file: &File, len: u64) -> Found<Dict> {
    let mut data = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.take(MOST).read_to_end(&mut data).map_err(io)?;
    let mut at = 0;
    let mut next = || -> Found<Pickle> {
        let p = pickle::read(&data[at..]).map_err(|e| e.to_string())?;
        at += p.len;
        Ok(p)
    };
    // Magic number, protocol, the writer's byte order and sizes, the object, the keys of the storages in their order.
    let (_, _, system, object, keys) = (next()?, next()?, next()?, next()?, next()?);
    let big = (Value::Text("little_endian".into()), Value::Bool(false));
    if system.entries(&system.root).is_some_and(|e| e.contains(&big)) {
        return Err("byte order big".to_string());
    }
    let known: HashMap<String, (Kind, u64)> =
        storages(&object)?.into_iter().map(|(key, kind, n)| (key, (kind, n))).collect();
    let mut start = at as u64;
    let mut places = Storages::new();
    for key in keys.items(&keys.root).unwrap_or_default() {
        let Value::Text(key) = key else { return Err("a storage without a key".to_string()) };
        let (kind, elements) = *known.get(&**key).ok_or_else(|| format!("storage {key} that nothing uses"))?;
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut count)).map_err(io)?;
        let has = u64::from_le_bytes(count);
        start += 8;
        if has != elements {
            return Err(format!("storage {key} of {has} elements, where its tensors say {elements}"));
        }
        let bytes = whole(key, kind, elements, len.saturating_sub(start))?;
        places
            .insert(key.to_string(), Storage { kind, span: Span { file: 0, start, bytes, crc: None }, len: elements });
        start += bytes;
    }
    Reader::new(&object, &places).root()
}
