//! Losses and detections in two stages against the reference, on networks with weights by a formula.

#[path = "../../../../space/heads/tests/common/rcnn.rs"]
mod rcnn;

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_dense::dataset::{ImageEntry, Object, Shape};
use mobilenas_dense::mask::Rle;
use mobilenas_dense::rcnn::{RcnnRules, Sampling};
use mobilenas_dense::{BBox, DenseLabel, DenseTarget, TargetBox};
use mobilenas_space::ir::ParamSpec;
use mobilenas_task::{DenseTargets, Instances, Outputs, Targets, Task as _};
use mobilenas_torch::{Formula, Mode, Net, NetError, Params, formula};
use serde_json::Value;
use tch::{Kind, Tensor};

struct Golden<'a>(&'a Value);

impl Params for Golden<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let scaled: BTreeMap<String, f64> = serde_json::from_value(self.0["scaled"].clone()).unwrap();
        let tensor = Formula::PLAIN.get(p)?;
        // A table of indices stays one of whole numbers.
        Ok(match scaled.iter().find(|(ending, _)| p.name.ends_with(*ending)) {
            Some((_, factor)) => tensor * *factor,
            None => tensor,
        })
    }
}

fn ellipse(b: &BBox, side: usize) -> Rle {
    let inside = |i: usize| {
        let part = |at: usize, from: f64, to: f64| ((2.0 * (at as f64 + 0.5) - from - to) / (to - from)).powi(2);
        u8::from(part(i / side, b.y1, b.y2) + part(i % side, b.x1, b.x2) < 1.0)
    };
    Rle::encode(&(0..side * side).map(inside).collect::<Vec<_>>(), side, side)
}

/// The objects of a golden, with ellipses as masks.
fn targets(g: &Value, side: usize) -> Targets {
    let images: Vec<Vec<[f64; 5]>> = serde_json::from_value(g["objects"].clone()).unwrap();
    let label = |(id, rows): (u64, Vec<[f64; 5]>)| {
        let one = |[class, x1, y1, x2, y2]: &[f64; 5]| TargetBox {
            bbox: BBox::new(*x1, *y1, *x2, *y2),
            class: *class as u32,
        };
        let boxes: Vec<TargetBox> = rows.iter().map(one).collect();
        let masks: Vec<Rle> = boxes.iter().map(|b| ellipse(&b.bbox, side)).collect();
        let object = |(b, mask): (&TargetBox, &Rle)| Object {
            shape: Some(Shape::Rle(mask.clone())),
            ..Object::of_box(b.bbox.xywh(), b.class)
        };
        let objects = boxes.iter().zip(&masks).map(object).collect();
        let entry =
            ImageEntry { id, path: "x.png".into(), width: side as u32, height: side as u32, objects, map: None };
        let target = DenseTarget { boxes, masks, map: None };
        Arc::new(DenseLabel { entry: Arc::new(entry), maps: None, target, whole: None })
    };
    let labels = (1..).zip(images).map(label).collect();
    Targets::Dense(DenseTargets { labels, size: (side, side), map: None })
}

fn outputs(g: &Value) -> (Outputs, usize) {
    let net = Net::bind(Arc::new(rcnn::graph(g)), &Golden(g)).unwrap().to_kind(Kind::Double).unwrap();
    let side = net.graph().input().dims[1];
    let x = formula::images(2, side).unwrap().to_kind(Kind::Double);
    (Outputs::run(&net, &x, Mode::Eval).unwrap(), side as usize)
}

/// All that is matched is trained on.
fn all_samples() -> RcnnRules {
    let all = |s: Sampling| Sampling { count: 1 << 40, ..s };
    let rules = RcnnRules::MMDETECTION;
    RcnnRules { anchor_samples: all(rules.anchor_samples), region_samples: all(rules.region_samples), ..rules }
}

#[test]
fn losses_are_the_references() {
    for g in rcnn::goldens() {
        let _guard = tch::no_grad_guard();
        let (outputs, side) = outputs(&g);
        let found = Instances { rules: all_samples() }.losses(&outputs, &targets(&g, side), 0.0).unwrap();
        let expected: Vec<f64> = serde_json::from_value(g["losses"]["parts"].clone()).unwrap();
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = found.double_value(&[]);
            assert!((found - expected).abs() <= 1e-9 * expected, "{} part {i}: {found} and {expected}", g["case"]);
        }
    }
}

#[test]
fn what_is_sampled_follows_from_the_image_and_the_outputs() {
    let g = rcnn::goldens().remove(0);
    let (outputs, side) = outputs(&g);
    let (task, targets) = (Instances { rules: RcnnRules::MMDETECTION }, targets(&g, side));
    let loss = || task.loss(&outputs, &targets, 0.0).unwrap().double_value(&[]);
    assert_eq!(loss(), loss());
    let without = task.example(2, (side, side)).unwrap();
    assert!(task.loss(&outputs, &without, 0.1).unwrap().double_value(&[]).is_finite());
    assert!(task.distill(&outputs, &outputs, mobilenas_task::Distillation::Alpha).is_err());
}

/// Images are judged by boxes and by masks; a network is not asked for masks of nothing.
#[test]
fn detections_have_masks() {
    let g = rcnn::goldens().remove(1);
    let (outputs, side) = outputs(&g);
    let task = Instances { rules: RcnnRules { per_image: 5, ..RcnnRules::MMDETECTION } };
    let found = task.detect(&outputs).unwrap();
    assert!(found.len() == 2 && found.iter().all(|f| (1..=5).contains(&f.instances.len())));
    let first = &found[0];
    let whole = first.mask(0, (side, side));
    let inside = first.instances[0].bbox;
    let around = whole.bbox();
    assert!(around.area() == 0.0 || around.x1 >= inside.x1 - 3.0 && around.y2 <= inside.y2 + 3.0);
    assert_eq!((first.mask(0, (40, 30)).width(), first.mask(0, (40, 30)).height()), (40, 30));
    let (mut meter, mut training) = (task.meter(), task.training_meter());
    meter.update(&outputs, &targets(&g, side)).unwrap();
    training.update(&outputs, &targets(&g, side)).unwrap();
    assert_eq!((meter.samples(), meter.values().len(), training.samples()), (2, 3, 2));
    let none = Instances { rules: RcnnRules { score_threshold: 1.0, ..RcnnRules::MMDETECTION } };
    assert!(none.detect(&outputs).unwrap().iter().all(|f| f.instances.is_empty()));
}
