//! Files of `torch.save`: where in the file each tensor's numbers lie, found without running what the file says.
//!
//! Two layouts exist. Since PyTorch 1.6 a file is a zip of uncompressed entries, one of them a pickle and one per storage;
//! before, it was five pickles and then the storages.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use tch::Kind;
use zip::{CompressionMethod, ZipArchive};

use super::file::Stored;
use super::pickle::{self, Part, Pickle, Value};

/// The largest pickle that is read: those of state dicts take some hundred bytes a tensor.
const MOST: u64 = 8 << 20;

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

/// A dictionary of a file: its keys, and the tensors in it.
#[derive(Debug, Default)]
pub struct Dict {
    /// Tensors by name.
    pub tensors: Vec<(String, Stored)>,
    /// Names of entries that are neither tensors nor dictionaries.
    pub others: Vec<String>,
    /// Dictionaries by name.
    pub dicts: Vec<(String, Dict)>,
}

/// A storage: its numbers, one after another.
#[derive(Clone, Copy, Debug)]
struct Storage {
    kind: Kind,
    start: u64,
    len: u64,
}

/// What was found, where a state dict was expected.
type Found<T> = Result<T, String>;

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

fn zipped(file: &File, len: u64) -> Found<Dict> {
    let damaged = |e: zip::result::ZipError| format!("a damaged zip ({e})");
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let name = zip.file_names().find(|n| n.ends_with("/data.pkl")).map(str::to_string);
    let name = name.ok_or("a zip without data.pkl")?;
    let folder = name.trim_end_matches("data.pkl").to_string();
    if zip.by_name(&format!("{folder}constants.pkl")).is_ok() {
        return Err("a TorchScript program".to_string());
    }
    if let Ok(mut order) = zip.by_name(&format!("{folder}byteorder")) {
        let mut word = Vec::new();
        order.by_ref().take(16).read_to_end(&mut word).map_err(io)?;
        if word != b"little" {
            return Err(format!("byte order {}", String::from_utf8_lossy(&word)));
        }
    }
    let mut data = Vec::new();
    let entry = zip.by_name(&name).map_err(damaged)?;
    if entry.size() > MOST {
        return Err(format!("a pickle of {} bytes", entry.size()));
    }
    entry.take(MOST).read_to_end(&mut data).map_err(io)?;
    let pickle = pickle::read(&data).map_err(|e| e.to_string())?;
    let mut places = HashMap::new();
    for (key, kind, elements) in storages(&pickle)? {
        let entry = zip.by_name(&format!("{folder}data/{key}")).map_err(damaged)?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("storage {key} is compressed"));
        }
        let (start, has) = (entry.data_start(), entry.size());
        whole(&key, kind, elements, has, len.saturating_sub(start))?;
        places.insert(key, Storage { kind, start, len: elements });
    }
    dict(&pickle, &pickle.root, &places, &mut HashSet::new())
}

/// Whether a storage has the bytes that its elements need.
fn whole(key: &str, kind: Kind, elements: u64, has: u64, left: u64) -> Found<()> {
    let needs = elements.checked_mul(kind.elt_size_in_bytes() as u64);
    match needs.filter(|n| *n <= has.min(left)) {
        Some(_) => Ok(()),
        None => Err(format!("storage {key} of {elements} elements in {} bytes", has.min(left))),
    }
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
    if entries(&system, &system.root).is_some_and(|e| {
        e.iter().any(|(k, v)| *k == Value::Text("little_endian".to_string()) && *v == Value::Bool(false))
    }) {
        return Err("byte order big".to_string());
    }
    let known: HashMap<String, (Kind, u64)> =
        storages(&object)?.into_iter().map(|(key, kind, n)| (key, (kind, n))).collect();
    let mut start = at as u64;
    let mut places = HashMap::new();
    for key in items(&keys, &keys.root).unwrap_or_default() {
        let Value::Text(key) = key else { return Err("a storage without a key".to_string()) };
        let (kind, elements) = *known.get(key).ok_or_else(|| format!("storage {key} that nothing uses"))?;
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut count)).map_err(io)?;
        let has = u64::from_le_bytes(count);
        start += 8;
        if has != elements {
            return Err(format!("storage {key} of {has} elements, where its tensors say {elements}"));
        }
        whole(key, kind, elements, u64::MAX, len.saturating_sub(start))?;
        places.insert(key.clone(), Storage { kind, start, len: elements });
        start += elements * kind.elt_size_in_bytes() as u64;
    }
    dict(&object, &object.root, &places, &mut HashSet::new())
}

fn items<'a>(pickle: &'a Pickle, value: &Value) -> Option<&'a [Value]> {
    match value {
        Value::Part(i) => match pickle.parts.get(*i)? {
            Part::Items(items) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

fn entries<'a>(pickle: &'a Pickle, value: &Value) -> Option<&'a [(Value, Value)]> {
    match value {
        Value::Part(i) => match pickle.parts.get(*i)? {
            Part::Dict(entries) => Some(entries),
            _ => None,
        },
        _ => None,
    }
}

