//! The real program with another device: a command here, which says that a network takes as many microseconds as its file has
//! bytes.

use std::fs;
use std::path::Path;

use mobilenas_bench::latency_table::Table;
use mobilenas_bench::latency_table::row::{TableRow, TableSource};
use serde_json::Value;

use super::latency_table::{SPACE, folder, run};
use crate::common::{rows, rows_of};

/// A config whose latencies come from such a device.
fn config(dir: &Path, run: &str) {
    let device = format!(
        "latency:
  source: imported
  table: phone.jsonl
  threads: 2
  device:
    command:
      describe: echo device=A phone; echo os=Its system
      condition: echo celsius=40
      runner:
        run: {run}
        unit: us
        statistic: median
        runtime: counter
        version: '1'
        delegate: wc
        pause_seconds: 0
"
    );
    fs::write(dir.join("c.yaml"), format!("{SPACE}{device}")).unwrap();
}

const BUILD: &[&str] = &["latency-table", "build", "c.yaml", "--rounds", "2", "--fit", "6", "--validate", "8"];

#[test]
fn a_table_is_filled_on_a_device_and_goes_on_where_it_was_stopped() {
    let dir = folder();
    // After so many runs the program there fails, until somebody looks after it.
    let failing = "echo >> runs; test $(wc -l < runs) -le 100 && wc -c < {file}";
    config(dir.path(), failing);
    let (code, said) = run(dir.path(), BUILD);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ended (exit status: 1), expected exit status 0"), "{said}");
    assert!(said.contains("A phone, Its system") && !dir.path().join("phone.jsonl").exists(), "{said}");
    // The command is part of the protocol.
    config(dir.path(), "wc -c < {file}");
    let (code, said) = run(dir.path(), BUILD);
    assert!(code == 2 && said.contains("another protocol"), "{said}");
    config(dir.path(), failing);
    let mut times = 0;
    loop {
        fs::remove_file(dir.path().join("runs")).unwrap();
        times += 1;
        if run(dir.path(), BUILD).0 == 0 {
            break;
        }
        assert!(times < 20 && !dir.path().join("phone.jsonl").exists());
    }
    holds_what_the_device_said(dir.path());
    let (code, said) = run(dir.path(), &["check", "c.yaml"]);
    assert_eq!(code, 0, "{said}");
}

fn holds_what_the_device_said(dir: &Path) {
    let table = Table::load(&dir.join("phone.jsonl")).unwrap();
    let (h, on) = (&table.header, table.header.on.as_ref().unwrap());
    assert_eq!(
        (h.source, h.device.as_deref(), h.host.as_ref()),
        (TableSource::Imported, Some("A phone, Its system"), None)
    );
    assert_eq!((h.engine.name.as_str(), h.engine.version.as_str(), h.engine.threads), ("counter+wc", "1", 2));
    assert_eq!((on.delegate.as_deref(), on.statistic.as_str(), on.threads), (Some("wc"), "median", 2));
    assert!(h.whole && h.blocks == table.blocks.len());
    let reference = table.reference.as_ref().unwrap().latency.median_ms;
    for b in &table.blocks {
        assert!((b.ms / reference - b.ratio.unwrap()).abs() < 1e-12 && b.again.is_none(), "{b:?}");
        assert_eq!((b.count, b.spread), (2, Some(0.0)));
    }
    let v = table.validation.as_ref().unwrap();
    assert_eq!((v.fit_nets, v.nets), (6, 8));
    let text = fs::read_to_string(dir.join("phone.jsonl")).unwrap();
    let seen = text.lines().filter_map(|l| match serde_json::from_str(l).unwrap() {
        TableRow::Rounds(r) => r.seen,
        _ => None,
    });
    assert!(seen.count() > 1);
}

