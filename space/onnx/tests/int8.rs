//! int8 ONNX files of published networks: what is quantized, and how it is stored.

use crate::common;
use crate::covering;

use std::collections::{BTreeMap, HashSet};
use std::mem::discriminant;

use common::{arrays, assert_sound};
use mobilenas_onnx::int8::{Int8Exporter, ValueRange};
use mobilenas_onnx::proto::{Model, Node, Tensor, kind};
use mobilenas_onnx::{Batch, OnnxError, Options, write};
use mobilenas_space::ir::{Graph, fold_batch_norms};

fn graph(id: &str) -> Graph {
    fold_batch_norms(&common::graph(id)).graph
}

fn ranges(int8: &Int8Exporter) -> BTreeMap<String, ValueRange> {
    int8.calibrated_values().map(|v| (v.to_string(), ValueRange { low: -1.0, high: 4.0 })).collect()
}

fn int8(id: &str, batch: Batch) -> (Int8Exporter, Model) {
    let g = graph(id);
    let int8 = Int8Exporter::new(&g, &arrays(&g), &Options { batch, ..Options::default() }).unwrap();
    let model = int8.model(&ranges(&int8)).unwrap();
    (int8, model)
}

/// The nodes of a model, with makers and readers of values.
struct View<'m> {
    nodes: &'m [Node],
    tensors: BTreeMap<&'m str, &'m Tensor>,
}

impl<'m> View<'m> {
    fn of(model: &'m Model) -> View<'m> {
        let graph = model.graph.as_ref().unwrap();
        let tensors = graph.initializer.iter().map(|t| (t.name.as_deref().unwrap(), t)).collect();
        View { nodes: &graph.node, tensors }
    }

    fn op(node: &Node) -> &str {
        node.op_type.as_deref().unwrap()
    }

    fn maker(&self, value: &str) -> Option<&'m Node> {
        self.nodes.iter().find(|n| n.output[0] == value)
    }

    fn readers(&self, value: &str) -> Vec<&'m Node> {
        self.nodes.iter().filter(|n| n.input.iter().any(|v| v == value)).collect()
    }

    fn all(&self, op: &str) -> Vec<&'m Node> {
        self.nodes.iter().filter(|n| View::op(n) == op).collect()
    }

    /// The tensor that a `DequantizeLinear` reads to make a value.
    fn stored(&self, value: &str) -> &'m Tensor {
        let node = self.maker(value).unwrap();
        assert_eq!(View::op(node), "DequantizeLinear");
        self.tensors[node.input[0].as_str()]
    }
}

