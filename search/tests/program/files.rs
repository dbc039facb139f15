//! Model files of any origin from the command line: blessed, checked, timed, and what is said of files that are broken.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use mobilenas_bench::process::published_graph;
use mobilenas_bench::profile::record::ProfileReport;
use mobilenas_bench::regression::{Baseline, RegressionReport, Tier, Verdict};
use mobilenas_onnx::proto::{
    Attribute, Dim, Entry, Graph, Model, Node, OpsetId, Shape, Size, Tensor, TensorType, ValueInfo, kind,
};
use mobilenas_onnx::{Batch, Options};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Formula, Net};
use prost::Message as _;
use tch::{CModule, Kind};

use crate::common::{program, ran, said};

fn run(dir: &Path, words: &str) -> Output {
    ran(program(dir).arg("bench").args(words.split(' ')))
}

/// What a wrong file gets told: one line, and exit code 2.
fn refused(dir: &Path, words: &str) -> String {
    let out = run(dir, words);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    assert!(out.stdout.is_empty(), "{}", said(&out));
    said(&out).trim_end().to_string()
}

fn value(name: &str, element: i32, dims: &[&str]) -> ValueInfo {
    let size = |d: &&str| d.parse().map_or_else(|_| Size::Param(d.to_string()), Size::Value);
    let dim = dims.iter().map(|d| Dim { size: Some(size(d)) }).collect();
    let tensor = TensorType { elem_type: Some(element), shape: Some(Shape { dim }) };
    ValueInfo { name: Some(name.to_string()), kind: Some(tensor.into()) }
}

fn floats(name: &str, dims: &[i64]) -> Tensor {
    let n = dims.iter().product::<i64>();
    Tensor::raw(name, kind::FLOAT, dims, (0..n).flat_map(|i| (i as f32 / 7.0 - 1.0).to_le_bytes()).collect())
}

fn node(op: &str, input: &[&str], output: &str, attribute: Vec<Attribute>) -> Node {
    let input = input.iter().map(ToString::to_string).collect();
    Node { input, output: vec![output.into()], op_type: Some(op.into()), attribute, ..Node::default() }
}

/// Token ids and a mask, both with dynamic axes, to a float16 vector for each token and one number for each text.
fn tokens() -> Model {
    let cast = |to| vec![Attribute::int("to", i64::from(to))];
    let nodes = vec![
        node("Gather", &["table", "ids"], "embedded", vec![]),
        node("Cast", &["mask"], "kept", cast(kind::FLOAT)),
        node("Unsqueeze", &["kept", "last"], "column", vec![]),
        node("Mul", &["embedded", "column"], "masked", vec![]),
        node("MatMul", &["masked", "weight"], "mixed", vec![]),
        node("LeakyRelu", &["mixed"], "active", vec![Attribute::float("alpha", 0.25)]),
        node("Cast", &["active"], "tokens", cast(kind::FLOAT16)),
        node("ReduceMean", &["active"], "text", vec![Attribute::ints("axes", &[1, 2]), Attribute::int("keepdims", 0)]),
    ];
    let last = Tensor::raw("last", kind::INT64, &[1], 2i64.to_le_bytes().to_vec());
    let graph = Graph {
        node: nodes,
        initializer: vec![floats("table", &[5, 4]), floats("weight", &[4, 3]), last],
        input: vec![value("ids", kind::INT64, &["batch", "n"]), value("mask", kind::BOOL, &["batch", "n"])],
        output: vec![value("tokens", kind::FLOAT16, &["batch", "n", "3"]), value("text", kind::FLOAT, &["batch"])],
        ..Graph::default()
    };
    let opset_import = vec![OpsetId { domain: None, version: Some(17) }];
    Model { ir_version: Some(8), graph: Some(graph), opset_import, ..Model::default() }
}

fn write(file: &Path, change: impl FnOnce(&mut Graph)) {
    let mut model = tokens();
    change(model.graph.as_mut().unwrap());
    fs::write(file, model.encode_to_vec()).unwrap();
}

const SIZES: &str = "--dim batch=2 --dim n=6 --range ids=0:4";

