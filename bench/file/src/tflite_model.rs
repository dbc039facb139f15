//! What a .tflite file says of a network: a reader of the few tables of its flatbuffer that are needed here. Every offset is
//! checked against the bytes.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::tflite_operators::OPERATORS;
use crate::values::Kind;

/// A tensor that goes in or comes out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// The kind of its numbers; none if we have no such kind.
    pub(crate) kind: Option<Kind>,
    pub(crate) dims: Vec<i64>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tflite {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// How often each operator occurs.
    pub(crate) ops: BTreeMap<String, u64>,
    /// Digest of operators, their options, sizes and what reads what.
    pub(crate) graph: String,
    /// Elements of the tensors that have values in the file.
    pub(crate) params: u64,
    /// Their bytes.
    pub(crate) weight_bytes: u64,
    /// Their digest.
    pub(crate) weights: String,
}

/// Bytes with checked reads.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(self, at: usize, n: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(n)?)
    }

    fn u16(self, at: usize) -> Option<usize> {
        self.slice(at, 2)?.try_into().ok().map(|b| usize::from(u16::from_le_bytes(b)))
    }

    fn u32(self, at: usize) -> Option<usize> {
        self.slice(at, 4)?.try_into().ok().map(|b| u32::from_le_bytes(b) as usize)
    }

    fn i32(self, at: usize) -> Option<i64> {
        self.slice(at, 4)?.try_into().ok().map(|b| i64::from(i32::from_le_bytes(b)))
    }

    /// Where the offset at a place points to.
    fn follow(self, at: usize) -> Option<usize> {
        at.checked_add(self.u32(at)?)
    }
}

/// A table.
#[derive(Clone, Copy)]
struct Table<'a> {
    bytes: Bytes<'a>,
    at: usize,
    fields: usize,
}

impl<'a> Table<'a> {
    fn at(bytes: Bytes<'a>, at: usize) -> Option<Table<'a>> {
        let fields = usize::try_from(at as i64 - bytes.i32(at)?).ok()?;
        bytes.u16(fields)?;
        Some(Table { bytes, at, fields })
    }

    /// Where a field stands, if the table has it.
    fn field(self, i: usize) -> Option<usize> {
        let entry = 4 + 2 * i;
        let offset = if entry < self.bytes.u16(self.fields)? { self.bytes.u16(self.fields + entry)? } else { 0 };
        (offset > 0).then_some(self.at + offset)
    }

    fn number(self, i: usize) -> i64 {
        self.field(i).and_then(|at| self.bytes.i32(at)).unwrap_or(0)
    }

    fn byte(self, i: usize) -> i64 {
        self.field(i).and_then(|at| self.bytes.slice(at, 1)).map_or(0, |b| i64::from(b[0] as i8))
    }

    fn table(self, i: usize) -> Option<Table<'a>> {
        Table::at(self.bytes, self.bytes.follow(self.field(i)?)?)
    }

    /// The place and length of a vector.
    fn vector(self, i: usize) -> Option<(usize, usize)> {
        let at = self.bytes.follow(self.field(i)?)?;
        Some((at + 4, self.bytes.u32(at)?))
    }

    fn raw(self, i: usize) -> Option<&'a [u8]> {
        let (at, n) = self.vector(i)?;
        self.bytes.slice(at, n)
    }

    fn text(self, i: usize) -> String {
        String::from_utf8_lossy(self.raw(i).unwrap_or_default()).into_owned()
    }

    fn numbers(self, i: usize) -> Option<Vec<i64>> {
        let Some((at, n)) = self.vector(i) else { return Some(Vec::new()) };
        self.bytes.slice(at, n.checked_mul(4)?)?;
        (0..n).map(|i| self.bytes.i32(at + 4 * i)).collect()
    }

    fn tables(self, i: usize) -> Option<Vec<Table<'a>>> {
        let Some((at, n)) = self.vector(i) else { return Some(Vec::new()) };
        self.bytes.slice(at, n.checked_mul(4)?)?;
        (0..n).map(|i| Table::at(self.bytes, self.bytes.follow(at + 4 * i)?)).collect()
    }

    /// The numbers that stand in the table itself.
    fn inline(self) -> Option<&'a [u8]> {
        self.bytes.slice(self.at + 4, self.bytes.u16(self.fields + 2)?.checked_sub(4)?)
    }
}

/// Options whose tables hold vectors: where these stand depends on all that is written before. What they say is in the sizes.
const WITH_VECTORS: [i64; 5] = [3, 4, 17, 18, 30];

/// The kind of a tensor's numbers by its number in the file.
fn kind(number: i64) -> Option<Kind> {
    match number {
        0 => Some(Kind::Float32),
        1 => Some(Kind::Float16),
        2 => Some(Kind::Int32),
        3 => Some(Kind::Uint8),
        4 => Some(Kind::Int64),
        6 => Some(Kind::Bool),
        9 => Some(Kind::Int8),
        10 => Some(Kind::Float64),
        _ => None,
    }
}

fn operator(code: Table) -> String {
    // Numbers beyond a byte came later, in a field of their own.
    let number = code.number(3).max(code.byte(0));
    let named = usize::try_from(number).ok().and_then(|n| OPERATORS.split_whitespace().nth(n));
    match named {
        Some("CUSTOM") => format!("CUSTOM {}", code.text(1)),
        Some(name) => name.to_string(),
        None => format!("operator {number}"),
    }
}

