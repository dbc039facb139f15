//! The regression check from the command line: baselines, exit codes, files.

use std::fs;
use std::path::Path;
use std::process::Output;

use mobilenas_bench::process::MeasureError;
use mobilenas_bench::regression::paired::{PairedComparison, PairedRule, PairedRun};
use mobilenas_bench::regression::round::{PairedRound, RoundSource};
use mobilenas_bench::regression::{RegressionReport, Verdict};
use mobilenas_pipeline::config;

use crate::common::{program, ran, said};

const SMALL: &str = "mobilenetv3_small_100";

fn run(dir: &Path, words: &[&str]) -> Output {
    ran(program(dir).arg("bench").args(words))
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
    let text = fs::read_to_string(dir.path().join("b.json")).unwrap();
    fs::write(dir.path().join("twice.json"), text.replace("\"exact\": {", "\"exact\": {}, \"exact\": {")).unwrap();
    let out = run(dir.path(), &["check", "--baseline", "twice.json"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("error: twice.json: the key \"exact\" twice at line 4"), "{}", said(&out));
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

/// Rounds as a file has them.
struct Recorded<'a>(std::slice::Iter<'a, PairedRound>);

impl RoundSource for Recorded<'_> {
    fn round(&mut self, _: u64) -> Result<PairedRound, MeasureError> {
        self.0.next().cloned().ok_or(MeasureError::Stopped)
    }
}

/// Which network is faster is the machine's business; that the verdict follows from the recorded times is the program's.
#[test]
fn two_networks_in_fresh_process_pairs_get_the_verdict_of_their_times() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("short.yaml"), "paired: {looks: [2, 3], blocks: 10}\n").unwrap();
    let models = ["check", "--models", "mobilenetv2_100", "--baseline-model", SMALL];
    let words = [&models[..], &["--config", "short.yaml", "--out", "out", "--why"]].concat();
    let out = run(dir.path(), &words);
    let report: RegressionReport =
        serde_json::from_str(&fs::read_to_string(dir.path().join("out/check.json")).unwrap()).unwrap();
    let (finding, sample) = (&report.findings[0], &report.samples[0]);
    assert_eq!(out.status.code(), Some(if finding.verdict == Verdict::Fail { 3 } else { 0 }), "{}", said(&out));
    let seen: PairedComparison = serde_json::from_value(sample["runs"].clone()).unwrap();
    let rule: PairedRule = serde_json::from_value(sample["rule"].clone()).unwrap();
    let runs: Vec<&PairedRun> = std::iter::once(&seen.first).chain(&seen.second).collect();
    let rounds: Vec<PairedRound> = runs.iter().flat_map(|r| r.rounds.all.clone()).collect();
    assert!(
        rounds.len() >= 2 && rounds.iter().all(|r| r.baseline_ms.len() >= 5 && r.candidate_ms.iter().all(|t| *t > 0.0))
    );
    let again = rule.compare(&mut Recorded(rounds.iter()), &mut |_| {}).unwrap();
    assert_eq!((again.verdict, again), (finding.verdict, seen.clone()));
    assert_eq!(run(dir.path(), &["check", "--baseline-binary", "nothing"]).status.code(), Some(2));
}

#[test]
fn the_config_that_ships_reads_and_mistakes_come_all_at_once() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = config::load_gate(&here.join("../configs/gate/gate.yaml")).unwrap();
    assert_eq!(config, config::RegressionConfig::default(), "it spells the defaults out");
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
