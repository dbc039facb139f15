//! Anchors, matches, hard negatives, detections and mean intersection over union against the references, as
//! `make_ssd.py` wrote them.

use mobilenas_dense::metrics::ConfusionMatrix;
use mobilenas_dense::ssd::{AnchorConfig, Coder, Detection, DetectionConfig, Matcher, hard_negatives};
use mobilenas_dense::{BBox, CenterBox};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/ssd.json")).unwrap()
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn wholes(v: &Value) -> Vec<usize> {
    floats(v).into_iter().map(|n| n as usize).collect()
}

fn boxes(v: &Value) -> Vec<BBox> {
    floats(v).chunks(4).map(|b| BBox::new(b[0], b[1], b[2], b[3])).collect()
}

fn maps(f: &Value) -> Vec<(usize, usize)> {
    f["maps"].as_array().unwrap().iter().map(|m| (wholes(m)[0], wholes(m)[1])).collect()
}

/// The sum, the length and 64 values of a tensor as the goldens tell it.
fn assert_told(values: &[f64], told: &Value, tolerance: f64) {
    let count: usize = wholes(&told["shape"]).iter().product();
    assert_eq!(values.len(), count);
    for (j, at) in floats(&told["at"]).into_iter().enumerate() {
        let i = (2_654_435_761 * j + 97) % count;
        assert!((values[i] - at).abs() <= tolerance, "value {i}: {} and {at}", values[i]);
    }
    let near = |found: f64, key: &str| {
        let expected = told[key].as_f64().unwrap();
        assert!((found - expected).abs() <= tolerance * count as f64, "{key}: {found} and {expected}");
    };
    near(values.iter().sum(), "sum");
    near(values.iter().map(|v| v * v).sum::<f64>().sqrt(), "l2");
}

fn flat(boxes: impl IntoIterator<Item = [f64; 4]>) -> Vec<f64> {
    boxes.into_iter().flatten().collect()
}

/// The made-up truths of the goldens, image by image: boxes and labels.
fn truths(f: &Value) -> Vec<(Vec<BBox>, Vec<usize>)> {
    let of = |image: &Value| {
        let rows: Vec<Vec<f64>> = image.as_array().unwrap().iter().map(floats).collect();
        let boxes = rows.iter().map(|r| BBox::new(r[0], r[1], r[2], r[3])).collect();
        (boxes, rows.iter().map(|r| r[4] as usize).collect())
    };
    f["goldens"]["boxes"].as_array().unwrap().iter().map(of).collect()
}

fn corners(anchors: &[CenterBox]) -> Vec<BBox> {
    anchors.iter().map(CenterBox::corners).collect()
}

/// An anchor in pixels of 320 with torchvision's roundings: centres and sides are in float32, whatever the net is in.
fn in_float32(a: &CenterBox) -> BBox {
    let [cx, cy, w, h] = [a.cx, a.cy, a.w, a.h].map(|v| f64::from(v as f32));
    CenterBox { cx, cy, w, h }.corners().scaled(320.0, 320.0)
}

const MAPS_AT_320: [(usize, usize); 6] = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)];

#[test]
fn anchors_and_matches_of_the_goldens() {
    let f = fixture();
    let golden = &f["goldens"]["cvnets"];
    let anchors = AnchorConfig::cvnets().anchors(&MAPS_AT_320).unwrap();
    assert_told(&flat(anchors.iter().map(|a| [a.cx, a.cy, a.w, a.h])), &golden["anchors"], 1e-12);
    let clipped = anchors.iter().filter(|a| a.w == 1.0 || a.h == 1.0).count();
    assert_eq!(clipped, golden["anchors_clipped"].as_f64().unwrap() as usize);
    let (mut labels, mut offsets, mut positives) = (Vec::new(), Vec::new(), Vec::new());
    for (boxes, of) in truths(&f) {
        let matches = Matcher::CVNETS.matches(&boxes, &corners(&anchors));
        labels.extend(matches.iter().map(|m| m.map_or(0.0, |i| of[i] as f64)));
        positives.push(matches.iter().flatten().count());
        let matched = anchors.iter().zip(&matches).filter_map(|(a, m)| m.map(|i| Coder::CVNETS.encode(&boxes[i], a)));
        offsets.extend(matched);
    }
    assert_eq!(positives, wholes(&golden["positives"]));
    assert_told(&labels, &golden["target_labels"], 1e-9);
    assert_told(&flat(offsets), &golden["target_boxes_of_positives"], 1e-10);
}

