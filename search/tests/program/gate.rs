//! The gate from the command line: baselines, exit codes, files.

use std::fs;
use std::path::Path;
use std::process::Output;

use mobilenas::config;

use crate::common::{program, said};

const SMALL: &str = "mobilenetv3_small_100";

fn run(dir: &Path, words: &[&str]) -> Output {
    program(dir).arg("bench").args(words).output().unwrap()
}

fn blessed(dir: &Path) {
    fs::write(dir.join("fast.yaml"), "models: [mobilenetv3_small_100]\nexact: {logits: false}\n").unwrap();
    let out = run(dir, &["bless", "--baseline", "b.json", "--config", "fast.yaml"]);
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn what_was_blessed_passes_and_a_change_fails_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    blessed(dir.path());
    let check = ["check", "--baseline", "b.json", "--config", "fast.yaml", "--out", "out", "--require-baseline"];
    let out = run(dir.path(), &check);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let file = dir.path().join("b.json");
    let changed = fs::read_to_string(&file).unwrap().replace("\"params\": 2542856", "\"params\": 2542000");
    fs::write(&file, changed).unwrap();
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    let out = run(dir.path(), &[&check[..], &["--why", "--github"]].concat());
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    let text = said(&out);
    assert!(text.contains("params 2542000 -> 2542856 (+0.03 %)"), "{text}");
    assert!(text.contains("If the change is wanted, bless it."), "{text}");
    assert!(text.contains("::error title=mobilenetv3_small_100 params%3A fail::"), "{text}");
    for name in ["check.json", "check.md", "check.junit.xml", "check.bencher.json"] {
        assert!(dir.path().join("out").join(name).is_file(), "{name} is written before the exit");
    }
    let out = run(dir.path(), &["bless", "--baseline", "b.json", "--config", "fast.yaml"]);
    assert!(said(&out).contains("mobilenetv3_small_100: params 2542000 -> 2542856 (+0.03 %)"), "{}", said(&out));
    assert_eq!(run(dir.path(), &check).status.code(), Some(0));
}

#[test]
fn baselines_that_cannot_serve() {
    let dir = tempfile::tempdir().unwrap();
    blessed(dir.path());
    let code = |words: &[&str]| run(dir.path(), &[&["check", "--config", "fast.yaml"], words].concat()).status.code();
    assert_eq!(code(&["--baseline", "none.json"]), Some(0));
    assert_eq!(code(&["--baseline", "none.json", "--require-baseline"]), Some(4));
    assert_eq!(code(&["--baseline", "b.json", "--stored"]), Some(0));
    assert_eq!(code(&["--baseline", "b.json", "--stored", "--require-baseline"]), Some(4));
    fs::write(dir.path().join("c.json"), "{\"schema\": 9}").unwrap();
    let out = run(dir.path(), &["check", "--baseline", "c.json"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("error: c.json: schema 9, expected schema 1"), "{}", said(&out));
}

#[test]
fn a_network_that_is_gone_is_never_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    blessed(dir.path());
    fs::write(dir.path().join("other.yaml"), "models: [mobilenetv2_100]\nexact: {logits: false}\n").unwrap();
    let out = run(dir.path(), &["check", "--baseline", "b.json", "--config", "other.yaml"]);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("missing"), "{}", said(&out));
}

#[test]
fn another_network_is_slower_in_fresh_process_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["check", "--models", "mobilenetv2_100", "--baseline-model", SMALL, "--out", "out", "--why"];
    let out = run(dir.path(), &words);
    // A machine that is too noisy for a verdict has to say so.
    let text = said(&out);
    assert!(matches!(out.status.code(), Some(3)) || text.contains("too noisy"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("out/check.json")).unwrap()).unwrap();
    assert_eq!(json["schema"], 1);
    let rounds = json["samples"][0]["runs"]["first"]["rounds"]["all"].as_array().unwrap();
    assert!(rounds.len() >= 4 && rounds[0]["baseline_ms"].as_array().unwrap().len() >= 5);
    assert_eq!(run(dir.path(), &["check", "--baseline-binary", "nothing"]).status.code(), Some(2));
}

#[test]
fn the_config_that_ships_reads_and_mistakes_come_all_at_once() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = config::load_gate(&here.join("../configs/gate/gate.yaml")).unwrap();
    assert_eq!(config, config::GateConfig::default(), "it spells the defaults out");
    let schema = fs::read_to_string(here.join("../configs/gate/schema.json")).unwrap();
    let printed: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(printed, config::gate_schema(), "write it anew: mobilenas schema gate > configs/gate/schema.json");
    let dir = tempfile::tempdir().unwrap();
    let text =
        "models: [mobilevit_xx]\npaired:\n  looks: [8, 4]\n  delta: 0.5\n  engine: torch\n  blocks: 2\nexakt: {}\n";
    fs::write(dir.path().join("c.yaml"), text).unwrap();
    let out = run(dir.path(), &["check", "--baseline", "b.json", "--config", "c.yaml"]);
    assert_eq!(out.status.code(), Some(2));
    let text = said(&out);
    for part in ["line 1, models", "line 6, paired.blocks", "line 7, exakt"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
