//! A weights file, opened: what is in it is known and checked before any of its numbers is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata};
use tch::{Kind, Tensor};

use super::torch_file::{self, Dict, Layout};
use super::{ABOUT, About, Named, file as fail_at};
use crate::error::{NetError, torch};

/// Where a tensor lies in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Type of its elements.
    pub kind: Kind,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// Elements between neighbours along each axis; row-major if none.
    pub(super) stride: Option<Vec<i64>>,
    /// Its first byte in the file.
    pub(super) start: u64,
}

/// A file with its tensors' names, types and sizes.
#[derive(Debug)]
pub struct Weights {
    path: String,
    file: File,
    /// What is in it, under the names that a network's tensors have.
    pub tensors: BTreeMap<String, Stored>,
    /// Entries beside the tensors.
    pub others: Vec<String>,
    /// The words that this program wrote about them.
    pub about: About,
    /// Which part of the file was taken and what was taken off the names, if anything.
    pub taken: Option<String>,
}

/// The safetensors format allows no longer header.
const LONGEST_HEADER: u64 = 100_000_000;

/// Dictionaries of a checkpoint that hold the weights, the averaged ones first, as timm prefers them.
const DICTS: [&str; 7] =
    ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model", "model_state_dict"];

/// What wrappers put before names, the averaged weights' first.
const PREFIXES: [&str; 5] = ["ema.", "ema_model.", "module.", "_orig_mod.", "model."];

/// What this program expects of a file.
const EXPECTED: &str = "safetensors, or a state dict that torch.save wrote";

impl Weights {
    /// Opens a safetensors file or a state dict of PyTorch, told apart by how they begin. `part` names the dictionary of
    /// a checkpoint to take; by default the averaged weights (EMA) if there are any.
    ///
    /// # Errors
    /// When it is missing, damaged or cut short, wants anything run, or holds no tensors. Nothing in it is run, and no
    /// more memory is taken than its list of tensors needs.
    pub fn open(path: &Path, part: Option<&str>) -> Result<Weights, NetError> {
        let fail = |found: String| fail_at(path, found, EXPECTED);
        let mut f = File::open(path).map_err(|e| fail(e.to_string()))?;
        let mut begin = Vec::new();
        f.by_ref().take(16).read_to_end(&mut begin).map_err(|e| fail(e.to_string()))?;
        let (dict, about) = match Layout::of(&begin) {
            Some(layout) => (torch_file::open(&f, layout).map_err(fail)?, About::new()),
            None => safetensors(&mut f, &begin).map_err(fail)?,
        };
        let (dict, mut taken) = choose(dict, part).map_err(fail)?;
        let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
        for (name, stored) in dict.tensors {
            tensors.insert(name, stored);
        }
        if let Some(prefix) = strip(&mut tensors) {
            taken.push(format!("names without {prefix:?}"));
        }
        let taken = (!taken.is_empty()).then(|| taken.join(", "));
        Ok(Weights { path: path.display().to_string(), file: f, tensors, others: dict.others, about, taken })
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// When there is none of that name, or the disk refuses.
    pub fn read(&mut self, name: &str) -> Result<Tensor, NetError> {
        let missing = || NetError::Missing { name: name.to_string(), expected: vec![] };
        let Stored { kind, shape, stride, start } = self.tensors.get(name).cloned().ok_or_else(missing)?;
        let elements = |axes: &[i64]| axes.iter().product::<i64>();
        let rows = row_major(&shape);
        let stride = stride.filter(|s| elements(&shape) > 0 && !same_order(&shape, s, &rows));
        // From the first element to the last one, whatever lies between.
        let span = match &stride {
            Some(s) => 1 + shape.iter().zip(s).map(|(d, s)| (d - 1) * s).sum::<i64>(),
            None => elements(&shape),
        };
        let mut data = vec![0; span as usize * kind.elt_size_in_bytes()];
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut data));
        read.map_err(|e| NetError::File {
            path: self.path.clone(),
            found: format!("{name} cannot be read ({e})"),
            expected: "a whole file".to_string(),
        })?;
        match stride {
            None => Tensor::f_from_data_size(&data, &shape, kind),
            Some(stride) => Tensor::f_from_data_size(&data, &[span], kind)
                .and_then(|t| t.f_as_strided(&shape, &stride, None)?.f_contiguous()),
        }
        .map_err(torch(name))
    }

    /// Reads all tensors.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read_all(&mut self) -> Result<Named, NetError> {
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        names.into_iter().map(|n| self.read(&n).map(|t| (n, t))).collect()
    }
}

fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut stride = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        stride[axis - 1] = stride[axis] * shape[axis];
    }
    stride
}

/// Whether two strides mean the same places: axes of one element have none.
fn same_order(shape: &[i64], a: &[i64], b: &[i64]) -> bool {
    shape.iter().zip(a.iter().zip(b)).all(|(d, (a, b))| *d == 1 || a == b)
}

/// The list of a safetensors file, checked against the file's length.
fn safetensors(f: &mut File, begin: &[u8]) -> Result<(Dict, About), String> {
    let len = f.metadata().map_err(|e| e.to_string())?.len();
    let size = begin.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
    let size = size.ok_or_else(|| format!("a file of {len} bytes"))?;
    if size > LONGEST_HEADER || size > len - 8 {
        return Err(format!("no header of either format: its first 8 bytes would be the length {size} of {len} bytes"));
    }
    let mut header = vec![0; size as usize];
    f.seek(SeekFrom::Start(8)).and_then(|_| f.read_exact(&mut header)).map_err(|e| e.to_string())?;
    let list: Metadata = serde_json::from_slice(&header).map_err(|e| format!("a damaged header ({e})"))?;
    let mut dict = Dict::default();
    let (base, mut end) = (8 + size, 0);
    for (name, info) in list.tensors() {
        let shape = info.shape.iter().map(|d| i64::try_from(*d)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| format!("{name} of size {:?}", info.shape))?;
        let kind = kind_of(info.dtype).ok_or_else(|| format!("{name} of type {:?}", info.dtype))?;
        end = end.max(info.data_offsets.1 as u64);
        let start = base + info.data_offsets.0 as u64;
        dict.tensors.push((name, Stored { kind, shape, stride: None, start }));
    }
    if base.checked_add(end) != Some(len) {
        return Err(format!("{len} bytes where its header says {}", base.saturating_add(end)));
    }
    let words = list.metadata().as_ref().and_then(|m| m.get(ABOUT));
    let about = words.and_then(|w| serde_json::from_str(w).ok()).unwrap_or_default();
    Ok((dict, about))
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

/// The dictionary with the weights, and how it is called.
fn choose(mut dict: Dict, part: Option<&str>) -> Result<(Dict, Vec<String>), String> {
    let known: Vec<String> = dict.dicts.iter().map(|(name, _)| name.clone()).collect();
    let name = match part {
        Some(part) => Some(part.to_string()),
        None if dict.tensors.is_empty() => {
            let holds = |n: &str| dict.dicts.iter().any(|(name, d)| name == n && !d.tensors.is_empty());
            let found = DICTS.iter().find(|n| holds(n));
            Some(found.map(|n| n.to_string()).ok_or_else(|| format!("no tensors (its entries: {})", list(&dict)))?)
        }
        None => None,
    };
    let Some(name) = name else {
        let nested: Vec<String> = dict.dicts.drain(..).map(|(n, _)| n).collect();
        dict.others.extend(nested);
        return Ok((dict, vec![]));
    };
    let found = dict.dicts.into_iter().find(|(n, d)| *n == name && !d.tensors.is_empty());
    let (_, chosen) = found.ok_or_else(|| format!("no tensors in {name:?} (its parts: {})", known.join(", ")))?;
    Ok((chosen, vec![format!("part {name:?}")]))
}

fn list(dict: &Dict) -> String {
    let all: Vec<&str> =
        dict.dicts.iter().map(|(n, _)| n.as_str()).chain(dict.others.iter().map(String::as_str)).collect();
    match all.len() {
        0 => "none".to_string(),
        n if n > 12 => format!("{}, and {} more", all[..12].join(", "), n - 12),
        _ => all.join(", "),
    }
}

/// Takes off what wrappers put before the names. Where every name has one of the prefixes, those of the first kind stay.
fn strip(tensors: &mut BTreeMap<String, Stored>) -> Option<String> {
    let mut off = String::new();
    while !tensors.is_empty() && tensors.keys().all(|n| PREFIXES.iter().any(|p| n.starts_with(p))) {
        let Some(prefix) = PREFIXES.iter().find(|p| tensors.keys().any(|n| n.starts_with(**p))) else { break };
        off.push_str(prefix);
        let kept = std::mem::take(tensors);
        *tensors = kept.into_iter().filter_map(|(n, t)| n.strip_prefix(prefix).map(|n| (n.to_string(), t))).collect();
    }
    (!off.is_empty()).then_some(off)
}