#[test]
fn torchvisions_anchors_and_matches_of_the_goldens() {
    let f = fixture();
    let golden = &f["goldens"]["torchvision"];
    let anchors = AnchorConfig::torchvision().anchors(&MAPS_AT_320).unwrap();
    let rounded: Vec<BBox> = anchors.iter().map(in_float32).collect();
    assert_told(&flat(rounded.iter().map(BBox::xyxy)), &golden["anchors_xyxy_pixels"], 1e-9);
    // Among anchors of one shape around a small box the rounding decides.
    let far = |(a, b): (&CenterBox, &BBox)| a.corners().scaled(320.0, 320.0).x1 - b.x1;
    assert!(anchors.iter().zip(&rounded).all(|pair| far(pair).abs() < 1e-4));
    let of = |b: &[BBox]| {
        let pixels: Vec<BBox> = b.iter().map(|b| b.scaled(320.0, 320.0)).collect();
        Matcher::TORCHVISION.matches(&pixels, &rounded).iter().flatten().count()
    };
    let positives: Vec<usize> = truths(&f).iter().map(|(boxes, _)| of(boxes)).collect();
    assert_eq!(positives, wholes(&golden["positives"]));
}

fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(logits.len());
    for row in logits.chunks(classes) {
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|v| (v - highest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        out.extend(powers.iter().map(|p| p / sum));
    }
    out
}

/// The same boxes in the same order; numbers as near as two ways of computing them in float64 are.
fn assert_found(found: &[Detection], told: &Value) {
    assert_eq!(found.iter().map(|d| d.label).collect::<Vec<_>>(), wholes(&told["labels"]));
    let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-10 * b.abs().max(1.0), "{a} and {b}");
    found.iter().zip(floats(&told["scores"])).for_each(|(d, s)| near(d.score, s));
    flat(found.iter().map(|d| d.bbox.xyxy())).into_iter().zip(floats(&told["boxes"])).for_each(|(a, b)| near(a, b));
    assert!(!found.is_empty());
}

fn cut() -> DetectionConfig {
    DetectionConfig {
        score_threshold: 0.05,
        candidates_per_class: Some(12),
        nms_iou: 0.45,
        per_class: None,
        per_image: Some(20),
    }
}

