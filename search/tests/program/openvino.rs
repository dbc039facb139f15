//! OpenVINO and the choice among engines from the command line: files that are guarded and measured, rows that say what ran,
//! and what is said of wrong files.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use mobilenas_bench::process::published_graph;
use mobilenas_bench::profile::record::{ProfileReport, ProfileRow};
use mobilenas_bench::regression::{RegressionReport, Verdict};
use mobilenas_onnx::{Batch, Options};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Formula, Net};

use crate::common::{program, ran, said};

fn run(dir: &Path, words: &str) -> Output {
    ran(program(dir).arg("bench").args(words.split(' ')))
}

/// What a wrong file gets told: one line, and exit code 2.
fn refused(dir: &Path, words: &str) -> String {
    let out = run(dir, words);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    said(&out).trim_end().to_string()
}

/// A convolution with an activation in OpenVINO's XML, with the weights beside it: `shift` moves them.
fn write(file: &Path, shift: f32, activation: &str) {
    let port = |id: u32, channels: u32| {
        let dims = format!("<dim>-1</dim><dim>{channels}</dim><dim>8</dim><dim>8</dim>");
        format!("<port id=\"{id}\" precision=\"FP32\">{dims}</port>")
    };
    let layer = |id: u32, kind: &str, inside: String| {
        format!("<layer id=\"{id}\" name=\"{kind}_{id}\" type=\"{kind}\" version=\"opset1\">{inside}</layer>\n")
    };
    let edge = |from: u32, port: u32, to: u32, at: u32| {
        format!("<edge from-layer=\"{from}\" from-port=\"{port}\" to-layer=\"{to}\" to-port=\"{at}\"/>\n")
    };
    let weights = "<port id=\"0\" precision=\"FP32\"><dim>2</dim><dim>3</dim><dim>3</dim><dim>3</dim></port>";
    let named = port(0, 3).replace("precision", "names=\"images\" precision");
    let layers = [
        layer(0, "Parameter", format!("<data shape=\"?,3,8,8\" element_type=\"f32\"/><output>{named}</output>")),
        layer(
            1,
            "Const",
            format!(
                "<data element_type=\"f32\" shape=\"2, 3, 3, 3\" offset=\"0\" size=\"216\"/><output>{weights}</output>"
            ),
        ),
        layer(
            2,
            "Convolution",
            format!(
                "<data strides=\"1, 1\" dilations=\"1, 1\" pads_begin=\"1, 1\" pads_end=\"1, 1\" auto_pad=\"explicit\"/>\
                 <input>{}{}</input><output>{}</output>",
                port(0, 3),
                weights.replace("\"0\"", "\"1\""),
                port(2, 2)
            ),
        ),
        layer(
            3,
            activation,
            format!(
                "<input>{}</input><output>{}</output>",
                port(0, 2),
                port(1, 2).replace("precision", "names=\"features\" precision")
            ),
        ),
        layer(4, "Result", format!("<input>{}</input>", port(0, 2))),
    ];
    let edges = [edge(0, 0, 2, 0), edge(1, 0, 2, 1), edge(2, 2, 3, 0), edge(3, 1, 4, 0)];
    let text = format!(
        "<?xml version=\"1.0\"?>\n<net name=\"small\" version=\"11\">\n<layers>\n{}</layers>\n<edges>\n{}</edges>\n</net>\n",
        layers.concat(),
        edges.concat()
    );
    fs::write(file, text).unwrap();
    let weights: Vec<u8> = (0..54u8).flat_map(|i| (f32::from(i) / 27.0 - 1.0 + shift).to_le_bytes()).collect();
    fs::write(file.with_extension("bin"), weights).unwrap();
}

#[test]
fn a_file_of_openvino_is_compared_with_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let failures = |shift, activation| {
        write(&at.join("new.xml"), shift, activation);
        let out = run(at, "check --baseline b.json --openvino new.xml --size images=2x3x8x8 --out out");
        let text = fs::read_to_string(at.join("out/check.json")).unwrap_or_else(|_| panic!("{}", said(&out)));
        let report: RegressionReport = serde_json::from_str(&text).unwrap();
        let changed = report.findings.iter().filter(|f| f.verdict != Verdict::Pass);
        let words = changed.map(|f| format!("{} {}: {}", f.verdict, f.metric, f.words)).collect::<Vec<_>>().join("\n");
        format!("{:?}\n{words}", out.status.code().unwrap())
    };
    write(&at.join("new.xml"), 0.0, "ReLU");
    let out = run(at, "bless --baseline b.json --openvino new.xml --size images=2x3x8x8");
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert_eq!(failures(0.0, "ReLU"), "0\n");
    let weights = failures(0.5, "ReLU");
    assert!(weights.starts_with("3\nfail weights: weights "), "{weights}");
    assert!(weights.contains("fail values features: off by "), "{weights}");
    assert!(!weights.contains("graph") && !weights.contains("ops"), "{weights}");
    let other = failures(0.0, "Sigmoid");
    assert!(other.starts_with("3\nfail ops: ReLU 1 -> 0, Sigmoid 0 -> 1\nfail graph: "), "{other}");
}