#[test]
fn what_was_blessed_passes_and_every_kind_of_change_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (at, file) = (dir.path(), dir.path().join("net.onnx"));
    write(&file, |_| {});
    let check = format!("check --baseline b.json --onnx net.onnx --require-baseline {SIZES}");
    assert_eq!(run(at, &check).status.code(), Some(4), "there is no baseline yet");
    let out = run(at, &format!("bless --baseline b.json --onnx net.onnx {SIZES}"));
    assert_eq!(said(&out), "net.onnx: new\n0 networks, 1 files, 1 changes; written to b.json\n");
    let blessed = Baseline::read(&at.join("b.json")).unwrap().unwrap();
    let exact = &blessed.files["net.onnx"];
    assert_eq!(exact.fed, ["ids int64 2x6", "mask bool 2x6"]);
    assert_eq!((exact.facts.params, exact.facts.weight_bytes, exact.facts.macs), (32, 136, Some(2 * 6 * 3 * 4)));
    let shapes: Vec<&str> = exact.values.iter().flatten().map(|v| v.shape.as_str()).collect();
    assert_eq!(shapes, ["float16[2, 6, 3]", "float32[2]"]);
    let out = run(at, &check);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let failures = |change: &dyn Fn(&mut Graph), more: &str| {
        write(&file, change);
        let out = run(at, &format!("{check} --out out{more}"));
        let text = fs::read_to_string(at.join("out/check.json")).unwrap();
        let report: RegressionReport = serde_json::from_str(&text).unwrap();
        let changed = report.findings.iter().filter(|f| f.verdict != Verdict::Pass);
        let words = changed.map(|f| format!("{} {}: {}", f.verdict, f.metric, f.words)).collect::<Vec<_>>().join("\n");
        format!("{:?}\n{words}", out.status.code().unwrap())
    };
    let weight = |g: &mut Graph| g.initializer[1].raw_data.as_mut().unwrap()[2] ^= 64;
    insta::assert_snapshot!(failures(&weight, ""), @"
    3
    fail weights: weights 5cba0821 -> 62d30705
    fail values tokens: off by 2.5e-1 of their norm
    fail values text: off by 1.4e-1 of their norm
    ");
    insta::assert_snapshot!(failures(&weight, " --allow weights,outputs"), @"
    0
    warn weights: weights 5cba0821 -> 62d30705
    warn values tokens: off by 2.5e-1 of their norm
    warn values text: off by 1.4e-1 of their norm
    ");
    insta::assert_snapshot!(failures(&|g| g.node[5] = node("Relu", &["mixed"], "active", vec![]), ""), @"
    3
    fail ops: LeakyRelu 1 -> 0, Relu 0 -> 1
    fail graph: graph 93bc984e -> ee03be51
    fail values tokens: off by 1.6e-1 of their norm
    fail values text: off by 2.2e-1 of their norm
    ");
    insta::assert_snapshot!(failures(&|g| g.node[5].attribute[0].f = Some(0.26), ""), @"
    3
    fail graph: graph 93bc984e -> ce81bec8
    fail values tokens: off by 6.5e-3 of their norm
    fail values text: off by 8.7e-3 of their norm
    ");
    insta::assert_snapshot!(failures(&|g| drop(g.output.pop()), ""), @"
    3
    fail outputs: gone text: float32[batch]
    fail graph: graph 93bc984e -> 4c376b4a
    fail values text: gone
    ");
}

#[test]
fn an_older_file_is_compared_exactly_and_in_fresh_process_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(&at.join("old.onnx"), |_| {});
    write(&at.join("new.onnx"), |g| g.initializer[1].raw_data.as_mut().unwrap()[2] ^= 64);
    let config = "\
files:
  - {file: new.onnx, baseline: old.onnx, dims: {batch: 1, 'n': 4}, allow: [weights, outputs]}
  - {file: old.onnx, name: first, baseline: gone.onnx, dims: {batch: 1, 'n': 4}}
paired: {looks: [2, 3], blocks: 5, warmup: 1, round_seconds: 0.1}
";
    fs::write(at.join("guard.yaml"), config).unwrap();
    let out = run(at, "check --config guard.yaml --out out");
    let report: RegressionReport =
        serde_json::from_str(&fs::read_to_string(at.join("out/check.json")).unwrap()).unwrap();
    let timed: Vec<_> = report.findings.iter().filter(|f| f.tier == Tier::Paired).collect();
    assert_eq!(timed.len(), 1, "{:?}", report.findings);
    assert_eq!(timed[0].model, "new.onnx against old.onnx");
    assert_eq!(out.status.code(), Some(if timed[0].verdict == Verdict::Fail { 3 } else { 0 }), "{}", said(&out));
    let rounds = report.samples[0]["runs"]["first"]["rounds"]["all"].as_array().unwrap();
    assert!(rounds.len() >= 2 && rounds.iter().all(|r| r["candidate_ms"].as_array().unwrap().len() == 5));
    let sides = &report.samples[0]["sides"];
    assert!(sides["baseline"]["file"].as_str().unwrap().contains("old.onnx"), "{sides}");
    assert!(sides["candidate"]["file"].as_str().unwrap().contains("new.onnx"), "{sides}");
    let exact = |model: &str| {
        let own = report.findings.iter().filter(|f| f.model == model && f.verdict != Verdict::Pass);
        own.map(|f| format!("{} {}", f.verdict, f.metric)).collect::<Vec<_>>().join(", ")
    };
    let changed = exact("new.onnx against old.onnx").replace(&format!("{} latency_ms", timed[0].verdict), "");
    assert!(changed.starts_with("warn weights, warn values tokens, warn values text"), "{changed}");
    assert_eq!(exact("first"), "new network", "an older file that is not there yet is no mistake");
}

#[test]
fn files_of_both_formats_are_measured_in_fresh_processes() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let graph = published_graph("mobilenetv3_small_100").unwrap().0;
    let net = Net::bind(Arc::new(graph), &Formula::PLAIN).unwrap().freeze().unwrap();
    let bytes = to_onnx(&net, &Options { batch: Batch::Dynamic, ..Options::default() }).unwrap();
    fs::write(at.join("net.onnx"), bytes).unwrap();
    let mut twice = |x: &[tch::Tensor]| vec![(&x[0] * x[1].to_kind(Kind::Float)).relu()];
    let blank = [
        tch::Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu)),
        tch::Tensor::zeros([3], (Kind::Int64, tch::Device::Cpu)),
    ];
    CModule::create_by_tracing("Net", "forward", &blank, &mut twice).unwrap().save(at.join("net.pt")).unwrap();
    let config = "\
files:
  - {file: net.onnx, name: small, dims: {batch: 2}}
  - file: net.pt
    inputs: [{name: x, size: [2, 3]}, {name: scale, size: [3], kind: int64, low: 1, high: 3}]
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
    assert_eq!(rows, ["small on onnxruntime, threads 1, batch 2", "net.pt on torchscript, threads 1, batch 2"]);
    assert!(report.rows.iter().all(|r| r.measured().unwrap().median_ms.middle > 0.0));
    // What the exporter writes multiplies what the graph does.
    fs::write(at.join("g.yaml"), "files:\n  - {file: net.onnx, dims: {batch: 1}}\n  - {file: net.pt, inputs: [{name: x, size: [2, 3]}, {name: scale, size: [3], kind: int64}]}\n").unwrap();
    let out = run(at, "bless --baseline b.json --config g.yaml");
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let blessed = Baseline::read(&at.join("b.json")).unwrap().unwrap().files;
    let facts = &blessed["net.onnx"].facts;
    assert_eq!((facts.macs, facts.unknown_macs.len()), (Some(56_510_400), 0));
    let script = &blessed["net.pt"];
    // The device that a cast names is a function of libtorch, too.
    assert_eq!(script.facts.ops.keys().collect::<Vec<_>>(), ["device", "mul", "relu", "to"]);
    let values = script.values.as_ref().unwrap();
    assert_eq!(values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["output"]);
}

