//! ONNX files of every published network: names, shapes, operators.

use crate::common;
use crate::covering;

use std::collections::BTreeMap;

use common::{arrays, assert_sound, graph};
use mobilenas_onnx::proto::{self, Model, Size, ValueInfo};
use mobilenas_onnx::{Batch, OnnxError, Options, float32_weights, model, write};
use mobilenas_space::ir::{ActFn, Branch, Graph, Node, Op, fold_batch_norms};

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

fn is_vector_norm(n: &Node) -> bool {
    n.op == Op::BatchNorm && n.value.dims.len() == 1
}

/// The sum of two layers of one vector, of which each may have a norm, is one layer, whatever the batch.
#[test]
fn classifiers_whose_mean_is_taken_are_one_layer() {
    // Two heads with norms on a pooled map, two on rows, one with a norm.
    for (id, layers, means) in [("repvit_m0_9", 2, 1), ("efficientformer_l1", 2, 1), ("efficientvit_m0", 1, 0)] {
        let plain = graph(id);
        let linear = |n: &&Node| matches!(n.op, Op::Linear { .. }) && n.value.dims.len() == 1;
        let ops = |op: &Op| plain.nodes.iter().filter(|n| n.op == *op).count();
        assert_eq!((plain.nodes.iter().filter(linear).count(), ops(&Op::Mean)), (layers, means), "{id}");
        for batch in [Batch::Fixed(1), Batch::Fixed(2), Batch::Dynamic] {
            let file = model(&plain, &arrays(&plain), &Options { batch, ..Options::default() }).unwrap();
            assert_sound(id, &file);
            let last = file.graph.as_ref().unwrap().node.last().unwrap().op_type.as_deref();
            let rows = id == "efficientformer_l1" || batch != Batch::Fixed(1);
            assert_eq!(last, Some(if rows { "Gemm" } else { "Flatten" }), "{id}");
            assert_eq!(count(&file, "Gemm"), usize::from(rows), "{id}");
        }
    }
}

#[test]
fn published_networks_are_written() {
    for (_, info) in covering::variants() {
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
        let gone = |what: fn(&Branch) -> usize| folded.folded_from.values().map(what).sum::<usize>();
        let norms = |g: &Graph| g.histogram().get("batch_norm").copied().unwrap_or(0);
        // Those of vectors are parts of classifiers.
        let of_vectors = plain.nodes.iter().filter(|n| is_vector_norm(n)).count();
        assert_eq!(count(&unfused, "BatchNormalization"), norms(&plain) - of_vectors, "{id}");
        assert_eq!(count(&fused, "BatchNormalization"), norms(&plain) - of_vectors - gone(Branch::norms), "{id}");
        // Each convolution that was several leaves one.
        let several = gone(Branch::convs) - folded.folded_from.len();
        let ops = |wanted: fn(&Op) -> bool| plain.nodes.iter().filter(|n| wanted(&n.op)).count();
        assert_eq!(count(&fused, "Gelu"), ops(|o| *o == Op::Act(ActFn::Gelu)), "{id}");
        assert_eq!(count(&fused, "LayerNormalization"), ops(|o| matches!(o, Op::LayerNorm { .. })), "{id}");
        let softmax = |o: &Op| matches!(o, Op::Softmax | Op::Attention { .. });
        assert_eq!(count(&fused, "Softmax"), ops(softmax), "{id}");
        // A convolution of the encodings of positions is computed at export.
        let convs = ops(|o| matches!(o, Op::Conv { .. })) - ops(|o| *o == Op::Fourier);
        assert_eq!(count(&fused, "Conv"), convs - several, "{id}");
        assert_eq!(count(&unfused, "Conv"), convs, "{id}");
    }
}

/// The axes of the widest tensor of a file: only reshapes add axes.
fn axes(model: &Model) -> usize {
    let g = model.graph.as_ref().unwrap();
    let stored = |name: &str| g.initializer.iter().find(|t| t.name.as_deref() == Some(name)).unwrap();
    let shape = |name: &str| stored(name).dims.iter().product::<i64>() as usize;
    let of_node = |n: &proto::Node| match n.op_type.as_deref().unwrap() {
        "Reshape" => shape(&n.input[1]),
        "Unsqueeze" | "Tile" | "OneHot" => panic!("{:?} adds axes, too", n.op_type),
        _ => n.attribute.iter().filter(|a| a.name.as_deref() == Some("perm")).map(|a| a.ints.len()).max().unwrap_or(0),
    };
    g.node.iter().map(of_node).chain(g.initializer.iter().map(|t| t.dims.len())).max().unwrap()
}

#[test]
fn no_tensor_has_more_than_four_axes() {
    // Core ML's provider of ONNX Runtime, ncnn and onnx2tf refuse more or fail on them.
    for (_, info) in covering::variants() {
        let graph = fold_batch_norms(&graph(info.id)).graph;
        for batch in [Batch::Dynamic, Batch::Fixed(1)] {
            let file = model(&graph, &arrays(&graph), &Options { batch, ..Options::default() }).unwrap();
            assert!(axes(&file) <= 4, "{}: {} axes", info.id, axes(&file));
        }
    }
}