/// Reads a file; none if it is not one, or is cut off.
pub(crate) fn read(bytes: &[u8]) -> Option<Tflite> {
    if bytes.get(4..8)? != b"TFL3" {
        return None;
    }
    let bytes = Bytes(bytes);
    let model = Table::at(bytes, bytes.u32(0)?)?;
    let (codes, buffers) = (model.tables(1)?, model.tables(4)?);
    let (mut all, mut graph, mut weights) = (Tflite::default(), Sha256::new(), Sha256::new());
    for (i, subgraph) in model.tables(2)?.into_iter().enumerate() {
        let tensors = subgraph.tables(0)?;
        let elements = |dims: &[i64]| dims.iter().fold(1u64, |n, d| n.saturating_mul(d.unsigned_abs()));
        for tensor in &tensors {
            let dims = tensor.numbers(0)?;
            graph.update(format!("tensor {} {dims:?}", tensor.byte(1)));
            let buffer = usize::try_from(tensor.number(2)).ok().and_then(|at| buffers.get(at));
            // Values of more than 2 GB stand behind the tables; field 0 holds all others.
            let Some(values) = buffer.and_then(|b| b.raw(0)).filter(|values| !values.is_empty()) else { continue };
            all.params = all.params.saturating_add(elements(&dims));
            all.weight_bytes += values.len() as u64;
            weights.update((values.len() as u64).to_le_bytes());
            weights.update(values);
        }
        for op in subgraph.tables(3)? {
            let name = operator(*codes.get(usize::try_from(op.number(0)).ok()?)?);
            graph.update(format!("{name} {:?} {:?} {}", op.numbers(1)?, op.numbers(2)?, op.byte(3)));
            if let Some(options) = op.table(4).filter(|_| !WITH_VECTORS.contains(&op.byte(3))) {
                graph.update(options.inline()?);
            }
            *all.ops.entry(name).or_default() += 1;
        }
        if i == 0 {
            let port = |at: i64| {
                let tensor = tensors.get(usize::try_from(at).ok()?)?;
                let signature = tensor.numbers(7)?;
                let dims = if signature.is_empty() { tensor.numbers(0)? } else { signature };
                Some(Port { name: tensor.text(3), kind: kind(tensor.byte(1)), dims })
            };
            all.inputs = subgraph.numbers(1)?.into_iter().map(port).collect::<Option<_>>()?;
            all.outputs = subgraph.numbers(2)?.into_iter().map(port).collect::<Option<_>>()?;
        }
    }
    // What signatures call them, by the numbers of their tensors.
    if let (Some(signature), Some(main)) = (model.tables(7)?.first(), model.tables(2)?.first()) {
        for (field, ports, places) in [(0, &mut all.inputs, main.numbers(1)?), (1, &mut all.outputs, main.numbers(2)?)]
        {
            for named in signature.tables(field)? {
                let at = places.iter().position(|place| *place == named.number(1));
                if let Some(port) = at.and_then(|at| ports.get_mut(at)) {
                    port.name = named.text(0);
                }
            }
        }
    }
    let digest = |hash: Sha256| hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    (all.graph, all.weights) = (digest(graph), digest(weights));
    Some(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A convolution from 3 to 2 channels with an activation, averaged: of litert-torch.
    const FILE: &[u8] = include_bytes!("../tests/tiny.tflite");

    #[test]
    fn what_the_file_says_is_read() {
        let all = read(FILE).unwrap();
        let port =
            |name: &str, dims: &[i64]| Port { name: name.into(), kind: Some(Kind::Float32), dims: dims.to_vec() };
        assert_eq!(all.inputs, [port("args_0", &[1, 3, 8, 8])]);
        assert_eq!(all.outputs, [port("output_0", &[1, 2])]);
        assert_eq!(all.ops.get("CONV_2D"), Some(&1), "{:?}", all.ops);
        // Weights and biases are 56 floats; axes and paddings are values, too.
        assert!(all.params >= 56 && all.weight_bytes >= 4 * 56, "{} {}", all.params, all.weight_bytes);
    }

    #[test]
    fn a_changed_weight_changes_the_weights_and_no_graph() {
        let (was, mut bytes) = (read(FILE).unwrap(), FILE.to_vec());
        let weights = |bytes: &[u8]| read(bytes).map(|all| (all.weights, all.graph));
        let at = (0..bytes.len()).rev().find(|at| {
            let mut other = FILE.to_vec();
            other[*at] ^= 1;
            weights(&other).is_some_and(|(w, g)| w != was.weights && g == was.graph)
        });
        bytes[at.unwrap()] ^= 1;
        assert_ne!(read(&bytes).unwrap(), was);
    }

    #[test]
    fn no_bytes_are_trusted() {
        for n in 0..FILE.len() {
            let _ = read(&FILE[..n]);
            for value in [0, 1, 127, 128, 255] {
                let mut bytes = FILE.to_vec();
                bytes[n] = value;
                let _ = read(&bytes);
            }
        }
        assert_eq!(read(b"no file of that kind"), None);
    }
}