#[test]
fn mistakes_in_a_device_are_told_with_their_lines() {
    let dir = folder();
    let said = |text: &str| {
        fs::write(dir.path().join("d.yaml"), text).unwrap();
        let (code, said) = run(dir.path(), &[BUILD, &["--device", "d.yaml"]].concat());
        assert_eq!(code, 2, "{said}");
        said
    };
    let all = said("ssh:\n  host: pi\n  prot: 22\n  runner: {tool: benchncn, run: x}\n");
    assert!(all.contains("line 3, ssh.prot: ") && all.contains("did you mean port?"), "{all}");
    let all = said("ssh:\n  host: pi\n  runner: {tool: benchncn, run: x}\n");
    for expected in
        ["line 3, ssh.runner.tool: found \"benchncn\"", "did you mean benchncnn?", "line 3, ssh.runner.run: "]
    {
        assert!(all.contains(expected), "{all}\nexpected: {expected}");
    }
    assert!(said("sshh: {host: pi}\n").contains("did you mean ssh?"));
    fs::write(
        dir.path().join("c.yaml"),
        format!("{SPACE}latency: {{device: {{adb: {{runner: {{tool: mobilenas}}}}}}}}\n"),
    )
    .unwrap();
    let (code, all) = run(dir.path(), &["check", "c.yaml"]);
    assert!(
        code == 2 && all.contains("latency.device: found a device, expected measured_on: device, or source imported"),
        "{all}"
    );
}

/// A search whose candidates such a device times: one network takes as many microseconds as its file has bytes.
fn search_on(dir: &Path, run: &str) {
    let latency = format!(
        "latency:
  measured_on: device
  rounds: 3
  device:
    command:
      describe: cat described
      runner: {{run: '{run}', unit: us, statistic: median, runtime: counter, version: '1', pause_seconds: 0, away_seconds: 0}}
"
    );
    fs::write(dir.join("s.yaml"), format!("name: s\n{SPACE}{latency}")).unwrap();
}

#[test]
fn a_search_has_its_candidates_timed_on_a_device_and_goes_on_when_it_is_back() {
    let dir = folder();
    let search = |out: &str, more: &[&str]| run(dir.path(), &[&["search", "s.yaml", "--out", out][..], more].concat());
    // After so many runs the device is away; one network is refused.
    let size = "test $(wc -c < {file}) -lt 15000000 && wc -c < {file}";
    let away = format!("echo >> runs; test $(wc -l < runs) -le 26 || exit 75; {size}");
    let described = |device: &str| fs::write(dir.path().join("described"), format!("device={device}\nos=Its system\n"));
    described("A phone").unwrap();
    search_on(dir.path(), &away);
    let (code, said) = search("a/run", &[]);
    assert!(code == 1 && said.contains("away"), "{said}");
    let journal = dir.path().join("a/run/journal.jsonl");
    let before = rows_of(&dir.path().join("a/run"), "trial").len();
    assert!(before < 6, "{before} trials");
    // Another device gives other latencies.
    described("Another phone").unwrap();
    let (code, said) = search("a/run", &["--resume"]);
    assert!(
        code == 2 && said.contains("holds a run of another device: counter 1, on A phone, Its system: 3 rounds"),
        "{said}"
    );
    described("A phone").unwrap();
    fs::remove_file(dir.path().join("runs")).unwrap();
    while search("a/run", &["--resume"]).0 != 0 {
        fs::remove_file(dir.path().join("runs")).unwrap();
    }
    search_on(dir.path(), &format!("true; {size}"));
    let (code, said) = search("b/run", &[]);
    assert_eq!(code, 0, "{said}");
    // A file's size does not change: not even latencies differ.
    let trials = |run: &str| {
        let mut all = rows_of(&dir.path().join(run), "trial");
        all.iter_mut().for_each(|t| t["seconds"] = Value::Null);
        all
    };
    assert_eq!(trials("a/run"), trials("b/run"));
    let header = rows(&journal).remove(0);
    assert_eq!(
        (&header["run"]["engine"]["name"], &header["run"]["engine"]["version"]),
        (&"counter".into(), &"1".into())
    );
    let unit = rows_of(&dir.path().join("a/run"), "unit").remove(0);
    assert_eq!(unit["host"], "A phone, Its system");
    let bytes = unit["latency"]["median_ms"].as_f64().unwrap() * 1000.0;
    assert!(bytes > 13e6 && bytes.fract() < 1e-6, "MobileNetV2's file has {bytes} bytes");
    for trial in trials("a/run") {
        let latency = &trial["latency"];
        assert_eq!((latency["samples"].as_u64(), &latency["p10_ms"]), (Some(3), &latency["median_ms"]), "{trial}");
        let bytes = latency["median_ms"].as_f64().unwrap() * 1000.0;
        assert!(bytes > 1e5 && (bytes - bytes.round()).abs() < 1e-3, "{bytes}");
    }
}

