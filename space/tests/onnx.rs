//! ONNX files of every published network: names, shapes, operators.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{arrays, assert_sound, graph};
use mobilenas_space::families::FAMILIES;
use mobilenas_space::ir::{ActFn, Graph, Node, Op, fold_batch_norms};
use mobilenas_space::onnx::proto::{Model, Size, ValueInfo};
use mobilenas_space::onnx::{Batch, OnnxError, Options, model, write};

fn sizes(value: &ValueInfo) -> Vec<String> {
    let tensor = value.kind.clone().unwrap().tensor_type.unwrap();
    let size = |s: Option<Size>| match s.unwrap() {
        Size::Value(v) => v.to_string(),
        Size::Param(p) => p,
    };
    tensor.shape.unwrap().dim.into_iter().map(|d| size(d.size)).collect()
}

fn count(model: &Model, op: &str) -> usize {
    model.graph.as_ref().unwrap().node.iter().filter(|n| n.op_type.as_deref() == Some(op)).count()
}

#[test]
fn every_published_network_is_written() {
    for info in FAMILIES.iter().flat_map(|f| f.variants()) {
        let (id, plain) = (info.id, graph(info.id));
        let folded = fold_batch_norms(&plain);
        let of = |g: &Graph, batch| model(g, &arrays(g), &Options { batch, ..Options::default() }).unwrap();
        let (fused, unfused) = (of(&folded.graph, Batch::Dynamic), of(&plain, Batch::Fixed(2)));
        assert_sound(id, &fused);
        assert_sound(id, &unfused);
        let border = |m: &Model| {
            let g = m.graph.as_ref().unwrap();
            [sizes(&g.input[0]).join("x"), sizes(&g.output[0]).join("x")]
        };
        let side = info.resolution;
        assert_eq!(border(&fused), [format!("batchx3x{side}x{side}"), "batchx10".to_string()], "{id}");
        assert_eq!(border(&unfused), [format!("2x3x{side}x{side}"), "2x10".to_string()], "{id}");
        let norms = |g: &Graph| g.histogram().get("batch_norm").copied().unwrap_or(0);
        assert_eq!(count(&unfused, "BatchNormalization"), norms(&plain), "{id}");
        assert_eq!(count(&fused, "BatchNormalization"), norms(&plain) - folded.folded_from.len(), "{id}");
        let ops = |wanted: fn(&Op) -> bool| plain.nodes.iter().filter(|n| wanted(&n.op)).count();
        assert_eq!(count(&fused, "Gelu"), ops(|o| *o == Op::Act(ActFn::Gelu)), "{id}");
        assert_eq!(count(&fused, "LayerNormalization"), ops(|o| matches!(o, Op::LayerNorm { .. })), "{id}");
        let softmax = |o: &Op| matches!(o, Op::Softmax | Op::Attention { .. });
        assert_eq!(count(&fused, "Softmax"), ops(softmax), "{id}");
        let convs = ops(|o| matches!(o, Op::Conv { .. }));
        assert_eq!(count(&fused, "Conv"), convs, "{id}");
    }
}

#[test]
fn for_one_image_heads_on_pooled_maps_are_convolutions() {
    for (family, info) in FAMILIES.iter().flat_map(|f| f.variants().into_iter().map(move |v| (f.name(), v))) {
        let (id, plain) = (info.id, graph(info.id));
        let one = model(&plain, &arrays(&plain), &Options::default()).unwrap();
        assert_sound(id, &one);
        let pooled = |i: &u32| matches!(plain.nodes[*i as usize].op, Op::GlobalPool { keep: false });
        let of_map = |i: &u32| plain.nodes[plain.nodes[*i as usize].inputs[0] as usize].value.hw().is_some();
        let from = |n: &&Node| n.inputs.first().is_some_and(|i| pooled(i) && of_map(i));
        let head = |n: &&Node| matches!(n.op, Op::Linear { .. }) && from(n);
        let heads = plain.nodes.iter().filter(head).count();
        let several =
            model(&plain, &arrays(&plain), &Options { batch: Batch::Fixed(2), ..Options::default() }).unwrap();
        assert_eq!(count(&one, "Conv"), count(&several, "Conv") + heads, "{id}");
        assert_eq!(count(&one, "Gemm") + heads, count(&several, "Gemm"), "{id}");
        // The two families whose last feature is rows.
        assert_eq!(heads == 0, ["efficientformer", "deit"].contains(&family), "{id}");
    }
}

#[test]
fn float16_halves_the_file() {
    let g = fold_batch_norms(&graph("mobilenetv2_100")).graph;
    let size = |float16| write(&g, &arrays(&g), &Options { float16, ..Options::default() }).unwrap().len();
    assert!(size(true) * 10 < size(false) * 6, "{} and {}", size(true), size(false));
}

#[test]
fn the_file_has_its_metadata() {
    let g = graph("mobilevit_xxs");
    let about = BTreeMap::from([("model".to_string(), "mobilevit_xxs".to_string())]);
    let m = model(&g, &arrays(&g), &Options { about, ..Options::default() }).unwrap();
    assert_eq!(m.metadata_props[0].key.as_deref(), Some("model"));
    assert_eq!(m.producer_name.as_deref(), Some("mobilenas"));
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    let g = graph("mobilevit_xxs");
    let mut all = arrays(&g);
    all.remove("stem.conv.weight").unwrap();
    let error = model(&g, &all, &Options::default()).unwrap_err();
    let expected = OnnxError::Array { name: "stem.conv.weight".into(), found: 0, expected: 16 * 3 * 9 };
    assert_eq!(error, expected);
}
