//! A search over two small spaces: what it writes, and that it ends alike however it is killed and resumed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use mobilenas_torch::weights::load;
use serde_json::Value;

use crate::common::{assert_same_rows, checkpoints, kill_at, output, program_with_data, rows_of, succeed};
use crate::config_parts::{quick, strides};

/// MobileViT v1 and v2 with few choices at the end, so that few of the published variants, scaled, lie in the spaces.
const CONFIG: &str = concat!(
    "
name: tiny
seed: 5
threads: 1
spaces:
- name: small
  family: mobilevit_v1
  scale: {width: 0.25, divisor: 8}
  knobs:
    resolution: [16]
    stages.4.dim: [24, 32]
",
    strides!(),
    "- family: mobilevit_v2
  scale: {width: 0.125, divisor: 8}
  knobs:
    resolution: [16]
    stages.4.dim: [16, 24]
",
    strides!(),
    quick!(),
    "retrain: {best: 1, variants: false, epochs: 0.2, batch: 64, warmup: 0}
checkpoint_seconds: 0
"
);

/// The config; the number of workers is no part of what a run is.
fn config(dir: &Path, workers: usize) -> PathBuf {
    let file = dir.join(format!("{workers}.yaml"));
    let search = format!(
        "search: {{strategy: {{random: {{}}}}, allocation: ucb1, trials: 7, workers: {workers}, cache: {{enabled: false}}}}"
    );
    fs::write(&file, format!("{CONFIG}{search}\n")).unwrap();
    file
}

fn search(dir: &Path, run: &Path, (workers, resume): (usize, bool)) -> Command {
    let mut c = program_with_data(dir);
    c.arg("search").arg(config(dir, workers)).arg("--out").arg(run).args(resume.then_some("--resume"));
    c
}

/// A run that nothing disturbed, made once.
fn undisturbed() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let out = succeed(search(dir.path(), &dir.path().join("run"), (1, false)));
        assert!(out.contains("report:"), "{out}");
        dir
    });
    Box::leak(dir.path().join("run").into_boxed_path())
}

fn spaces(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|r| r["space"].as_str().unwrap().to_string()).collect()
}

#[test]
fn two_spaces_have_a_supernet_each_and_share_trials_front_and_report() {
    let run = undisturbed();
    assert_eq!(spaces(&rows_of(run, "supernet")), ["small", "mobilevit_v2"]);
    for row in rows_of(run, "supernet") {
        assert_eq!(row["epochs"], 0.5, "one epoch is shared");
    }
    for file in ["supernet-small.safetensors", "supernet-mobilevit_v2.safetensors", "report/table.md"] {
        assert!(run.join(file).exists(), "{file}");
    }
    let trials = rows_of(run, "trial");
    let (searched, variants): (Vec<Value>, Vec<Value>) = trials.into_iter().partition(|t| t["origin"] == "search");
    assert_eq!((searched.len(), searched[0]["space"].as_str()), (7, Some("small")));
    assert_eq!(spaces(&searched)[1], "mobilevit_v2", "every space is tried");
    let variants = variants.iter().map(|t| (t["space"].as_str().unwrap(), t["origin"]["variant"].as_str().unwrap()));
    let expected =
        [("small", "mobilevit_xxs"), ("mobilevit_v2", "mobilevitv2_050"), ("mobilevit_v2", "mobilevitv2_075")];
    assert_eq!(variants.collect::<Vec<_>>(), expected, "published variants of each space, on its own supernet");
    let header = &rows_of(run, "run")[0];
    assert_eq!(header["spaces"][1]["family"], "mobilevit_v2");
    assert_eq!(
        (&header["spaces"][1]["name"], &header["family"]),
        (&"mobilevit_v2".into(), &"mobilevit_v1, mobilevit_v2".into())
    );
    let page = fs::read_to_string(run.join("report/index.html")).unwrap();
    assert!(page.contains("A search over 2 spaces (small with "), "no sentence about the spaces");
    assert!(page.contains("<h3>Space mobilevit_v2</h3>"), "knobs of both are one table");
    let csv = fs::read_to_string(run.join("trials.csv")).unwrap();
    assert!(csv.lines().next().unwrap().contains(",space,") && csv.contains(",mobilevit_v2,"), "{csv}");
}

#[test]
fn killed_while_the_second_supernet_trains_and_among_trials_it_ends_alike() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let of = |kind: &str| rows_of(&run, kind).len();
    // As a kill right after the header leaves it.
    fs::create_dir(&run).unwrap();
    let whole = fs::read_to_string(undisturbed().join("journal.jsonl")).unwrap();
    fs::write(run.join("journal.jsonl"), format!("{}\n", whole.lines().next().unwrap())).unwrap();
    kill_at(search(dir.path(), &run, (1, true)), || of("supernet") == 1 && checkpoints(&run) == 1);
    assert_eq!((of("supernet"), of("trial")), (1, 0), "it was killed in another phase than meant");
    // Three variants and three of seven trials.
    kill_at(search(dir.path(), &run, (1, true)), || of("trial") >= 6);
    assert!(of("trial") < 10, "it was killed in another phase than meant");
    // With workers, which have both supernets.
    succeed(search(dir.path(), &run, (2, true)));
    let journal = |run: &Path| run.join("journal.jsonl");
    assert_same_rows(&journal(&run), &journal(undisturbed()), &["mes"], "killed");
    for file in ["supernet-small.safetensors", "supernet-mobilevit_v2.safetensors"] {
        assert!(fs::read(run.join(file)).unwrap() == fs::read(undisturbed().join(file)).unwrap(), "{file} differs");
    }
}

#[test]
fn a_network_leaves_a_run_from_its_own_space() {
    let (run, dir) = (undisturbed(), tempfile::tempdir().unwrap());
    let trials = rows_of(run, "trial");
    let mut families = BTreeSet::new();
    for space in ["small", "mobilevit_v2"] {
        let trial = trials.iter().rfind(|t| t["space"] == space).unwrap();
        let out = dir.path().join(format!("{space}.safetensors"));
        let mut c = program_with_data(dir.path());
        c.args(["weights", "export", "--inherited", "--trial", &trial["id"].to_string(), "--run"]).arg(run);
        let said = succeed({
            c.arg("--out").arg(&out);
            c
        });
        assert!(said.contains("cut from the supernet"), "{said}");
        families.extend(load(&out).unwrap().1.remove("family"));
    }
    assert_eq!(families.into_iter().collect::<Vec<_>>(), ["mobilevit_v1", "mobilevit_v2"]);
    // A winner's genome says its family, so what reads it needs no more than its number.
    let id = rows_of(run, "retrained")[0]["trial"].to_string();
    let genome = fs::read_to_string(run.join(format!("winners/{id}.yaml"))).unwrap();
    assert!(genome.contains("family: mobilevit_v"), "{genome}");
}

#[test]
fn a_bench_of_one_of_several_spaces_has_to_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = program_with_data(dir.path());
    c.args(["bench", "score"]).arg(config(dir.path(), 1));
    let (code, _, said) = output(c);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("found the space none, expected one of small, mobilevit_v2"), "{said}");
}
