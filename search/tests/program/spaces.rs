//! A search and a study over two small spaces: what they write, and that they end alike however they are killed and resumed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use mobilenas_reports::study::{NetworkOrigin, Study, fidelities, fidelities_by_space};
use mobilenas_torch::weights::load;
use serde_json::Value;

use crate::common::{assert_same_rows, checkpoints, kill_at, output, program_with_data, rows, rows_of, succeed};
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

/// A study over both spaces.
const STUDY: &str = "\
search: {strategy: {random: {}}, allocation: ucb1, trials: 6}
study: {subnets: 3, subnet_epochs: 0.2, finetune: [{steps: 1}], rules: [{rule: uniform, epochs: 0.5}], strategies: [], \
                     seeds: 1, retrain_seeds: 1, rounds: 3}
";

fn study(dir: &Path, out: &Path, (workers, resume): (usize, bool)) -> Command {
    let file = dir.join(format!("study-{workers}.yaml"));
    let text = format!("{CONFIG}{}", STUDY.replace("rounds: 3", &format!("rounds: 3, workers: {workers}")));
    fs::write(&file, text).unwrap();
    let mut c = program_with_data(dir);
    c.arg("study").arg(file).arg("--out").arg(out).args(resume.then_some("--resume"));
    c
}

#[test]
fn a_study_of_two_spaces_ends_alike_when_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let said = succeed(study(dir.path(), &whole, (1, false)));
    for part in [
        "rank fidelity, uniform, recalibrated: Kendall's tau",
        "space small: rank fidelity, uniform, fine-tuned for 1 steps: Kendall's tau",
        "space mobilevit_v2: rank fidelity, uniform, not recalibrated: Kendall's tau",
        "trained alike, found 1: test top-1",
        "trained alike, mobilevitv2_050: test top-1",
        "trained alike, mobilevit_xxs: test top-1",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let read = Study::read(&whole).unwrap();
    let damage: Vec<_> = read.caveats.iter().filter(|c| c.text.contains(" line ")).collect();
    assert!(damage.is_empty() && read.done.is_some(), "{damage:?}");
    assert_eq!(read.header.family, "mobilevit_v1, mobilevit_v2");
    let of = |space: &str, origin: NetworkOrigin| {
        let own = read.networks.iter().filter(|n| n.space.as_deref() == Some(space) && n.origin == origin);
        own.map(|n| n.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("small", NetworkOrigin::Drawn), ["drawn 1", "drawn 2", "drawn 3"]);
    assert_eq!(of("mobilevit_v2", NetworkOrigin::Drawn), ["drawn 4", "drawn 5", "drawn 6"]);
    assert_eq!(of("small", NetworkOrigin::Published), ["mobilevit_xxs"]);
    assert_eq!(of("mobilevit_v2", NetworkOrigin::Published), ["mobilevitv2_050", "mobilevitv2_075"]);
    // Scored with the weights of their own space's supernet, and not on it alone.
    let scores = fs::read_to_string(whole.join("scores.jsonl")).unwrap();
    assert!(["small", "mobilevit_v2"].iter().all(|s| scores.contains(&format!("\"space\":\"{s}\""))), "{scores}");
    for file in ["supernet-uniform-small.safetensors", "supernet-uniform-mobilevit_v2.safetensors"] {
        assert!(whole.join(file).exists(), "{file}");
    }
    assert_eq!(fidelities(&read).iter().map(|f| f.pairs.len()).collect::<Vec<_>>(), [6, 6, 6]);
    let by_space = fidelities_by_space(&read);
    assert!(by_space.iter().all(|(_, own)| own.iter().all(|f| f.pairs.len() == 3)), "{by_space:?}");
    let csv = fs::read_to_string(whole.join("study/networks.csv")).unwrap();
    assert!(csv.starts_with("id,name,origin,space,"), "{csv}");

    let count = |kind: &str| rows(&killed.join("study.jsonl")).iter().filter(|r| r.get(kind).is_some()).count();
    kill_at(study(dir.path(), &killed, (1, false)), || count("inherited") >= 4);
    kill_at(study(dir.path(), &killed, (2, true)), || count("retrained") >= 2);
    succeed(study(dir.path(), &killed, (1, true)));
    assert_same_rows(&killed.join("study.jsonl"), &whole.join("study.jsonl"), &[], "killed");
}

#[test]
fn a_bench_of_one_of_several_spaces_has_to_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = config(dir.path(), 1);
    for verb in [&["score"][..], &["search"], &["train", "--supernet"]] {
        let bench = |more: &[&str]| {
            let mut c = program_with_data(dir.path());
            c.arg("bench").args(verb).arg(&file).args(more);
            output(c)
        };
        let (code, _, said) = bench(&[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("found the space none, expected one of small, mobilevit_v2"), "{said}");
        let quick: &[&str] = match verb[0] {
            "search" => &["--evaluations", "100", "--seeds", "1", "--candidates", "100"],
            "train" => &["--steps", "1", "--batch", "2"],
            _ => continue,
        };
        let (code, out, said) = bench(&[&["--space", "mobilevit_v2"], quick].concat());
        assert_eq!(code, 0, "{out}{said}");
    }
}
