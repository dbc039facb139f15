//! A digest of a graph that does not depend on what its values are called.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::nodes::qualified;
use crate::proto::{Attribute, Graph, Tensor};

/// The first half of a hash as hexadecimal digits.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// Digest of operators, attributes and what reads what.
pub(super) fn graph(graph: &Graph) -> String {
    let mut walk = Walk { hash: Sha256::new(), numbers: BTreeMap::new() };
    walk.graph(graph);
    hex(walk.hash)
}

/// Values are numbered as they first occur.
struct Walk<'a> {
    hash: Sha256,
    numbers: BTreeMap<&'a str, u64>,
}

impl<'a> Walk<'a> {
    fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hash.update(bytes);
    }

    fn number(&mut self, n: u64) {
        self.hash.update(n.to_le_bytes());
    }

    /// An absent input has no name.
    fn value(&mut self, name: &'a str) {
        let next = self.numbers.len() as u64 + 1;
        let number = if name.is_empty() { 0 } else { *self.numbers.entry(name).or_insert(next) };
        self.number(number);
    }

    fn values(&mut self, names: impl ExactSizeIterator<Item = &'a str>) {
        self.number(names.len() as u64);
        names.for_each(|n| self.value(n));
    }

    fn graph(&mut self, graph: &'a Graph) {
        self.values(graph.input.iter().map(|i| i.name.as_deref().unwrap_or_default()));
        for node in &graph.node {
            self.text(qualified(node).as_bytes());
            self.values(node.input.iter().map(String::as_str));
            self.values(node.output.iter().map(String::as_str));
            let mut attributes: Vec<&Attribute> = node.attribute.iter().collect();
            attributes.sort_by_key(|a| a.name.as_deref().unwrap_or_default());
            attributes.into_iter().for_each(|a| self.attribute(a));
        }
        self.values(graph.output.iter().map(|o| o.name.as_deref().unwrap_or_default()));
    }

    fn attribute(&mut self, a: &'a Attribute) {
        self.text(a.name.as_deref().unwrap_or_default().as_bytes());
        self.number(u64::from(a.f.unwrap_or_default().to_bits()));
        self.number(a.i.unwrap_or_default().cast_unsigned());
        self.text(a.s.as_deref().unwrap_or_default());
        self.number(a.floats.len() as u64);
        a.floats.iter().for_each(|v| self.number(u64::from(v.to_bits())));
        self.number(a.ints.len() as u64);
        a.ints.iter().for_each(|v| self.number(v.cast_unsigned()));
        self.number(a.strings.len() as u64);
        a.strings.iter().for_each(|s| self.text(s));
        a.t.iter().for_each(|t| self.tensor(t));
        a.g.iter().chain(&a.graphs).for_each(|g| self.graph(g));
    }

    fn tensor(&mut self, t: &Tensor) {
        self.number(t.data_type.unwrap_or_default().unsigned_abs().into());
        self.number(t.dims.len() as u64);
        t.dims.iter().for_each(|d| self.number(d.cast_unsigned()));
        self.text(t.raw_data.as_deref().unwrap_or_default());
        t.float_data.iter().for_each(|v| self.number(u64::from(v.to_bits())));
        t.double_data.iter().for_each(|v| self.number(v.to_bits()));
        t.int32_data.iter().for_each(|v| self.number(i64::from(*v).cast_unsigned()));
        t.int64_data.iter().for_each(|v| self.number(v.cast_unsigned()));
        t.uint64_data.iter().for_each(|v| self.number(*v));
        t.string_data.iter().for_each(|s| self.text(s));
    }
}
