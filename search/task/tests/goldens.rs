//! Losses, detections and overlaps against the references, on networks with weights by a formula.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../../space/heads/tests/common/mod.rs"]
mod common;
mod instances;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_dense::dataset::{ImageEntry, Object};
use mobilenas_dense::ssd::SsdRules;
use mobilenas_dense::{BBox, ClassMap, DenseLabel, DenseTarget, IGNORED, TargetBox};
use mobilenas_space::formula::noise;
use mobilenas_space::ir::ParamSpec;
use mobilenas_task::{DenseTargets, Detection, Outputs, Segmentation, Targets, Task};
use mobilenas_torch::{Formula, Mode, Net, NetError, Params, formula};
use serde_json::Value;
use tch::{Kind, Tensor};

/// The formula by a golden's names, times a factor for some endings of names.
struct Golden<'a>(&'a Value);

impl Params for Golden<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let name = common::name_in(self.0, &p.name);
        let scaled: BTreeMap<String, f64> = serde_json::from_value(self.0["scaled"].clone()).unwrap_or_default();
        let factor = scaled.iter().find(|(ending, _)| name.ends_with(*ending)).map(|(_, f)| *f);
        let made = Formula::PLAIN.get(&ParamSpec { name, ..p.clone() })?;
        Ok(factor.map_or_else(|| made.shallow_clone(), |f| &made * f))
    }
}

fn golden(case: &str) -> Value {
    common::goldens().into_iter().find(|g| g["case"] == case).unwrap()
}

fn outputs(g: &Value) -> (Outputs, u32) {
    let graph = Arc::new(common::plan(g, true).lower().unwrap());
    let net = Net::bind(graph, &Golden(g)).unwrap().to_kind(Kind::Double).unwrap();
    let side = net.graph().input().dims[1];
    let x = formula::images(2, side).unwrap().to_kind(Kind::Double);
    let heads = tch::no_grad(|| net.outputs(&x, Mode::Eval).unwrap());
    (Outputs::of(net.graph(), heads), side)
}

/// The made-up boxes of the goldens, in parts of the image, with labels that count from 1.
const BOXES: [&[([f64; 4], u32)]; 2] = [
    &[
        ([0.10, 0.15, 0.45, 0.60], 1),
        ([0.50, 0.50, 0.95, 0.90], 17),
        ([0.30, 0.32, 0.36, 0.41], 44),
        ([0.31, 0.32, 0.37, 0.42], 45),
    ],
    &[([0.02, 0.05, 0.98, 0.97], 63), ([0.60, 0.10, 0.64, 0.20], 80)],
];

fn label(id: u64, side: u32, target: DenseTarget, whole: Option<ClassMap>) -> Arc<DenseLabel> {
    let object = |b: &TargetBox| Object::of_box(b.bbox.xywh(), b.class);
    let objects = target.boxes.iter().map(object).collect();
    let entry = ImageEntry { id, path: "x.png".into(), width: side, height: side, objects, map: None };
    Arc::new(DenseLabel { entry: Arc::new(entry), maps: None, target, whole })
}

fn boxes(side: u32) -> Targets {
    let of = |(id, boxes): (u64, &[([f64; 4], u32)])| {
        let scaled = |v: &[f64; 4]| v.map(|v| v * f64::from(side));
        let one = |(v, label): &([f64; 4], u32)| {
            let [x1, y1, x2, y2] = scaled(v);
            TargetBox { bbox: BBox::new(x1, y1, x2, y2), class: label - 1 }
        };
        label(id, side, DenseTarget { boxes: boxes.iter().map(one).collect(), ..DenseTarget::default() }, None)
    };
    let labels = (1..).zip(BOXES).map(of).collect();
    Targets::Dense(DenseTargets { labels, size: (side as usize, side as usize), map: None })
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found} and {expected}");
}

/// `make_dense_goldens.py`'s totals.
#[test]
fn losses_of_detectors_are_the_references() {
    for (case, rules, total) in [
        ("ssdlite/mobilevit_xxs", SsdRules::Cvnets, 340.614512477),
        ("ssdlite/mobilevitv2_050", SsdRules::Cvnets, 88.78277940266),
        ("ssdlite/torchvision_mobilenet_v3_large", SsdRules::Torchvision, 10.80265332802 + 81.71047061516),
    ] {
        let (outputs, side) = outputs(&golden(case));
        let task = Detection { rules };
        let loss = task.loss(&outputs, &boxes(side), 0.0).unwrap().double_value(&[]);
        near(loss, total, case);
        // A network that is its own teacher has nothing to learn of boxes, and the entropy of its classes.
        let heads: Vec<Tensor> = outputs.heads.iter().map(|t| t.detach().set_requires_grad(true)).collect();
        let student = Outputs { heads, graph: outputs.graph.clone(), regions: None };
        let how = mobilenas_task::Distillation::Soft { temperature: 1.0 };
        task.distill(&student, &outputs, how).unwrap().backward();
        assert!(student.heads.iter().all(|t| t.grad().abs().max().double_value(&[]) < 1e-9), "{case}");
    }
}