#[test]
fn cvnets_cases() {
    let f = fixture();
    let (maps, classes) = (maps(&f), wholes(&Value::from(vec![f["classes"].clone()]))[0]);
    let mut config = AnchorConfig::cvnets();
    config.scales.truncate(maps.len() + 1);
    config.ratios.truncate(maps.len());
    let anchors = config.anchors(&maps).unwrap();
    for case in f["cases"].as_array().unwrap() {
        let (truth, labels) = (boxes(&case["boxes"]), wholes(&case["labels"]));
        let matches = Matcher::CVNETS.matches(&truth, &corners(&anchors));
        let found: Vec<usize> = matches.iter().map(|m| m.map_or(0, |i| labels[i])).collect();
        assert_eq!(found, wholes(&case["target_labels"]));
        let matched = anchors.iter().zip(&matches).filter_map(|(a, m)| m.map(|i| Coder::CVNETS.encode(&truth[i], a)));
        let expected = floats(&case["target_offsets_of_positives"]);
        let offsets = flat(matched);
        assert_eq!(offsets.len(), expected.len());
        assert!(offsets.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10));

        let logits = floats(&case["logits"]);
        let scores = softmax(&logits, classes);
        let hardness: Vec<f64> = scores.chunks(classes).map(|row| -row[0].ln()).collect();
        let positive: Vec<bool> = matches.iter().map(Option::is_some).collect();
        let negatives = hard_negatives(&positive, &hardness, 3);
        let chosen: Vec<usize> = (0..negatives.len()).filter(|i| negatives[*i]).collect();
        assert_eq!(chosen, wholes(&case["negatives"]));

        let offsets = floats(&case["offsets"]);
        let decode = |(o, a): (&[f64], &CenterBox)| Coder::CVNETS.decode([o[0], o[1], o[2], o[3]], a);
        let decoded: Vec<BBox> = offsets.chunks(4).zip(&anchors).map(decode).collect();
        let expected = floats(&case["decoded"]);
        assert!(flat(decoded.iter().map(BBox::xyxy)).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10));
        assert_found(&cut().detect(&scores, classes, &decoded), &case["cvnets"]);
        let first = DetectionConfig { candidates_per_class: None, per_class: Some(4), per_image: None, ..cut() };
        assert_found(&first.detect(&scores, classes, &decoded), &case["cvnets_v01"]);
    }
}

#[test]
fn torchvision_cases() {
    let f = fixture();
    let (classes, mut seen) = (6, 0);
    for case in f["cases"].as_array().unwrap().iter().filter(|c| c.get("torchvision").is_some()) {
        let told = &case["torchvision"];
        // In pixels of an image of 200 x 100.
        let anchors: Vec<CenterBox> = boxes(&told["anchors"]).into_iter().map(CenterBox::from).collect();
        let truth: Vec<BBox> = boxes(&case["boxes"]).iter().map(|b| b.scaled(200.0, 100.0)).collect();
        let matches = Matcher::TORCHVISION.matches(&truth, &boxes(&told["anchors"]));
        let expected: Vec<f64> = floats(&told["matches"]);
        assert_eq!(matches.iter().map(|m| m.map_or(-1.0, |i| i as f64)).collect::<Vec<_>>(), expected);
        let (logits, offsets) = (floats(&case["logits"]), floats(&case["offsets"]));
        let coder = Coder::torchvision();
        let decode = |(o, a): (&[f64], &CenterBox)| coder.decode([o[0], o[1], o[2], o[3]], a).clipped(200.0, 100.0);
        let decoded: Vec<BBox> = offsets.chunks(4).zip(&anchors).map(decode).collect();
        let scores = softmax(&logits[..anchors.len() * classes], classes);
        assert_found(&cut().detect(&scores, classes, &decoded), &told["detections"]);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// The reference adds in another order: 150 numbers below 1 differ by less than 150 roundings.
#[test]
fn mean_iou_is_over_the_whole_set() {
    for case in fixture()["class_maps"].as_array().unwrap() {
        let maps = |key: &str| -> Vec<Vec<u8>> {
            case[key].as_array().unwrap().iter().map(|m| wholes(m).into_iter().map(|l| l as u8).collect()).collect()
        };
        let mut matrix = ConfusionMatrix::new(case["classes"].as_f64().unwrap() as usize);
        for (guess, truth) in maps("guess").iter().zip(maps("truth")) {
            let mut one = ConfusionMatrix::new(matrix.iou().len());
            one.update(guess, &truth, 255).unwrap();
            matrix.merge(&one);
        }
        let near =
            |found: Option<f64>, key: &str| (found.unwrap() - case[key].as_f64().unwrap()).abs() < 150.0 * f64::EPSILON;
        assert!(near(matrix.mean_iou(), "miou") && near(matrix.pixel_accuracy(), "pixel_accuracy"), "{matrix:?}");
        assert!(matrix.iou().contains(&None));
    }
}
