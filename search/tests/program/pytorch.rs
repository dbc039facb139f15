//! `mobilenas weights export --format pytorch`: three files that run by themselves, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use image::{Rgb, RgbImage};
use mobilenas_space::families;
use mobilenas_torch::{Names, ParamStore, weights};
use tch::Device;

use crate::common::{output, program, succeed, torch_python};

const EXPORT: &str = "weights export --model mobilevit_xxs --weights w.safetensors --format pytorch";

/// A folder with weights of five classes with names, and a photo.
fn scene() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let graph = families::plan("mobilevit_xxs", None, 5).unwrap().lower().unwrap();
    let named = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap().named();
    let names = r#"["ant", "bee", "cow", "dog", "elk"]"#.to_string();
    let about = BTreeMap::from([("classes".to_string(), names)]);
    weights::save(&dir.path().join("w.safetensors"), &named, &about).unwrap();
    let photo = RgbImage::from_fn(400, 310, |x, y| Rgb([(x / 2) as u8, (y / 2) as u8, ((x + y) / 3) as u8]));
    photo.save(dir.path().join("photo.png")).unwrap();
    dir
}

fn run(dir: &Path, args: &str) -> (i32, String) {
    let mut c = program(dir);
    c.args(args.split(' '));
    let (code, out, err) = output(c);
    (code, format!("{out}{err}").trim().to_string())
}

/// Class, share in percent and name in each line of the classes.
fn classes(said: &str) -> Vec<(String, f64, String)> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [class, share, "%", name] = words[..] else { return None };
        Some((class.to_string(), share.parse().unwrap(), name.to_string()))
    };
    said.lines().filter_map(of).collect()
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_the_example_says_of_a_photo_what_predict_says() {
    let dir = scene();
    symlink(dir.path().join("there"), dir.path().join("net")).unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    let (code, said) = run(dir.path(), &format!("{EXPORT} --out net"));
    insta::assert_snapshot!(format!("{code} {said}"), @"0 mobilevit_xxs at 256 px, 5 classes: mobilevit_xxs.py, mobilevit_xxs.safetensors and example.py written to net");
    let mut files: Vec<String> = fs::read_dir(dir.path().join("there"))
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["example.py", "mobilevit_xxs.py", "mobilevit_xxs.safetensors"]);
    let example = |args: &[&str]| {
        let mut c = torch_python(dir.path());
        c.arg("net/example.py").args(args);
        succeed(c)
    };
    let (code, said) = run(dir.path(), "predict --model mobilevit_xxs --weights w.safetensors photo.png");
    assert_eq!(code, 0, "{said}");
    let (ours, theirs) = (classes(&said), classes(&example(&["photo.png"])));
    assert_eq!((ours.len(), theirs.len()), (5, 5));
    for ((class, share, name), other) in ours.iter().zip(&theirs) {
        assert!((class, name) == (&other.0, &other.2), "{ours:?} {theirs:?}");
        // Both are in float32, whose last digits are the fourth decimal of a percentage.
        assert!((share - other.1).abs() <= 1e-3, "{ours:?} {theirs:?}");
    }
    // Without a photo, and where the package safetensors is missing.
    fs::write(dir.path().join("there/safetensors.py"), "raise ImportError").unwrap();
    assert_eq!(classes(&example(&[])).len(), 5);
}

/// Shares in percent and what stands behind them.
fn shares(said: &str) -> Vec<(f64, Vec<String>)> {
    let of = |line: &str| {
        let (share, rest) = line.trim().split_once(" %")?;
        Some((share.trim().parse().ok()?, rest.split_whitespace().map(str::to_string).collect()))
    };
    said.lines().filter_map(of).collect()
}

