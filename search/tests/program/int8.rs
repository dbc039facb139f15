//! `mobilenas weights export --int8`, from a training on Fashion-MNIST to the file's accuracy beside the float file's.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::common::{output, program_with_data};

fn run(dir: &Path, args: &str) -> (i32, String, String) {
    let mut command = program_with_data(dir);
    command.args(args.split(' '));
    let (code, out, err) = output(command);
    let plain = |text: String| text.replace(&dir.display().to_string(), "DIR");
    (code, plain(out), plain(err))
}

fn done(dir: &Path, args: &str) -> String {
    let (code, out, err) = run(dir, args);
    assert_eq!(code, 0, "{args}: {err}");
    out
}

/// Small networks that learn something in a moment, each with a way to choose ranges: convolutions and clips; gates and
/// attention.
const NETWORKS: [(&str, &str, &str); 2] = [
    (
        "mobilenetv2",
        "{model: mobilenetv2_100, knobs: {resolution: 28, stem.width: 16, stem.stride: 2, stages.0.width: 8, \
         stages.1.width: 16, stages.1.stride: 1, stages.2.width: 16, stages.3.width: 24, stages.4.width: 24, \
         stages.5.width: 32, stages.6.width: 32, head.width: 128, stages.1.depth: 1, stages.2.depth: 1, \
         stages.3.depth: 1, stages.4.depth: 1, stages.5.depth: 1}}",
        "minmax",
    ),
    (
        "mobilevit",
        "{model: mobilevit_xxs, knobs: {resolution: 32, stem.stride: 2, stages.0.stride: 2, stages.1.stride: 1, \
         stages.2.stride: 2, stages.3.stride: 1, stages.4.stride: 1, stages.4.width: 64, stages.1.depth: 1, \
         stages.2.depth: 1, stages.3.depth: 1, stages.4.depth: 1}}",
        "percentile",
    ),
];

const DATA: &str = "{name: fashion-mnist, search_val: 500, train_limit: 3000, test_limit: 500}";

/// A training folder of a network, and its config.
fn trained(dir: &Path, name: &str, network: &str) {
    let config = format!(
        "seed: 3\nthreads: 1\nnetwork: {network}\ndata: {DATA}\ntrain: {{epochs: 2, batch: 50, lr: 0.005, warmup: 0.2}}\n"
    );
    fs::write(dir.join(format!("{name}.yaml")), config).unwrap();
    done(dir, &format!("train {name}.yaml --out {name}"));
}

#[test]
fn a_trained_network_loses_little_in_int8() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, network, ranges) in NETWORKS {
        trained(dir, name, network);
        let export = format!("weights export --config {name}.yaml --weights {name}/weights.safetensors");
        let out = done(dir, &format!("{export} --out {name}.onnx --int8 --images 256 --ranges {ranges} --json"));
        let v: Value = serde_json::from_str(&out).unwrap();
        let f = |path: &str| v.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {v}"));
        let _ = writeln!(
            std::io::stderr(),
            "{name}, {ranges}: top-1 {:.2} -> {:.2} %, same class {:.2} %, {:.3} of the time",
            f("/accuracy/float32_top1"),
            f("/accuracy/int8_top1"),
            f("/accuracy/same_class"),
            f("/latency/in_turn/ratio")
        );
        assert_eq!((f("/accuracy/images"), f("/calibration/images")), (500.0, 256.0));
        assert_eq!(v["layers"], v["layers_in_int8"]);
        // It has learnt, or there is nothing to lose.
        assert!(f("/accuracy/float32_top1") > 60.0, "{v}");
        // Of 500 images one in twenty may change its class: after so short a training many lie between two. One in a
        // hundred may be lost.
        assert!(f("/accuracy/points") >= -1.0, "{v}");
        assert!(f("/accuracy/same_class") >= 95.0, "{v}");
        let read: Value =
            serde_json::from_str(&fs::read_to_string(dir.join(name).join("result.json")).unwrap()).unwrap();
        let trained = read["test_top1"].as_f64().unwrap();
        assert!((f("/accuracy/float32_top1") - trained).abs() <= 0.1, "{trained} by libtorch, {v}");
        let size = fs::metadata(dir.join(format!("{name}.onnx"))).unwrap().len();
        assert_eq!(f("/bytes/int8"), size as f64);
    }
    said_to_people(dir);
    batches_of_several_images(dir);
}