#[test]
fn broken_files_get_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(&at.join("net.onnx"), |_| {});
    write(&at.join("custom.onnx"), |g| g.node[5].domain = Some("acme".into()));
    write(&at.join("unknown.onnx"), |g| g.node[5].op_type = Some("Magic".into()));
    write(&at.join("outside.onnx"), |g| {
        let entry = |k: &str, v: &str| Entry { key: Some(k.into()), value: Some(v.into()) };
        let t = &mut g.initializer[0];
        (t.raw_data, t.data_location) = (None, Some(1));
        t.external_data = vec![entry("location", "w.bin")];
    });
    let bytes = fs::read(at.join("net.onnx")).unwrap();
    fs::write(at.join("half.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at.join("text.pt"), "no archive").unwrap();
    fs::write(at.join("c.yaml"), "files:\n  - {file: net.onn}\n  - {file: net.onnx, dims: {'n': 0}, alow: [x]}\n")
        .unwrap();
    let check = |words: &str| refused(at, &format!("check --baseline b.json {words}"));
    insta::assert_snapshot!(check("--onnx gone.onnx"), @"error: gone.onnx: No such file or directory (os error 2), expected a model file");
    insta::assert_snapshot!(check("--onnx half.onnx"), @"error: half.onnx: found no ONNX model (failed to decode Protobuf message: Model.graph: buffer underflow), expected one");
    insta::assert_snapshot!(check(&format!("--onnx custom.onnx {SIZES}")), @r#"error: custom.onnx: node "": found the custom operator acme.LeakyRelu, expected operators of ONNX or ONNX Runtime"#);
    insta::assert_snapshot!(check(&format!("--onnx outside.onnx {SIZES}")), @"error: outside.onnx: tensor table: its values stand in w.bin: No such file or directory (os error 2), expected that file beside the model");
    insta::assert_snapshot!(check("--onnx net.onnx --dim n=2"), @"error: net.onnx: input ids: found the dynamic axis batch in [batch, n], expected its size: --dim batch=1, or dims: in the config");
    insta::assert_snapshot!(check("--onnx net.onnx --dim n=2 --dim batch=1 --range ids=5:9"), @"error: net.onnx: onnxruntime refuses it: Non-zero status code returned while running Gather node. Name:'' Status Message: indices element out of data bounds, idx=7 must be within the inclusive range [-5,4]");
    insta::assert_snapshot!(check("--torchscript text.pt --size x=1x3"), @"error: text.pt: found no archive (invalid Zip archive: Invalid zip header), expected a TorchScript file, as torch.jit.save writes it");
    insta::assert_snapshot!(check("--torchscript text.pt"), @"error: text.pt: found no sizes, expected one for each input of forward, in order: --size images=1x3x224x224, or inputs: in the config");
    insta::assert_snapshot!(check("--config c.yaml"), @r#"
    error: c.yaml: 3 mistakes
      line 2, files.0.format: found a name ending in "onn", expected a format: onnx, torchscript, openvino, tflite
      line 3, files.1.alow: unknown key, did you mean allow? (keys here: allow, baseline, dims, file, format, inputs, name, tolerance)
      line 3, files.1.dims: found 0 for n, expected a size of at least 1
    "#);
    insta::assert_snapshot!(refused(at, &format!("check --onnx net.onnx {SIZES}")), @"error: found nothing to compare with, expected --baseline FILE, --baseline-binary PATH, --baseline-model NAME, --baseline-onnx FILE, --baseline-torchscript FILE, --baseline-openvino FILE, --baseline-tflite FILE");
    insta::assert_snapshot!(refused(at, &format!("check --onnx net.onnx --baseline-onnx gone.onnx {SIZES}")), @"error: gone.onnx: found no file, expected an older model");
    insta::assert_snapshot!(refused(at, &format!("check --onnx net.onnx --baseline-onnx a.onnx,b.onnx {SIZES}")), @"error: --baseline-onnx: found 2 files, expected one for each of 1 of --onnx");
    insta::assert_snapshot!(refused(at, "run --onnx net.onnx --size ids=2"), @"error: net.onnx: input ids: found the size 2, expected int64[batch, n]");
    let said = said(&run(at, "run --onnx net.onnx --size ids=axb"));
    assert!(said.contains("expected NAME=1x3x224x224 or NAME=1x128:int64"), "{said}");
    let out = check(&format!("--onnx unknown.onnx {SIZES}"));
    assert!(out.starts_with("error: unknown.onnx: onnxruntime refuses it: ") && out.contains("Magic"), "{out}");
    let out = run(at, &format!("run --onnx unknown.onnx {SIZES}"));
    assert_eq!(out.status.code(), Some(1), "a file that does not run is a row, and a failure");
}
