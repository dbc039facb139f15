//! Where the tensors of a file lie in it.

use std::rc::Rc;

use tch::{Kind, Tensor};

use crate::error::{NetError, torch};

/// What this program expects of a file.
pub(super) const EXPECTED: &str = "safetensors, or a state dict that torch.save wrote";

/// Bytes of a file that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Which of the files.
    pub file: usize,
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Their CRC-32, if the file has one.
    pub crc: Option<u32>,
}

impl Span {
    /// What is wrong with its bytes.
    pub fn damage(&self, data: &[u8]) -> Option<String> {
        let (expected, found) = (self.crc?, crc32fast::hash(data));
        (found != expected).then(|| format!("damaged (its checksum is {found:08x}, expected {expected:08x})"))
    }
}

/// Where a tensor lies in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its name in the file.
    pub(super) name: String,
    /// Type of its elements.
    pub kind: Kind,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// Elements between neighbours along each axis; row-major if none.
    pub(super) stride: Option<Vec<i64>>,
    /// Its first element in the span.
    pub(super) offset: u64,
    pub(super) span: Span,
}

/// An entry that is no tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub what: String,
}

/// A dictionary of a file: its keys, and the tensors in it.
#[derive(Debug, Default)]
pub(super) struct Dict {
    /// Tensors by name.
    pub tensors: Vec<(String, Stored)>,
    /// Entries that are neither tensors nor dictionaries.
    pub others: Vec<Other>,
    /// Dictionaries by name.
    pub dicts: Vec<(String, Rc<Dict>)>,
}

impl Stored {
    /// Takes a wanted shape, where only axes of length 1 are more or fewer.
    pub(super) fn take_shape(&mut self, wanted: Option<&[i64]>) {
        let long = |shape: &[i64]| shape.iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
        let Some(wanted) = wanted.filter(|w| long(w) == long(&self.shape) && *w != self.shape) else { return };
        let rows = row_major(&self.shape);
        if self.stride.as_ref().is_none_or(|s| same_order(&self.shape, s, &rows)) {
            (self.shape, self.stride) = (wanted.to_vec(), None);
        }
    }

    /// The tensor, from the bytes of its span.
    pub(super) fn tensor(&self, data: &[u8]) -> Result<Tensor, NetError> {
        let elements: i64 = self.shape.iter().product();
        let rows = row_major(&self.shape);
        let stride = self.stride.as_ref().filter(|s| elements > 0 && !same_order(&self.shape, s, &rows));
        // From the first element to the last one, whatever lies between.
        let reach = match stride {
            Some(s) => 1 + self.shape.iter().zip(s).map(|(d, s)| (d - 1) * s).sum::<i64>(),
            None => elements,
        };
        let width = self.kind.elt_size_in_bytes();
        let from = self.offset as usize * width;
        let data = data.get(from..from + reach as usize * width);
        let data = data.filter(|_| elements > 0).unwrap_or_default();
        match stride {
            None => Tensor::f_from_data_size(data, &self.shape, self.kind),
            Some(stride) => Tensor::f_from_data_size(data, &[reach], self.kind)
                .and_then(|t| t.f_as_strided(&self.shape, stride, None)?.f_contiguous()),
        }
        .map_err(torch(&self.name))
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