/// Offsets and classes as they should be give the boxes, and an average precision of 100 %.
#[test]
fn a_perfect_detector_finds_everything() {
    let (outputs, side) = outputs(&golden("ssdlite/mobilevit_xxs@96"));
    let task = Detection { rules: SsdRules::Cvnets };
    let targets = boxes(side);
    let Targets::Dense(dense) = &targets else { panic!() };
    let graph = outputs.graph.clone().unwrap();
    let maps = mobilenas_heads::map_sizes(&graph).into_iter().map(|(h, w)| (h as usize, w as usize));
    let assigner = task.rules.assigner(&maps.collect::<Vec<_>>()).unwrap();
    let n = assigner.anchors().len() as i64;
    let (mut offsets, mut labels) = (Vec::new(), Vec::new());
    for label in dense.labels.iter() {
        let assigned = assigner.assign(&label.target.boxes, dense.size);
        offsets.extend(assigned.offsets);
        labels.extend(assigned.labels);
    }
    let boxes = Tensor::from_slice(&offsets).view([2, n, 4]);
    let scores = Tensor::from_slice(&labels).view([2, n]).one_hot(81).to_kind(Kind::Double) * 20.0;
    let perfect = Outputs::of(&graph, vec![boxes, scores]);
    let mut meter = task.meter();
    meter.update(&perfect, &targets).unwrap();
    assert!(meter.samples() == 2 && meter.values().iter().all(|v| *v > 100.0 - 1e-9), "{:?}", meter.values());
    let mut training = task.training_meter();
    training.update(&perfect, &targets).unwrap();
    assert_eq!(training.values(), [100.0]);
    assert!(task.loss(&perfect, &targets, 0.0).unwrap().double_value(&[]) < 1e-5);
    // The networks' own outputs, beside them in one set.
    let mut other = task.meter();
    other.update(&outputs, &targets).unwrap();
    meter.merge(other.as_ref());
    assert_eq!(meter.samples(), 2, "images of the same ids are the same images");
}

fn segmentation(case: &str, align_corners: bool, expected: f64) {
    let g = golden(case);
    let (outputs, side) = outputs(&g);
    let classes = g["classes"].as_u64().unwrap() as f64;
    let numbers = noise("mask", 2 * (side * side) as usize);
    let class = |v: f64| {
        let class = ((v + 1.0) / 2.0 * (classes + 1.0)).floor();
        if class == classes { IGNORED } else { class as u8 }
    };
    let all: Vec<u8> = numbers.map(class).collect();
    let map = |part: &[u8]| ClassMap { width: side as usize, height: side as usize, labels: part.to_vec() };
    let labels = all
        .chunks((side * side) as usize)
        .map(|part| label(1, side, DenseTarget { map: Some(map(part)), ..DenseTarget::default() }, Some(map(part))));
    let (labels, s) = (labels.collect(), i64::from(side));
    let map = Tensor::from_slice(&all).to_kind(Kind::Int64).view([2, s, s]);
    let targets = Targets::Dense(DenseTargets { labels, size: (side as usize, side as usize), map: Some(map) });
    let task = Segmentation { align_corners };
    near(task.loss(&outputs, &targets, 0.0).unwrap().double_value(&[]), expected, case);
    let (mut meter, mut training) = (task.meter(), task.training_meter());
    meter.update(&outputs, &targets).unwrap();
    training.update(&outputs, &targets).unwrap();
    // At their own size the images' accuracy is that of the batch.
    assert!((meter.values()[1] - training.values()[0]).abs() < 1e-9);
    let how = mobilenas_task::Distillation::Soft { temperature: 1.0 };
    let heads: Vec<Tensor> = outputs.heads.iter().map(|t| t.detach().set_requires_grad(true)).collect();
    let student = Outputs { heads, graph: None, regions: None };
    task.distill(&student, &outputs, how).unwrap().backward();
    assert!(student.heads[0].grad().abs().max().double_value(&[]) < 1e-12, "{case}");
}

#[test]
#[ignore = "takes a minute: networks of 5 to 24 G MACs in double precision"]
fn losses_of_segmentation_on_large_images_are_the_references() {
    segmentation("deeplabv3/mobilevit_xxs", false, 11.7410389703);
    segmentation("pspnet/mobilevitv2_050", true, 4.432748366644 + 0.4 * 5.099173896004);
    segmentation("semantic_fpn/efficientformerv2_s0", false, 212.0584540031);
}
