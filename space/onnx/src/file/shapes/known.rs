//! What is known of a value, and a node with what is known of its inputs.

use crate::proto::{Attribute, Node, Tensor, kind};

/// Most numbers of a value that are computed.
pub(super) const MOST: usize = 4096;
/// Sizes beyond these are mistakes of a file; below them no product here overflows.
const LARGEST: i64 = 1 << 31;
/// As [`LARGEST`], for strides, pads and the like.
pub(super) const LARGEST_ATTRIBUTE: i64 = 1 << 20;
/// As [`LARGEST`], for the elements of a value.
const MOST_ELEMENTS: u64 = 1 << 48;

/// What is known of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::file) struct Known {
    /// Its sizes.
    pub dims: Vec<i64>,
    /// Its numbers in row-major order, where they are few and follow from the file and the sizes.
    pub numbers: Option<Vec<f64>>,
    /// Whether these are whole.
    pub whole: bool,
}

impl Known {
    pub(super) fn sized(dims: Vec<i64>) -> Known {
        Known { dims, ..Known::default() }
    }

    pub(super) fn computed(dims: Vec<i64>, numbers: Option<Vec<f64>>, whole: bool) -> Known {
        let numbers = numbers.filter(|n| n.len() <= MOST);
        Known { dims, numbers, whole }
    }

    /// Whether its sizes can be true.
    pub(super) fn sound(&self) -> bool {
        self.dims.iter().all(|d| (0..LARGEST).contains(d)) && self.elements() < MOST_ELEMENTS
    }

    pub(in crate::file) fn elements(&self) -> u64 {
        self.dims.iter().map(|d| d.unsigned_abs()).fold(1, u64::saturating_mul)
    }
}

/// A node with what is known of its inputs.
pub(in crate::file) struct Op<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<&'a Known>>,
    pub opset: i64,
}

impl<'a> Op<'a> {
    pub fn dims(&self, i: usize) -> Option<&'a [i64]> {
        Some(&self.input(i)?.dims)
    }

    pub fn input(&self, i: usize) -> Option<&'a Known> {
        self.inputs.get(i).copied().flatten()
    }

    /// Whether the node names such an input at all.
    pub fn has(&self, i: usize) -> bool {
        self.node.input.get(i).is_some_and(|n| !n.is_empty())
    }

    /// Whole numbers of an input.
    pub fn ints(&self, i: usize) -> Option<Vec<i64>> {
        Some(self.input(i)?.numbers.as_ref()?.iter().map(|v| (*v as i64).clamp(-LARGEST, LARGEST)).collect())
    }

    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attribute.iter().find(|a| a.name.as_deref() == Some(name))
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    pub fn list(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_deref()?).ok()
    }

    /// A list that older operator sets have as an attribute and newer ones as an input: `None` where it is not known,
    /// `Some(None)` where there is none.
    pub(super) fn list_or_input(&self, name: &str, input: usize) -> Option<Option<Vec<i64>>> {
        match (self.list(name), self.has(input)) {
            (Some(list), _) => Some(Some(list.iter().map(|v| (*v).clamp(-LARGEST, LARGEST)).collect())),
            (None, true) => self.ints(input).map(Some),
            (None, false) => Some(None),
        }
    }
}

/// An axis counted from the front.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = rank as i64;
    let from_front = if axis < 0 { axis + rank } else { axis };
    (0..rank.max(1)).contains(&from_front).then_some(from_front as usize)
}

/// A tensor of the file, with its numbers where they are few.
pub(super) fn of_tensor(t: &Tensor) -> Known {
    let element = t.data_type.unwrap_or_default();
    let whole = [kind::INT32, kind::INT64, kind::BOOL, kind::UINT8, kind::INT8].contains(&element);
    let few = t.dims.iter().map(|d| d.unsigned_abs()).fold(1, u64::saturating_mul) <= MOST as u64;
    let numbers = if few && t.data_location != Some(1) { numbers(t, element) } else { None };
    Known { dims: t.dims.clone(), numbers, whole }
}

fn numbers(t: &Tensor, element: i32) -> Option<Vec<f64>> {
    let Some(raw) = &t.raw_data else {
        let all = t.float_data.iter().map(|v| f64::from(*v)).chain(t.double_data.iter().copied());
        let all = all.chain(t.int64_data.iter().map(|v| *v as f64));
        return Some(all.chain(t.int32_data.iter().map(|v| f64::from(*v))).collect());
    };
    fn read<const N: usize>(raw: &[u8], of: fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        Some(raw.chunks_exact(N).filter_map(|c| c.try_into().ok()).map(of).collect())
    }
    match element {
        kind::FLOAT => read(raw, |b| f64::from(f32::from_le_bytes(b))),
        kind::DOUBLE => read(raw, f64::from_le_bytes),
        kind::FLOAT16 => read(raw, |b| half::f16::from_le_bytes(b).to_f64()),
        kind::INT64 => read(raw, |b| i64::from_le_bytes(b) as f64),
        kind::INT32 => read(raw, |b| f64::from(i32::from_le_bytes(b))),
        kind::UINT8 | kind::BOOL => read(raw, |[b]| f64::from(b)),
        kind::INT8 => read(raw, |[b]| f64::from(b.cast_signed())),
        _ => None,
    }
}
