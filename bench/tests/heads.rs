//! ONNX files of networks with heads on ONNX Runtime: their named outputs are libtorch's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mobilenas_bench::engine::onnxruntime::File;
use mobilenas_bench::engine::{self, Setting};
use mobilenas_heads::{BACKBONE, HeadOptions, attach, detections, head};
use mobilenas_onnx::{Batch, Detections, Options};
use mobilenas_space::families;
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_space::latency_key;
use mobilenas_task::{Detection, Outputs};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Formula, Mode, Net, NetError, Params, formula};
use tch::{Device, Kind, Tensor};

/// Backbone, head, side of the image and output stride.
const NETWORKS: [(&str, &str, u32, Option<u32>); 6] = [
    ("mobilevit_xxs", "ssdlite", 96, None),
    ("mobilenetv2_100", "ssdlite", 96, None),
    ("mobilevitv2_050", "deeplabv3", 96, Some(8)),
    ("mobilevitv2_050", "pspnet", 128, Some(16)),
    ("mobilevitv2_050", "pspnet", 96, Some(16)),
    ("efficientformer_l1", "semantic_fpn", 64, None),
];

fn graph((id, name, side, output_stride): (&str, &str, u32, Option<u32>)) -> Graph {
    let head = head(name).unwrap();
    let options = HeadOptions { output_stride, auxiliary: true, ..HeadOptions::new(head.classes()) };
    attach(head, families::plan(id, Some(side), 10).unwrap(), &options).unwrap().lower().unwrap()
}

/// What ONNX Runtime gives, by name.
fn given(net: &Net, batch: Batch, x: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let bytes = to_onnx(net, &Options { batch, ..Options::default() }).unwrap();
    let (mut file, mut found) = (File::load(&bytes, 1).unwrap(), BTreeMap::new());
    file.outputs(x, |name, values| drop(found.insert(name.to_string(), values.to_vec()))).unwrap();
    found
}

#[test]
fn named_outputs_are_libtorchs() {
    let _guard = tch::no_grad_guard();
    for network in NETWORKS {
        let plain = Net::bind(Arc::new(graph(network)), &Formula::PLAIN).unwrap();
        let frozen = plain.freeze().unwrap();
        for (net, batch, n) in
            [(&plain, Batch::Dynamic, 2), (&frozen, Batch::Dynamic, 3), (&frozen, Batch::Fixed(1), 1)]
        {
            let x = formula::images(n, network.2).unwrap();
            let found = given(net, batch, &x);
            let expected = net.outputs(&x, Mode::Eval).unwrap();
            assert_eq!(found.len(), expected.len(), "{network:?}");
            for (output, expected) in net.graph().outputs.iter().zip(expected) {
                let ours = Tensor::from_slice(&found[output.name]);
                let expected = expected.contiguous().view([-1]);
                let off = ((ours - &expected).norm() / expected.norm()).double_value(&[]);
                assert!(off <= 1e-5, "{network:?} {batch:?} {}: off by {off:.1e}", output.name);
            }
        }
    }
}

/// A block that stands alone reads as many values as it did in its network; all engines that take several agree.
#[test]
fn blocks_that_read_several_values_run_alone() {
    let _guard = tch::no_grad_guard();
    let mut kinds = BTreeSet::new();
    for network in [NETWORKS[0], NETWORKS[5]] {
        for block in latency_key::blocks(&graph(network)).into_iter().filter(|b| b.inputs().count() > 1) {
            let kind = block.blocks[0].kind;
            kinds.insert(kind);
            let net = Net::bind(Arc::new(block), &Formula::PLAIN).unwrap();
            let mut sizes = (1i64..).zip(net.graph().inputs());
            let values: Vec<Tensor> = sizes
                .by_ref()
                .map(|(i, value)| {
                    let size: Vec<i64> = [2].into_iter().chain(value.dims.iter().map(|d| i64::from(*d))).collect();
                    let count: i64 = size.iter().product();
                    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * i).sin().view(&size[..])
                })
                .collect();
            let expected = net.forward_all(&values, Mode::Eval).unwrap();
            for engine in ["libtorch", "libtorch-plain", "onnxruntime"] {
                let engine = engine::named(engine).unwrap();
                assert!(engine.takes_several());
                let mut session = engine.prepare(&net, Setting { batch: 2, threads: 1 }).unwrap();
                let found = session.run_block(&values).unwrap();
                let off = ((found - &expected).norm() / expected.norm()).double_value(&[]);
                assert!(off <= 1e-5, "{kind} on {}: off by {off:.1e}", engine.name());
                let few = session.run_block(&values[..1]);
                assert!(few.is_err(), "{kind} on {}: one value is too few", engine.name());
            }
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["fpn_classifier", "fpn_lateral", "ssd_rows"]);
}