#[test]
fn for_one_image_heads_on_pooled_maps_are_convolutions() {
    for (family, info) in covering::variants() {
        let (id, plain) = (info.id, graph(info.id));
        let one = model(&plain, &arrays(&plain), &Options::default()).unwrap();
        assert_sound(id, &one);
        let pooled = |i: &u32| matches!(plain.nodes[*i as usize].op, Op::GlobalPool { keep: false });
        let of_map = |i: &u32| plain.nodes[plain.nodes[*i as usize].inputs[0] as usize].value.hw().is_some();
        let before_norm = |i: &u32| {
            let node = &plain.nodes[*i as usize];
            if is_vector_norm(node) { node.inputs[0] } else { *i }
        };
        let from = |n: &Node| n.inputs.first().map(before_norm).is_some_and(|i| pooled(&i) && of_map(&i));
        let head = |n: &Node| matches!(n.op, Op::Linear { .. }) && from(n);
        let averaged = |n: &&Node| n.op == Op::Mean && n.inputs.iter().all(|i| head(&plain.nodes[*i as usize]));
        // Of two whose mean is taken one is made.
        let heads = plain.nodes.iter().filter(|n| head(n)).count() - plain.nodes.iter().filter(averaged).count();
        let several =
            model(&plain, &arrays(&plain), &Options { batch: Batch::Fixed(2), ..Options::default() }).unwrap();
        assert_eq!(count(&one, "Conv"), count(&several, "Conv") + heads, "{id}");
        // A head without a bias is a product.
        let products = |m: &Model| count(m, "Gemm") + count(m, "MatMul");
        assert_eq!(products(&one) + heads, products(&several), "{id}");
        // The families whose last feature is rows, and those with another norm than of batches between the pooling and the head.
        let rows = ["efficientformer", "deit", "pit", "cait", "convit", "crossvit"];
        let normed = ["edgenext", "poolformer", "tiny_vit"];
        let is = |name: &&str| family.name().starts_with(name) && family.name() != "efficientformer_v2";
        assert_eq!(heads == 0, rows.iter().chain(&normed).any(is), "{id}");
    }
}

#[test]
fn float16_halves_the_file() {
    let g = fold_batch_norms(&graph("mobilenetv2_100")).graph;
    let size = |float16| write(&g, &arrays(&g), &Options { float16, ..Options::default() }).unwrap().len();
    assert!(size(true) * 10 < size(false) * 6, "{} and {}", size(true), size(false));
}

/// The bytes of a tensor of a file, and its type.
fn stored(bytes: &[u8], name: &str) -> (Vec<u8>, i32) {
    let model = proto::read(bytes).unwrap();
    let tensor = model.graph.unwrap().initializer.into_iter().find(|t| t.name.as_deref() == Some(name)).unwrap();
    (tensor.raw_data.unwrap(), tensor.data_type.unwrap())
}

#[test]
fn what_float16_cannot_hold_stays_in_float32() {
    let g = fold_batch_norms(&graph("mobilevit_xxs")).graph;
    let written = |name: &str, values: &[f32]| {
        let mut all = arrays(&g);
        let fill = all.get_mut(name).unwrap();
        let n = fill.len();
        fill.copy_from_slice(&values.iter().copied().cycle().take(n).collect::<Vec<_>>());
        write(&g, &all, &Options { float16: true, ..Options::default() }).unwrap()
    };
    // 65520 is the first number that rounds to infinity; 2^-14 is the smallest normal one.
    let [largest, beyond, smallest] = [65519.0, 65520.0, 2f32.powi(-14)];
    let whole: &[&[f32]] = &[&[largest, -largest], &[0.0, -0.0], &[smallest, 0.0], &[1.0, 1e-9]];
    for values in whole {
        let file = written("head.fc.bias", values);
        assert_eq!(float32_weights(&file).unwrap(), [""; 0], "{values:?}");
        assert_eq!(stored(&file, "head.fc.bias").1, proto::kind::FLOAT16);
    }
    for values in [[beyond, 0.0], [0.0, -1e30], [smallest * 0.99, 0.0], [-1e-9, 1e-9]] {
        let file = written("head.fc.bias", &values);
        assert_eq!(float32_weights(&file).unwrap(), ["head.fc.bias"], "{values:?}");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>().repeat(5);
        assert_eq!(stored(&file, "head.fc.bias"), (bytes, proto::kind::FLOAT));
        assert_eq!(stored(&file, "head.fc.weight.pixel").1, proto::kind::FLOAT16);
        assert_sound("mobilevit_xxs", &proto::read(&file).unwrap());
    }
    // A matrix that is stored transposed, and a convolution: the name in the file counts.
    let file = written("stages.2.1.transformer.0.mlp.fc1.weight", &[1e6]);
    assert_eq!(float32_weights(&file).unwrap(), ["stages.2.1.transformer.0.mlp.fc1.weight.transposed"]);
    let file = written("stem.conv.weight", &[1e6]);
    assert_eq!(float32_weights(&file).unwrap(), ["stem.conv.weight"]);
}

#[test]
fn weights_that_are_not_finite_are_refused_in_every_precision() {
    let g = fold_batch_norms(&graph("mobilevit_xxs")).graph;
    for (float16, value) in [(false, f32::NAN), (false, f32::INFINITY), (true, f32::NAN), (true, f32::NEG_INFINITY)] {
        let mut all = arrays(&g);
        all.get_mut("head.fc.bias").unwrap()[1] = value;
        let error = write(&g, &all, &Options { float16, ..Options::default() }).unwrap_err();
        assert_eq!(error, OnnxError::NotFinite { name: "head.fc.bias".into() });
    }
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