#[test]
fn files_and_networks_are_measured_on_openvino_and_a_choice_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let graph = published_graph("mobilenetv3_small_100").unwrap().0;
    let net = Net::bind(Arc::new(graph), &Formula::PLAIN).unwrap().freeze().unwrap();
    let bytes = to_onnx(&net, &Options { batch: Batch::Dynamic, ..Options::default() }).unwrap();
    fs::write(at.join("net.onnx"), bytes).unwrap();
    write(&at.join("small.xml"), 0.0, "ReLU");
    let config = "\
models: [mobilenetv3_small_100]
engines: [openvino, auto]
files:
  - {file: net.onnx, format: openvino, dims: {batch: 2}}
  - {file: small.xml, inputs: [{name: images, size: [4, 3, 8, 8]}]}
window_ms: 20
warmup: {max_seconds: 0.2}
samples: {min: 5, max_seconds: 0.1}
processes: {min: 1, max: 1}
";
    fs::write(at.join("c.yaml"), config).unwrap();
    let out = run(at, "run c.yaml --json");
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let report: ProfileReport = serde_json::from_slice(&out.stdout).unwrap();
    let rows: Vec<String> = report.rows.iter().map(|r| r.case.to_string()).collect();
    let expected = [
        "mobilenetv3_small_100 on openvino, threads 1, batch 1",
        "mobilenetv3_small_100 on auto, threads 1, batch 1",
        "net.onnx on openvino, threads 1, batch 2",
        "small.xml on openvino, threads 1, batch 4",
    ];
    assert_eq!(rows, expected);
    let numbers = |row: &ProfileRow| row.measured().unwrap_or_else(|| panic!("{:?}", row.why())).clone();
    let choices = |row: &ProfileRow| numbers(row).processes[0].ready.choices.clone();
    let version = numbers(&report.rows[0]).engine;
    assert!(version.starts_with("openvino 20"), "{version}");
    assert!(choices(&report.rows[0]).contains(&("threads".to_string(), "1".to_string())));
    let chosen = choices(&report.rows[1]);
    let engines = ["libtorch", "onnxruntime", "openvino"];
    assert!(chosen[0].0 == "engine" && engines.iter().any(|e| chosen[0].1.starts_with(&format!("{e} "))), "{chosen:?}");
    assert!(engines.iter().all(|e| chosen.iter().any(|(at, ms)| at == e && ms.ends_with(" ms"))), "{chosen:?}");
}

#[test]
fn wrong_files_get_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(&at.join("net.xml"), 0.0, "ReLU");
    fs::write(at.join("page.xml"), "<html/>").unwrap();
    write(&at.join("magic.xml"), 0.0, "Magic");
    write(&at.join("alone.xml"), 0.0, "ReLU");
    fs::remove_file(at.join("alone.bin")).unwrap();
    let check = |words: &str| refused(at, &format!("check --baseline b.json {words}"));
    insta::assert_snapshot!(check("--openvino page.xml"), @"error: page.xml: found the element html, expected a model in OpenVINO's XML, or an ONNX file");
    insta::assert_snapshot!(check("--openvino net.xml"), @"error: net.xml: found no size of input images, which is ?x3x8x8, expected one: --size, or size: in the config");
    insta::assert_snapshot!(check("--openvino net.xml --size images=1x4x8x8"), @"error: net.xml: found the size 1x4x8x8 of input images, expected ?x3x8x8");
    insta::assert_snapshot!(check("--openvino net.xml --dim n=1"), @"error: net.xml: found a size for axis n, expected sizes of whole inputs: axes have no names here");
    insta::assert_snapshot!(check("--openvino net.xml --size image=1x3x8x8"), @"error: net.xml: found the input image, expected one of images");
    insta::assert_snapshot!(check("--openvino net.xml --size images=1x3x8x8:int64"), @"error: net.xml: found the kind int64 of input images, expected float32, as in the file");
    insta::assert_snapshot!(check("--openvino alone.xml --size images=1x3x8x8"), @"error: alone.bin: No such file or directory (os error 2), expected a model file");
    let magic = check("--openvino magic.xml --size images=1x3x8x8");
    assert!(magic.starts_with("error: magic.xml: openvino refuses it: ") && magic.contains("Magic"), "{magic}");
    let mut command = program(at);
    command.args(["bench", "check", "--baseline", "b.json", "--openvino", "net.xml", "--size", "images=1x3x8x8"]);
    let out = command.env("MOBILENAS_OPENVINO", "/nowhere/libopenvino_c.so").output().unwrap();
    let told = "engine openvino: MOBILENAS_OPENVINO=/nowhere/libopenvino_c.so: No such file";
    assert!(said(&out).contains(told), "{}", said(&out));
    let space = "latency-table build --family mobilenet_v2 --engine auto --out t.json";
    let out = program(at).args(space.split(' ')).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("--engine: found \"auto\", expected one engine for all blocks"), "{}", said(&out));
}