/// Refuses large files until it is told better.
const DEVICE: &str = "\
command:
  describe: echo device=A phone; echo os=Its system
  runner:
    run: '{ test -e large || test $(wc -c < {file}) -lt 15000000; } && wc -c < {file}'
    unit: us
    statistic: min
    pause_seconds: 0
";

#[test]
fn networks_are_measured_on_a_device() {
    let dir = folder();
    fs::write(dir.path().join("d.yaml"), DEVICE).unwrap();
    let models = ["bench", "run", "--device", "d.yaml", "--models", "mobilenetv1_100,mobilevit_xxs,mobilenetv2_100"];
    let (code, said) = run(dir.path(), &[&models[..], &["--out", "o"]].concat());
    assert!(code == 0 && said.contains("2 measured, 1 failed"), "{said}");
    assert!(said.contains("failed  command: `") && said.contains("ended (exit status: 1)"), "{said}");
    let (code, said) = run(dir.path(), &[&models[..], &["--out", "o"]].concat());
    assert!(code == 2 && said.contains("--resume goes on"), "{said}");
    fs::write(dir.path().join("large"), "").unwrap();
    let (code, said) = run(dir.path(), &[&models[..], &["--out", "o", "--resume"]].concat());
    assert!(code == 0 && said.contains("3 measured, 0 failed"), "{said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("o/device.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let row = |model: &str| rows.iter().find(|r| r["model"] == model).unwrap();
    assert_eq!((rows.len(), &row("mobilevit_xxs")["device"]["device"]), (3, &Value::from("A phone")));
    let measured = &row("mobilenetv2_100")["outcome"]["measured"];
    assert_eq!(measured["ms"].as_array().unwrap().len(), 6);
    assert_eq!(measured["ratio"], 1.0, "the reference beside itself");
    assert!(dir.path().join("o/model_zoo.svg").exists());
    let (code, said) = run(dir.path(), &["bench", "run", "--device", "d.yaml", "--models", "no_such"]);
    assert!(code == 2 && said.contains("no_such"), "{said}");
}

#[test]
fn the_gate_compares_networks_and_files_on_a_device() {
    let dir = folder();
    let sizes = "command: {describe: echo device=A phone, runner: {run: 'wc -c < {file}', unit: us, statistic: mean, pause_seconds: 0}}";
    fs::write(dir.path().join("d.yaml"), sizes).unwrap();
    let check = |words: &[&str]| run(dir.path(), &[&["bench", "check", "--device", "d.yaml"], words].concat());
    let (code, said) = check(&["--models", "mobilevit_xxs", "--baseline-model", "mobilevit_xxs", "--out", "o"]);
    assert!(code == 0 && said.contains("mobilevit_xxs against mobilevit_xxs on A phone, unknown"), "{said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("o/check.json")).unwrap()).unwrap();
    assert_eq!(report["samples"][0]["device"]["device"], "A phone");
    assert_eq!(report["samples"][0]["runs"]["first"]["verdict"], "pass");
    let (code, said) = check(&["--models", "mobilenetv2_100", "--baseline-model", "mobilevit_xxs"]);
    assert!(code == 3 && said.contains("second run"), "{said}");
    for (model, file) in [("mobilevit_xxs", "new.onnx"), ("mobilenetv2_100", "old.onnx")] {
        let (code, said) = run(dir.path(), &["weights", "export", "--model", model, "--out", file]);
        assert_eq!(code, 0, "{said}");
    }
    let (_, said) = check(&["--onnx", "new.onnx", "--baseline-onnx", "old.onnx"]);
    let line = said.lines().find(|l| l.contains("on A phone")).unwrap_or_default();
    assert!(line.contains("pass"), "{said}");
    let (code, said) = check(&["--models", "mobilevit_xxs", "--baseline-engine", "onnxruntime"]);
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
}
