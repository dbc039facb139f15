//! What tests of ONNX files share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use mobilenas_onnx::Arrays;
use mobilenas_onnx::proto::{Model, kind};
use mobilenas_space::families;
use mobilenas_space::ir::{Graph, Role};

/// A published variant for ten classes.
pub fn graph(id: &str) -> Graph {
    families::plan(id, None, 10).unwrap().lower().unwrap()
}

/// A tensor of halves for each floating-point tensor of a graph.
pub fn arrays(graph: &Graph) -> Arrays {
    let floats = graph.params().into_iter().filter(|p| !matches!(p.role, Role::Counter | Role::Index));
    floats.map(|p| (p.name.clone(), vec![0.5; p.elements() as usize])).collect()
}

/// Asserts that every value is made once, before it is read, that every tensor is read, and that sizes fit bytes.
pub fn assert_sound(id: &str, model: &Model) {
    let graph = model.graph.as_ref().unwrap();
    let mut known: BTreeSet<&str> = BTreeSet::from(["", "images"]);
    let mut read = BTreeSet::new();
    for t in &graph.initializer {
        assert!(known.insert(t.name.as_deref().unwrap()), "{id}: {:?} twice", t.name);
        let width = match t.data_type.unwrap() {
            kind::INT64 => 8,
            kind::FLOAT16 => 2,
            kind::INT8 | kind::UINT8 => 1,
            _ => 4,
        };
        let bytes = t.dims.iter().product::<i64>() * width;
        assert_eq!(t.raw_data.as_ref().unwrap().len() as i64, bytes, "{id}: {:?}", t.name);
    }
    let mut names = BTreeSet::new();
    for n in &graph.node {
        for input in &n.input {
            assert!(known.contains(input.as_str()), "{id}: {:?} reads {input} before it is made", n.name);
            read.insert(input.as_str());
        }
        assert!(known.insert(&n.output[0]), "{id}: {:?} twice", n.output);
        assert!(names.insert(n.name.as_deref().unwrap()), "{id}: two nodes {:?}", n.name);
    }
    assert!(known.contains("logits"));
    for t in &graph.initializer {
        assert!(read.contains(t.name.as_deref().unwrap()), "{id}: nothing reads {:?}", t.name);
    }
}