/// A layer reads a quantized input, int8 weights with a scale per output channel, and int32 biases at the scale of the products.
fn layer_is_quantized(id: &str, view: &View, node: &Node, axis: usize) {
    let x = view.maker(&node.input[0]).unwrap();
    assert_eq!(View::op(x), "DequantizeLinear", "{id}: {:?}", node.name);
    let weights = view.stored(&node.input[1]);
    assert_eq!(weights.data_type, Some(kind::INT8));
    let scales = view.tensors[view.maker(&node.input[1]).unwrap().input[1].as_str()];
    assert_eq!(scales.dims, [weights.dims[axis]], "{id}: {:?} has no scale for each channel", node.name);
    let floats = |t: &Tensor| -> Vec<f32> {
        t.raw_data.as_ref().unwrap().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let step = floats(view.tensors[x.input[1].as_str()])[0];
    if let Some(bias) = node.input.get(2) {
        assert_eq!(view.stored(bias).data_type, Some(kind::INT32));
        let steps = floats(view.tensors[view.maker(bias).unwrap().input[1].as_str()]);
        let products: Vec<f32> = floats(scales).iter().map(|s| step * s).collect();
        assert_eq!(steps, products, "{id}: {:?}", node.name);
    }
}

#[test]
fn every_layer_of_published_networks_is_quantized() {
    let mut seen = HashSet::new();
    for (family, info) in covering::variants() {
        let (id, first) = (info.id, family.variants()[0].id == info.id);
        // Any number of images for a family's first variant, and for those that bring an operation.
        let new = graph(id).nodes.iter().filter(|n| seen.insert(discriminant(&n.op))).count() > 0;
        for batch in [Batch::Fixed(1), Batch::Dynamic].into_iter().take(if first || new { 2 } else { 1 }) {
            let (int8, model) = int8(id, batch);
            assert_sound(id, &model);
            let view = View::of(&model);
            let (convs, gemms) = (view.all("Conv"), view.all("Gemm"));
            assert_eq!(int8.layers(), [convs.len() + gemms.len(); 2], "{id}");
            for (nodes, axis) in [(&convs, 0), (&gemms, 1)] {
                nodes.iter().for_each(|n| layer_is_quantized(id, &view, n, axis));
            }
            for conv in convs {
                // The runtime has no integer convolution with float results.
                let mut next = view.readers(&conv.output[0]);
                if let [clip] = next[..]
                    && matches!(View::op(clip), "Relu" | "Clip")
                {
                    next = view.readers(&clip.output[0]);
                }
                assert!(matches!(next[..], [q] if View::op(q) == "QuantizeLinear"), "{id}: {:?}", conv.name);
            }
            // No matrix product with a layer's weights stays in floats. Vectors of places are a table, as attention biases
            // are: the runtime has no integer product with another matrix for each place.
            let weighted = |n: &&Node| n.input.iter().any(|v| view.tensors.contains_key(v.as_str()));
            let products = view.all("MatMul").into_iter().filter(weighted);
            let other = |v: &String| v.starts_with("resize.") || v.ends_with(".by_place");
            assert!(products.map(|n| &n.input[1]).all(other), "{id}");
        }
    }
}

#[test]
fn moved_values_keep_their_scale() {
    let mut checked = 0;
    for (_, info) in covering::variants() {
        let (_, model) = int8(info.id, Batch::Fixed(1));
        let view = View::of(&model);
        for node in view.all("Reshape").into_iter().chain(view.all("Transpose")) {
            let (from, to) = (view.maker(&node.input[0]), view.readers(&node.output[0]));
            if let (Some(from), [to]) = (from, &to[..])
                && (View::op(from), View::op(to)) == ("DequantizeLinear", "QuantizeLinear")
            {
                assert_eq!(from.input[1..], to.input[1..], "{}: {:?}", info.id, node.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "no value is moved between two layers");
}

#[test]
fn sums_between_convolutions_are_quantized_and_sums_before_norms_are_not() {
    let pairs = |id: &str| {
        let (_, model) = int8(id, Batch::Fixed(1));
        let view = View::of(&model);
        let whole = |n: &&Node| {
            let dequantized = |v: &String| view.maker(v).is_some_and(|m| View::op(m) == "DequantizeLinear");
            n.input.iter().all(dequantized)
        };
        let sums = view.all("Add");
        (sums.iter().filter(|n| whole(n)).count(), sums.len())
    };
    // MobileNetV2: ten residuals between convolutions. DeiT: every residual is read by a norm.
    assert_eq!(pairs("mobilenetv2_100"), (10, 10));
    assert_eq!(pairs("deit_tiny_patch16_224").0, 0);
}

#[test]
fn channel_scales_are_folded_into_the_weights() {
    for id in ["efficientformer_l1", "efficientformerv2_s0"] {
        let g = graph(id);
        let scales = common::graph(id).histogram()["channel_scale"];
        let (_, model) = int8(id, Batch::Fixed(1));
        let left = model.graph.unwrap().initializer;
        let left = left.iter().filter(|t| t.name.as_deref().unwrap().ends_with(".gamma")).count();
        // Those after EfficientFormer's pooling follow a difference, and stay.
        let poolings = g.histogram().get("sub").copied().unwrap_or(0);
        assert!(scales > poolings && left == poolings, "{id}: {left} of {scales} left, {poolings} poolings");
    }
}

#[test]
fn the_file_is_little_more_than_a_quarter() {
    let g = graph("mobilenetv2_100");
    let float = write(&g, &arrays(&g), &Options::default()).unwrap().len();
    let (int8, _) = int8("mobilenetv2_100", Batch::Fixed(1));
    let whole = int8.write(&ranges(&int8)).unwrap().len();
    assert!(whole * 100 < float * 30, "{whole} and {float}");
}

#[test]
fn what_cannot_be_written_is_named() {
    let g = graph("mobilevit_xxs");
    let half = Options { float16: true, ..Options::default() };
    assert_eq!(Int8Exporter::new(&g, &arrays(&g), &half).unwrap_err(), OnnxError::TwoPrecisions);
    let (int8, _) = int8("mobilevit_xxs", Batch::Fixed(1));
    let mut some = ranges(&int8);
    some.insert("images".into(), ValueRange { low: 0.0, high: f32::INFINITY });
    let said = int8.write(&some).unwrap_err().to_string();
    assert_eq!(said, "range of images: 0 to inf, expected finite numbers from calibration images");
    some.remove("images");
    let said = int8.write(&some).unwrap_err().to_string();
    assert_eq!(said, "range of images: NaN to NaN, expected finite numbers from calibration images");
    let mut bad = arrays(&g);
    bad.get_mut("stem.conv.weight").unwrap()[7] = f32::NAN;
    let said = Int8Exporter::new(&g, &bad, &Options::default()).unwrap_err().to_string();
    assert_eq!(said, "stem.conv.weight: weights or biases that are not finite, expected finite ones");
}