fn said_to_people(dir: &Path) {
    let args = "weights export --config mobilenetv2.yaml --weights mobilenetv2/weights.safetensors --out m.onnx --int8";
    let out = done(dir, &format!("{args} --images 64"));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(lines[0].contains("calibrated on 64 training images (minmax)"), "{out}");
    assert!(lines[1].contains("top-1 of 500 test images; median ms, batch 1, one thread, in turn"), "{out}");
    assert!(lines[2].trim().starts_with("float32") && lines[3].trim().starts_with("int8"), "{out}");
    assert!(lines[4].contains("points, the same class for"), "{out}");
}

/// The accuracy does not depend on how many images come at once, also where the last batch is not full.
fn batches_of_several_images(dir: &Path) {
    let args = "weights export --config mobilenetv2.yaml --weights mobilenetv2/weights.safetensors --out m.onnx --int8";
    let accuracy = |more: &str| {
        let v: Value = serde_json::from_str(&done(dir, &format!("{args} --images 66 --json {more}"))).unwrap();
        v["accuracy"].clone()
    };
    let one = accuracy("--batch 1");
    assert_eq!(one["images"], 500);
    for more in ["--batch 33", "--dynamic-batch"] {
        let several = accuracy(more);
        assert_eq!(several["images"], 500);
        let of = |v: &Value| v["int8_top1"].as_f64().unwrap();
        // Sums of floats in another order may move a value to the next whole number.
        assert!((of(&several) - of(&one)).abs() <= 0.3, "{one} {several}");
    }
}

/// The images of a published network with a head are those of a dataset with boxes or class maps.
#[test]
fn a_published_network_with_a_head_is_calibrated_on_its_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, "data shapes --out shapes --train 12 --val 6");
    let of = "--model mobilevit_xxs --resolution 64";
    for (head, classes, metrics) in [("ssdlite", 11, ["map", "map50"]), ("deeplabv3", 11, ["miou", "pixel_accuracy"])] {
        done(dir, &format!("weights export {of} --head {head} --classes {classes} --format pytorch --out {head}"));
        let of = format!("{of} --head {head} --weights {head}/mobilevit_xxs.safetensors --out {head}.onnx --int8");
        let told = done(dir, &format!("weights export {of} --images 4 --data shapes --json"));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["calibration"]["images"], 4);
        assert_eq!(told["accuracy"]["images"], 6);
        assert!(told["layers_in_int8"].as_u64().unwrap() > 10, "{told}");
        for metric in metrics {
            assert!(told["accuracy"][format!("int8_{metric}")].is_number(), "{metric}: {told}");
        }
    }
    let said = |args: &str| {
        let file = "--weights ssdlite/mobilevit_xxs.safetensors --out x.onnx --int8";
        let (code, _, err) = run(dir, &format!("weights export {of} --head ssdlite {file} {args}"));
        format!("{code} {}", err.trim_end())
    };
    insta::assert_snapshot!(said("--images 4"), @"2 error: mobilevit_xxs: --int8 without images, expected --data DIR, the folder of a dataset with a split to calibrate and one to evaluate");
    insta::assert_snapshot!(said("--data shapes --val-split none"), @"2 error: shapes/annotations/instances_none.json: found No such file or directory (os error 2), expected COCO's JSON: `images`, `annotations` and `categories`");
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = |args: &str| {
        let (code, _, err) = run(dir, args);
        let lines: Vec<&str> = err.lines().map(str::trim).take(2).collect();
        format!("{code} {}", lines.join(" ").trim())
    };
    insta::assert_snapshot!(said("weights export --model mobilevit_xxs --out x.onnx --int8"), @"2 error: mobilevit_xxs: no weights to export, expected --weights FILE");
    insta::assert_snapshot!(said("weights export --model mobilevit_xxs --weights w --out x.safetensors --int8"), @"2 error: x.safetensors: --int8 with the format safetensors, expected --format onnx");
    insta::assert_snapshot!(said("weights export --model mobilevit_xxs --weights w --out x.onnx --int8 --float16"), @"2 error: the argument '--int8' cannot be used with '--float16'");
    insta::assert_snapshot!(said("weights export --model mobilevit_xxs --weights w --out x.onnx --int8 --unfused"), @"2 error: the argument '--int8' cannot be used with '--unfused'");
    insta::assert_snapshot!(said("weights export --model mobilevit_xxs --weights w --out x.onnx --ranges minmax"), @"2 error: the following required arguments were not provided: --int8");
    insta::assert_snapshot!(said("weights export --config c.yaml --out x.onnx"), @"2 error: the following required arguments were not provided: --weights <FILE>");
    insta::assert_snapshot!(said("weights export --config c.yaml --model mobilevit_xxs --weights w --out x.onnx"), @"2 error: the argument '--config <CONFIG>' cannot be used with '--model <NAME>'");
}
