//! The initialisers of a file: how many numbers, how many bytes, and a digest.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::nodes::each_node;
use super::{ReadError, digest};
use crate::proto::{Graph, Tensor, kind};

/// Where values stand outside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, relative to the model's folder.
    pub file: String,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// Reads values outside the model.
pub type Outside<'a> = dyn FnMut(&Location) -> Result<Vec<u8>, String> + 'a;

/// The initialisers of a graph.
pub(super) struct Weights {
    pub params: u64,
    pub bytes: u64,
    pub digest: String,
}

/// Sums up the initialisers of a graph and of the graphs within its nodes.
pub(super) fn weights(graph: &Graph, outside: &mut Outside) -> Result<Weights, ReadError> {
    let mut all: Vec<&Tensor> = graph.initializer.iter().collect();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    each_node(graph, &mut |node| {
        for input in &node.input {
            let next = used.len();
            used.entry(input.as_str()).or_insert(next);
        }
        let inner = node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
        all.extend(inner.flat_map(|g| &g.initializer));
    });
    let name = |t: &Tensor| t.name.clone().unwrap_or_default();
    all.sort_by_key(|t| {
        let name = name(t);
        (used.get(name.as_str()).copied().unwrap_or(usize::MAX), name)
    });
    let (mut params, mut bytes, mut hash) = (0, 0, Sha256::new());
    for tensor in all {
        let (elements, values) = (elements(tensor)?, values(tensor, outside)?);
        let element = tensor.data_type.unwrap_or_default();
        params += if [kind::INT64, kind::BOOL].contains(&element) { 0 } else { elements };
        bytes += values.len() as u64;
        hash.update(element.to_le_bytes());
        hash.update((tensor.dims.len() as u64).to_le_bytes());
        tensor.dims.iter().for_each(|d| hash.update(d.to_le_bytes()));
        hash.update(&values);
    }
    Ok(Weights { params, bytes, digest: digest::hex(hash) })
}

fn wrong(tensor: &Tensor, found: String, expected: impl Into<String>) -> ReadError {
    ReadError::Tensor { name: tensor.name.clone().unwrap_or_default(), found, expected: expected.into() }
}

/// How many elements the shape has.
fn elements(tensor: &Tensor) -> Result<u64, ReadError> {
    let product = |n: u64, d: &i64| n.checked_mul(u64::try_from(*d).ok()?);
    let all = tensor.dims.iter().try_fold(1u64, product);
    all.ok_or_else(|| wrong(tensor, format!("the shape {:?}", tensor.dims), "a shape of sizes"))
}

/// The values of a tensor as little-endian bytes, however the file stores them.
fn values<'a>(tensor: &'a Tensor, outside: &mut Outside) -> Result<Cow<'a, [u8]>, ReadError> {
    let element = tensor.data_type.unwrap_or_default();
    let elements = elements(tensor)?;
    if tensor.data_location == Some(1) {
        return external(tensor, outside).map(Cow::Owned);
    }
    let bytes = match &tensor.raw_data {
        Some(raw) => Cow::Borrowed(raw.as_slice()),
        None => Cow::Owned(typed(tensor, element)),
    };
    match kind::bytes(element, elements) {
        Some(expected) if expected != bytes.len() as u64 => {
            let found = format!("{} bytes", bytes.len());
            Err(wrong(tensor, found, format!("{expected} bytes of {}{:?}", kind::name(element), tensor.dims)))
        }
        Some(_) | None => Ok(bytes),
    }
}

/// The values of the typed fields, which hold small kinds in numbers of 32 bits.
fn typed(tensor: &Tensor, element: i32) -> Vec<u8> {
    let width = kind::bytes(element, 1).unwrap_or(1) as usize;
    let narrow = tensor.int32_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width.min(4)));
    let mut all: Vec<u8> = narrow.collect();
    all.extend(tensor.float_data.iter().flat_map(|v| v.to_le_bytes()));
    all.extend(tensor.double_data.iter().flat_map(|v| v.to_le_bytes()));
    all.extend(tensor.int64_data.iter().flat_map(|v| v.to_le_bytes()));
    all.extend(tensor.uint64_data.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width.min(8))));
    all.extend(tensor.string_data.iter().flatten());
    all
}

fn external(tensor: &Tensor, outside: &mut Outside) -> Result<Vec<u8>, ReadError> {
    let element = tensor.data_type.unwrap_or_default();
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key))?.value.clone();
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(n) => Ok(Some(n)),
            Err(_) => Err(wrong(tensor, format!("{key} {text:?} of its values"), "a whole number")),
        },
    };
    let file = entry("location").ok_or_else(|| wrong(tensor, "values outside the model".into(), "their location"))?;
    let needed = kind::bytes(element, elements(tensor)?)
        .ok_or_else(|| wrong(tensor, kind::name(element).to_string(), "numbers in a file beside the model"))?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(needed));
    if length != needed {
        return Err(wrong(tensor, format!("{length} bytes in {file}"), format!("{needed} bytes")));
    }
    outside(&Location { file: file.clone(), offset, length }).map_err(|message| ReadError::Outside {
        name: tensor.name.clone().unwrap_or_default(),
        file,
        message,
    })
}
