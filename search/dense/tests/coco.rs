//! Average precision, masks and polygons against pycocotools, as `make_coco.py` wrote them.

use std::path::Path;
use std::process::Command;

use mobilenas_dense::mask::Rle;
use mobilenas_dense::metrics::coco::{CocoEvaluator, CocoScores, Found, Region, Truth};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/coco.json")).unwrap()
}

fn array(v: &Value) -> &Vec<Value> {
    v.as_array().unwrap()
}

fn float(v: &Value) -> f64 {
    v.as_f64().unwrap()
}

fn size(v: &Value) -> (usize, usize) {
    (float(&v[0]) as usize, float(&v[1]) as usize)
}

/// An evaluator of a set's rows; images without rows do not matter.
fn evaluator<R: Region>(case: &Value, region: impl Fn(&Value) -> R) -> CocoEvaluator<R> {
    let mut images = std::collections::BTreeMap::<u64, (Vec<_>, Vec<_>)>::new();
    for row in array(&case["truths"]) {
        let truth = Truth {
            region: region(&row[4]),
            category: float(&row[1]) as u32,
            area: float(&row[3]),
            crowd: float(&row[2]) == 1.0,
        };
        images.entry(float(&row[0]) as u64).or_default().0.push(truth);
    }
    for row in array(&case["found"]) {
        let found = Found { region: region(&row[3]), category: float(&row[1]) as u32, score: float(&row[2]) };
        images.entry(float(&row[0]) as u64).or_default().1.push(found);
    }
    // In two parts, the later images first: neither may matter.
    let (mut all, mut late) = (CocoEvaluator::default(), CocoEvaluator::default());
    for (id, (truths, found)) in images.into_iter().rev() {
        if id % 2 == 0 { &mut all } else { &mut late }.add(id, truths, found);
    }
    all.merge(late);
    all
}

fn xywh(v: &Value) -> [f64; 4] {
    std::array::from_fn(|k| float(&v[k]))
}

fn boxes(case: &Value) -> CocoScores {
    evaluator(case, xywh).scores()
}

fn masks(case: &Value) -> CocoScores {
    let (width, height) = size(&case["size"]);
    evaluator(case, |v| Rle::from_text(height, width, v.as_str().unwrap()).unwrap()).scores()
}

/// Equal to the last bit.
fn assert_equal(scores: &CocoScores, case: &Value) {
    let found: Vec<(&str, f64)> = scores.named().map(|(name, v)| (name, v.unwrap_or(-1.0))).to_vec();
    let expected: Vec<(&str, f64)> =
        found.iter().zip(array(&case["stats"])).map(|((name, _), v)| (*name, float(v))).collect();
    assert_eq!(found, expected, "seed {}", case["seed"]);
    let by_category = array(&case["AP_of_category"]).iter().map(|p| (float(&p[0]) as u32, float(&p[1])));
    assert_eq!(scores.ap_of_category, by_category.collect::<Vec<_>>(), "seed {}", case["seed"]);
}

#[test]
fn average_precision_is_pycocotools_to_the_last_bit() {
    let f = fixture();
    array(&f["boxes"]).iter().for_each(|case| assert_equal(&boxes(case), case));
    array(&f["masks"]).iter().for_each(|case| assert_equal(&masks(case), case));
}

/// The goldens have thirteen digits.
#[test]
fn average_precision_of_the_golden() {
    let f = fixture();
    let case = &f["golden"];
    let scores = boxes(case);
    for ((name, found), expected) in scores.named().iter().zip(array(&case["stats"])) {
        assert!((found.unwrap_or(-1.0) - float(expected)).abs() < 1e-12, "{name}: {found:?} and {expected}");
    }
    assert_eq!(scores.ap_of_category.len(), array(&case["AP_of_category"]).len());
    for ((id, found), expected) in scores.ap_of_category.iter().zip(array(&case["AP_of_category"])) {
        assert!(f64::from(*id) == float(&expected[0]) && (found - float(&expected[1])).abs() < 1e-12, "{id}: {found}");
    }
}

#[test]
fn polygons_are_pycocotools_pixel_for_pixel() {
    for case in array(&fixture()["polygons"]) {
        let (width, height) = size(&case["size"]);
        let parts = array(&case["polygons"]).iter().map(|p| array(p).iter().map(float).collect());
        let mask = Rle::of_polygons(height, width, &parts.collect::<Vec<Vec<f64>>>()).unwrap();
        let expected = Rle::from_text(height, width, case["counts"].as_str().unwrap()).unwrap();
        assert_eq!(mask.decode(), expected.decode(), "{case}");
        assert_eq!(mask.area() as f64, float(&case["area"]), "{case}");
        assert_eq!(Rle::encode(&mask.decode(), width, height).to_text(), case["counts"].as_str().unwrap(), "{case}");
        if mask.area() > 0 {
            assert_eq!(mask.bbox().xywh(), xywh(&case["bbox"]), "{case}");
        }
    }
}

#[test]
#[ignore = "needs a Python with pycocotools"]
fn pycocotools_agrees_on_random_sets() {
    let python = std::env::var_os("MOBILENAS_COCO_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/make_coco.py");
    for (seed, count, what) in (100..110).map(|s| (s, 10_000, None)).chain((200..205).map(|s| (s, 2000, Some("masks"))))
    {
        let mut command = Command::new(&python);
        command.arg("-B").arg(&script).args(["set", &format!("{seed}"), &format!("{count}")]).args(what);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let case: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(array(&case["truths"]).len() + array(&case["found"]).len(), count);
        assert_equal(&if what.is_some() { masks(&case) } else { boxes(&case) }, &case);
    }
}