/// Key, type and elements of a storage, from its persistent id: ("storage", type, key, device, elements, ...).
fn storage(id: &[Value]) -> Found<(String, Kind, u64)> {
    let [Value::Text(word), Value::Name(class), Value::Text(key), _, Value::Int(elements), ..] = id else {
        return Err("a persistent id that is no storage".to_string());
    };
    let kind = match *class {
        "torch.FloatStorage" => Kind::Float,
        "torch.DoubleStorage" => Kind::Double,
        "torch.HalfStorage" => Kind::Half,
        "torch.BFloat16Storage" => Kind::BFloat16,
        "torch.LongStorage" => Kind::Int64,
        "torch.IntStorage" => Kind::Int,
        "torch.ShortStorage" => Kind::Int16,
        "torch.CharStorage" => Kind::Int8,
        "torch.ByteStorage" => Kind::Uint8,
        "torch.BoolStorage" => Kind::Bool,
        other => return Err(format!("a storage of type {other}")),
    };
    let elements = u64::try_from(*elements).map_err(|_| format!("storage {key} of {elements} elements"))?;
    if word != "storage" {
        return Err(format!("a persistent {word:?}"));
    }
    Ok((key.clone(), kind, elements))
}

/// Every storage once, in the order of its first use.
fn storages(pickle: &Pickle) -> Found<Vec<(String, Kind, u64)>> {
    let mut seen: HashMap<String, (Kind, u64)> = HashMap::new();
    let mut all = Vec::new();
    for part in &pickle.parts {
        let Part::Persistent(id) = part else { continue };
        let (key, kind, elements) = storage(id)?;
        match seen.insert(key.clone(), (kind, elements)) {
            None => all.push((key, kind, elements)),
            Some(before) if before == (kind, elements) => {}
            Some(_) => return Err(format!("storage {key} with two types or sizes")),
        }
    }
    Ok(all)
}

/// A dictionary with all in it; `seen` holds those that were met, so that one in many places is read once.
fn dict(pickle: &Pickle, value: &Value, places: &HashMap<String, Storage>, seen: &mut HashSet<usize>) -> Found<Dict> {
    let entries = entries(pickle, value).ok_or("something that is no dictionary")?;
    let mut out = Dict::default();
    for (key, value) in entries {
        let Value::Text(key) = key else { continue };
        let at = if let Value::Part(i) = value { Some(*i) } else { None };
        match at.and_then(|i| pickle.parts.get(i).map(|p| (i, p))) {
            Some((_, Part::Tensor(arguments))) => {
                let stored = tensor(pickle, arguments, places).map_err(|e| format!("{key:?}: {e}"))?;
                out.tensors.push((key.clone(), stored));
            }
            Some((i, Part::Dict(_))) if seen.len() < NESTED && seen.insert(i) => {
                out.dicts.push((key.clone(), dict(pickle, value, places, seen)?));
            }
            _ => out.others.push(key.clone()),
        }
    }
    Ok(out)
}

/// The most dictionaries that are looked into: checkpoints hold a handful.
const NESTED: usize = 256;

/// (storage, offset, size, stride, ...) as a place in the file.
fn tensor(pickle: &Pickle, arguments: &[Value], places: &HashMap<String, Storage>) -> Found<Stored> {
    let [Value::Part(i), Value::Int(offset), size, stride, ..] = arguments else {
        return Err("a tensor without a storage".to_string());
    };
    let Some(Part::Persistent(id)) = pickle.parts.get(*i) else {
        return Err("a tensor without a storage".to_string());
    };
    let (key, _, _) = storage(id)?;
    let place = places.get(&key).ok_or_else(|| format!("storage {key} is missing"))?;
    let numbers = |v: &Value| -> Found<Vec<i64>> {
        let whole = |v: &Value| match v {
            Value::Int(n) if *n >= 0 => Ok(*n),
            other => Err(format!("a size of {other:?}")),
        };
        items(pickle, v).ok_or("a tensor without a size")?.iter().map(whole).collect()
    };
    let (shape, stride) = (numbers(size)?, numbers(stride)?);
    if shape.len() != stride.len() || shape.len() > 8 {
        return Err(format!("a tensor of size {shape:?} and stride {stride:?}"));
    }
    let beyond = || format!("a tensor of size {shape:?} and stride {stride:?} beyond its storage of {}", place.len);
    let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64)).ok_or_else(beyond)?;
    let offset = u64::try_from(*offset).map_err(|_| beyond())?;
    let far = shape
        .iter()
        .zip(&stride)
        .try_fold(offset, |at, (d, s)| at.checked_add((*d as u64).saturating_sub(1).checked_mul(*s as u64)?));
    let far = far.ok_or_else(beyond)?;
    // A tensor has no more elements than its storage: one that repeats itself is none that was learnt.
    if elements > place.len || (elements > 0 && far >= place.len) {
        return Err(beyond());
    }
    let width = place.kind.elt_size_in_bytes() as u64;
    Ok(Stored { kind: place.kind, shape, stride: Some(stride), start: place.start + offset * width })
}
