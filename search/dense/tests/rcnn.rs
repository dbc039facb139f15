//! Anchors, proposals, matches, detections and masks of a detector in two stages against the reference, as `make_rcnn.py`
//! wrote them.

use mobilenas_dense::BBox;
use mobilenas_dense::mask::Rle;
use mobilenas_dense::rcnn::{Match, OverlapMatcher, Proposing, RcnnRules, cut_mask, pasted};
use serde_json::Value;

const RULES: RcnnRules = RcnnRules::MMDETECTION;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/rcnn.json")).unwrap()
}

fn floats(v: &Value) -> Vec<f64> {
    serde_json::from_value(v.clone()).unwrap()
}

fn boxes(v: &Value) -> Vec<BBox> {
    floats(v).chunks(4).map(|b| BBox::new(b[0], b[1], b[2], b[3])).collect()
}

fn size(f: &Value) -> (f64, f64) {
    (f["size"][0].as_f64().unwrap(), f["size"][1].as_f64().unwrap())
}

fn assert_near(found: &[BBox], expected: &[BBox]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let off = a.xyxy().iter().zip(b.xyxy()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 1e-9, "box {i}: {a:?} and {b:?}");
    }
}

#[test]
fn anchors_and_proposals_are_the_references() {
    let f = fixture();
    let levels: Vec<(usize, usize)> = serde_json::from_value(f["levels"].clone()).unwrap();
    let anchors = RULES.anchors(&levels).unwrap();
    assert_near(&anchors, &boxes(&f["anchors"]));
    let how = Proposing { per_level: 100, per_image: 60, ..RULES.proposing };
    let of = (&floats(&f["logits"])[..], &floats(&f["offsets"])[..]);
    let found = RULES.proposals(&how, (&anchors, &RULES.per_level(&levels)), of, size(&f));
    assert_near(&found, &boxes(&f["proposals"]));
}

#[test]
fn matches_are_the_references() {
    let f = fixture();
    let (objects, of) = (boxes(&f["objects"]), boxes(&f["boxes"]));
    let number = |m: &Match| match m {
        Match::Object(i) => *i as i64 + 1,
        Match::Background => 0,
        Match::Neither => -1,
    };
    let same = |rule: OverlapMatcher, key: &str| {
        let expected: Vec<i64> = serde_json::from_value(f[key].clone()).unwrap();
        let found: Vec<i64> = rule.matches(&objects, &of).iter().map(number).collect();
        assert_eq!(found, expected, "{key}");
        expected
    };
    let with = same(RULES.anchors, "anchor_matches");
    assert!([-1, 0, 1].iter().all(|kind| with.iter().any(|m| m.signum() == *kind)), "all kinds occur");
    same(RULES.regions, "region_matches");
}

#[test]
fn detections_are_the_references() {
    let f = fixture();
    let (regions, classes) = (boxes(&f["rois"]), f["classes"].as_u64().unwrap() as usize);
    let softmax = |row: &[f64]| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum).collect::<Vec<_>>()
    };
    let scores: Vec<f64> = floats(&f["scores"]).chunks(classes).flat_map(softmax).collect();
    let found = RULES.detect(&regions, (&scores, &floats(&f["deltas"])), classes, size(&f));
    assert_near(&found.iter().map(|d| d.bbox).collect::<Vec<_>>(), &boxes(&f["found"][0]));
    let labels: Vec<usize> = serde_json::from_value(f["found"][2].clone()).unwrap();
    assert_eq!(found.iter().map(|d| d.class).collect::<Vec<_>>(), labels);
    assert!(found.iter().zip(floats(&f["found"][1])).all(|(d, score)| (d.score - score).abs() <= 1e-12));
}

fn levels(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().bytes().map(|b| b - b'0').collect()
}

#[test]
fn masks_are_cut_and_pasted_as_the_reference_does() {
    let f = fixture();
    let inside: Vec<u8> = serde_json::from_value(f["mask"].clone()).unwrap();
    let mask = Rle::encode(&inside, 64, 48);
    for (i, region) in boxes(&f["mask_regions"]).iter().enumerate() {
        let found: Vec<u8> = cut_mask(&mask, region, 28).into_iter().map(|v| v as u8).collect();
        assert_eq!(found, levels(&f["cut"][i]), "region {i}");
    }
    let probabilities = floats(&f["probabilities"]);
    for (i, place) in f["places"].as_array().unwrap().iter().enumerate() {
        let found = pasted(&probabilities, 14, &boxes(place)[0], (40, 30), RULES.mask_threshold);
        assert_eq!(found.decode(), levels(&f["pasted"][i]), "place {i}");
    }
}