/// What `predict` and the example say of the photo, by a network whose head's weights are drawn.
fn both(head: &str) -> [Vec<(f64, Vec<String>)>; 2] {
    let dir = scene();
    let network = format!("--model mobilevit_xxs --head {head} --resolution 96");
    let import = format!("weights import w.safetensors {network} --classes 6 --out with_head.safetensors");
    let (code, said) = run(dir.path(), &import);
    assert_eq!(code, 0, "{said}");
    // Larger weights before the outputs, so that some classes are likely.
    let file = dir.path().join("with_head.safetensors");
    let (mut named, about) = weights::load(&file).unwrap();
    let last =
        |name: &str| name.starts_with("ssd_heads.") && name.contains("loc_cls_layer") && name.ends_with("weight");
    named.iter_mut().filter(|(name, _)| last(name)).for_each(|(_, t)| *t = &*t * 4.0);
    weights::save(&file, &named, &about).unwrap();
    let network = format!("{network} --weights with_head.safetensors");
    let (code, said) = run(dir.path(), &format!("weights export {network} --format pytorch --out net"));
    assert_eq!(code, 0, "{said}");
    let (code, ours) = run(dir.path(), &format!("predict {network} photo.png"));
    assert_eq!(code, 0, "{ours}");
    let mut c = torch_python(dir.path());
    c.args(["net/example.py", "photo.png"]);
    [shares(&ours), shares(&succeed(c))]
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_the_example_of_a_detector_finds_what_predict_finds() {
    let [ours, theirs] = both("ssdlite");
    // The last digits of single precision, and of the resized photo, differ.
    let near = |a: &String, b: &String| (a.parse::<f64>().unwrap() - b.parse::<f64>().unwrap()).abs() <= 0.5;
    let same = |a: &(f64, Vec<String>), b: &(f64, Vec<String>)| {
        let boxes = a.1[1..].iter().zip(&b.1[1..]).all(|(a, b)| near(a, b));
        (a.0 - b.0).abs() <= 0.3 && a.1[0] == b.1[0] && a.1.len() == 5 && boxes
    };
    // One near the least probability that is shown may be in one list alone.
    let alone = |a: &[(f64, Vec<String>)], b: &[(f64, Vec<String>)]| {
        let lost = |one: &&(f64, Vec<String>)| one.0 > 30.5 && !b.iter().any(|other| same(one, other));
        a.iter().filter(lost).cloned().collect::<Vec<_>>()
    };
    assert!(ours.len() > 50, "{ours:?}");
    assert_eq!((alone(&ours, &theirs), alone(&theirs, &ours)), (Vec::new(), Vec::new()));
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_the_example_of_a_segmenter_says_what_predict_says() {
    let [ours, theirs] = both("deeplabv3");
    // `predict` resizes logits to the photo, the example counts pixels of the network's image.
    let share = |of: &[(f64, Vec<String>)], class: &str| of.iter().find(|s| s.1 == [class]).map_or(0.0, |s| s.0);
    for class in ["0", "1", "2", "3", "4", "5"] {
        assert!((share(&ours, class) - share(&theirs, class)).abs() <= 1.0, "{ours:?} {theirs:?}");
    }
    assert!((theirs.iter().map(|s| s.0).sum::<f64>() - 100.0).abs() < 0.1 && ours.len() > 1, "{ours:?} {theirs:?}");
}

#[test]
fn what_does_not_fit_is_said() {
    let dir = scene();
    fs::write(dir.path().join("file"), "mine").unwrap();
    let said = |args: &str| {
        let (code, said) = run(dir.path(), args);
        format!("{code} {}", said.lines().next().unwrap_or_default())
    };
    insta::assert_snapshot!(said(&format!("{EXPORT} --out -")), @"2 error: -: standard output, expected a folder: PyTorch source is three files");
    insta::assert_snapshot!(said(&format!("{EXPORT} --out file")), @"2 error: file: File exists (os error 17), expected a folder to write into");
    insta::assert_snapshot!(said(&format!("{EXPORT} --out net --float16")), @"2 error: net: --float16 with the format pytorch, expected --format onnx or coreml");
    insta::assert_snapshot!(said(&EXPORT.replace("pytorch", "torch --out net")), @"2 error: invalid value 'torch' for '--format <FORMAT>'");
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "mine");
    assert!(!dir.path().join("net").exists() && !dir.path().join("-").exists());
    let _lock = mobilenas_host::Lock::folder(&dir.path().join("net"), "another").unwrap();
    let held = said(&format!("{EXPORT} --out net"));
    assert!(held.starts_with("2 error: net: another, process "), "{held}");
}