/// A network that waits for regions is written part by part, and each part is a network.
#[test]
fn parts_of_a_network_are_files() {
    let _guard = tch::no_grad_guard();
    let head = head("mask_rcnn").unwrap();
    let options = HeadOptions { width: Some(16), ..HeadOptions::new(5) };
    let plan = attach(head, families::plan("mobilenetv2_100", Some(64), 10).unwrap(), &options).unwrap();
    let whole = plan.lower().unwrap();
    assert!(to_onnx(&Net::bind(Arc::new(whole.clone()), &Formula::PLAIN).unwrap(), &Options::default()).is_err());
    for (part, x) in whole.parts().into_iter().zip([[2, 3, 64, 64], [3, 16, 7, 7], [4, 16, 14, 14]]) {
        let net = Net::bind(Arc::new(part), &Formula::PLAIN).unwrap().freeze().unwrap();
        let x = (Tensor::arange(x.iter().product::<i64>(), (tch::Kind::Float, tch::Device::Cpu)) * 0.7).sin().view(x);
        let found = given(&net, Batch::Dynamic, &x);
        let expected = net.outputs(&x, Mode::Eval).unwrap();
        assert_eq!(found.len(), expected.len());
        for (output, expected) in net.graph().outputs.iter().zip(expected) {
            let ours = Tensor::from_slice(&found[output.name]);
            let expected = expected.contiguous().view([-1]);
            let off = ((ours - &expected).norm() / expected.norm()).double_value(&[]);
            assert!(off <= 1e-5, "{}: off by {off:.1e}", output.name);
        }
    }
}

/// The formula, with smaller weights in the head: probabilities are neither 0 nor 1 and differ from anchor to anchor.
struct Small;

impl Params for Small {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let in_head = !p.name.starts_with(BACKBONE) && p.name.ends_with("weight") && p.shape().len() > 1;
        (Formula { gain: if in_head { 0.3 } else { 1.0 } }).get(p)
    }
}

/// Corners, score and label of each detection: what ONNX Runtime gives.
fn detected(bytes: &[u8], x: &Tensor) -> Vec<[f32; 6]> {
    let (mut file, mut found) = (File::load(bytes, 1).unwrap(), BTreeMap::new());
    file.outputs(x, |name, values| drop(found.insert(name.to_string(), values.to_vec()))).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["boxes", "labels", "scores"]);
    let rows = found["boxes"].as_chunks::<4>().0.iter().zip(&found["scores"]).zip(&found["labels"]);
    rows.map(|(([x1, y1, x2, y2], score), label)| [*x1, *y1, *x2, *y2, *score, *label]).collect()
}

/// Detections of a file that decodes are those of `predict`: as many, of the same classes. Scores that are equal but for
/// rounding may change places, also with the first one that is left out.
#[test]
fn detections_in_the_file_are_those_of_predict() {
    let _guard = tch::no_grad_guard();
    let networks = [("mobilevit_xxs", "ssdlite", 320), ("mobilenetv3_large_100", "ssdlite320", 224)];
    for (id, name, side) in networks {
        let frozen = Net::bind(Arc::new(graph((id, name, side, None))), &Small).unwrap().freeze().unwrap();
        let rules = head(name).unwrap().ssd_rules().unwrap();
        let x = formula::images(1, side).unwrap();
        let outputs = Outputs::of(frozen.graph(), frozen.outputs(&x, Mode::Eval).unwrap());
        let expected = Detection { rules }.detect(&outputs).unwrap().remove(0);
        let how = detections(rules, frozen.graph()).unwrap();
        assert!(expected.len() > 20, "{name}: {} detections", expected.len());
        let bytes = |how| to_onnx(&frozen, &Options { detections: Some(how), ..Options::default() }).unwrap();
        let found = detected(&bytes(how.clone()), &x);
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(found.is_sorted_by(|a, b| a[4] >= b[4]), "{name}: the best come first");
        let last = found.last().unwrap()[4];
        for one in expected.iter().filter(|one| one.score as f32 > last + 1e-5) {
            let [x1, y1, x2, y2] = one.bbox.clipped(1.0, 1.0).xyxy().map(|v| v as f32);
            let expected = [x1, y1, x2, y2, one.score as f32, one.label as f32];
            let off = |f: &[f32; 6]| f.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let nearest = found.iter().map(off).fold(f32::MAX, f32::min);
            assert!(nearest <= 1e-4, "{name}: nothing is {expected:?}, the nearest is {nearest} off");
        }
        let none = Detections { score_threshold: 1.0, ..how };
        assert_eq!(detected(&bytes(none), &x), [[0.0; 6]; 0], "{name}: nothing is found");
    }
}
