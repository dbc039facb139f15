//! Searches on a tiny supernet: the same with any number of workers and resumed; scores are looked up where another run
//! has found them out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{assert_same_rows, comparable, kill_at, program_with_data, ran, rows_of, succeed};
use crate::config_parts::{quick, strides};

/// The score here is one of parameters alone, so that slimming, which is guided by it, does the same twice.
const CONFIG: &str = concat!(
    "
seed: 5
threads: 1
space:
  family: mobilevit_v1
  scale: {width: 0.25, divisor: 8}
  knobs:
    resolution: [16]
",
    strides!(),
    quick!(),
    "mes: {alpha_latency: 0}
retrain: {best: 0, epochs: 0.1, batch: 64, warmup: 0}
checkpoint_seconds: 1000
"
);

struct Tiny {
    dir: TempDir,
}

impl Tiny {
    fn new(strategy: &str, objectives: &str, more: &str) -> Tiny {
        let dir = TempDir::new().unwrap();
        let objectives = format!("[{{metric: top1, goal: maximize}}, {objectives}]");
        for workers in [1, 2, 3] {
            let search =
                format!("search: {{strategy: {{{strategy}}}, objectives: {objectives}, workers: {workers}, {more}}}\n");
            fs::write(dir.path().join(format!("{workers}.yaml")), format!("name: tiny\n{CONFIG}{search}")).unwrap();
        }
        Tiny { dir }
    }

    /// The folder of a run; runs in different places know nothing of each other's scores.
    fn folder(&self, place: &str, run: &str) -> PathBuf {
        self.dir.path().join(place).join(run)
    }

    fn search(&self, workers: u32, run: &Path) -> Command {
        let mut c = program_with_data(self.dir.path());
        c.arg("search").arg(format!("{workers}.yaml")).arg("--out").arg(run).args(run.exists().then_some("--resume"));
        c
    }
}

fn trials_of(run: &Path) -> Vec<Value> {
    rows_of(run, "trial")
}

const MACS: &str = "{metric: macs, goal: minimize}";

/// A whole run with one worker.
fn whole(strategy: &str, objectives: &str, more: &str) -> (Tiny, PathBuf) {
    let tiny = Tiny::new(strategy, objectives, more);
    let run = tiny.folder("a", "run");
    succeed(tiny.search(1, &run));
    (tiny, run)
}

/// With two workers, killed in the middle, and resumed with three. That each strategy goes on from a journal as if never
/// stopped is tested where strategies are.
#[test]
fn a_search_is_the_same_with_any_number_of_workers_and_resumed() {
    let (tiny, whole) =
        whole("nsga2: {population: 4}", MACS, "trials: 10, batch: 4, bounds: {params: 400000, top1: 5}");
    let killed = tiny.folder("b", "run");
    let middle = trials_of(&whole).len() / 2;
    kill_at(tiny.search(2, &killed), || trials_of(&killed).len() >= middle);
    succeed(tiny.search(3, &killed));
    let journal = |run: &Path| run.join("journal.jsonl");
    assert_same_rows(&journal(&killed), &journal(&whole), &[], "resumed");
}

/// A winner and its variant were trained with so many seeds, both with one before either with the next, and the weights of
/// the first training are kept.
fn seeds_in_turn(run: &Path, seeds: usize) {
    let rows = rows_of(run, "retrained");
    let of = |key: &str| rows.iter().map(|r| r[key].as_u64().unwrap()).collect::<Vec<u64>>();
    let (trials, used) = (of("trial"), of("seed"));
    assert_eq!(trials, [trials[0], trials[1]].repeat(seeds));
    assert!(used.chunks(2).all(|pair| pair[0] == pair[1]), "{used:?}");
    let different: BTreeSet<u64> = used.iter().copied().collect();
    assert_eq!(different.len(), seeds);
    let mut weights: Vec<String> = trials[..2].iter().map(|id| format!("{id}.safetensors")).collect();
    weights.sort();
    let mut there: Vec<String> =
        fs::read_dir(run.join("winners")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    there.retain(|name| name.ends_with(".safetensors"));
    there.sort();
    assert_eq!(there, weights);
}

#[test]
fn scores_of_other_runs_are_looked_up() {
    let (tiny, whole) = whole("random: {}", MACS, "trials: 7, batch: 3, proxies: [synflow, nwot, grad_norm]");
    // Another run beside the first finds all its scores there.
    let again = tiny.folder("a", "again");
    succeed(tiny.search(2, &again));
    let (first, second) = (trials_of(&whole), trials_of(&again));
    for (a, b) in first.iter().zip(&second) {
        let mut names: Vec<&str> = b["cached"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["grad_norm", "nwot", "synflow", "top1"]);
        assert!(a.get("cached").is_none());
        for metric in names {
            assert_eq!(a["outcome"]["scored"][metric], b["outcome"]["scored"][metric], "{metric}");
        }
    }
    assert_eq!(first.len(), second.len());
}

/// Candidates that may win and the variants are fine-tuned, some are trained as landmarks, and the winners are among them,
/// trained with several seeds; a search that is killed in the midst goes on to the same rows.
#[test]
fn winners_are_chosen_after_fine_tuning() {
    let more = "trials: 8, batch: 4, finetune: {candidates: 3, steps: 4, lr: 0.001}, landmarks: 4";
    let tiny = Tiny::new("random: {}", MACS, more);
    let config = tiny.dir.path().join("1.yaml");
    let best = |seeds: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let at = text.find("retrain: {").unwrap();
        let rest = text[at..].find("epochs").unwrap();
        fs::write(&config, format!("{}retrain: {{best: 1, {seeds}{}", &text[..at], &text[at + rest..])).unwrap();
    };
    best("seeds: 2, ");
    let whole = tiny.folder("a", "run");
    succeed(tiny.search(1, &whole));
    let finetuned = rows_of(&whole, "finetuned");
    let variants = trials_of(&whole).iter().filter(|t| t["origin"]["variant"].is_string()).count();
    assert!(variants > 0);
    assert_eq!(finetuned.len(), 3 + variants);
    let mut moved = 0;
    for row in &finetuned {
        let trial = &trials_of(&whole)[row["trial"].as_u64().unwrap() as usize];
        assert_eq!(row["steps"], 4);
        assert!(row["metrics"]["top1"].is_number());
        moved += usize::from(row["metrics"]["top1"] != trial["outcome"]["scored"]["top1"]);
    }
    assert!(moved > 0, "four steps change the weights");
    let trained = |row: &Value| finetuned.iter().any(|f| f["trial"] == row["trial"]);
    let retrained = rows_of(&whole, "retrained");
    assert!(!retrained.is_empty() && retrained.iter().all(trained));
    seeds_in_turn(&whole, 2);
    let page = fs::read_to_string(whole.join("report/index.html")).unwrap();
    assert!(page.contains("Fine-tuned candidates") && page.contains("4 networks were trained from scratch"));
    let landmarks = rows_of(&whole, "landmark");
    assert_eq!(landmarks.len(), 4);
    let tuned = |row: &Value| finetuned.iter().find(|f| f["trial"] == row["trial"]).unwrap()["metrics"]["top1"].clone();
    assert!(landmarks.iter().all(|l| l["score"] == tuned(l) && l["trained"].is_number()));

    let killed = tiny.folder("b", "run");
    kill_at(tiny.search(1, &killed), || !rows_of(&killed, "finetuned").is_empty());
    succeed(tiny.search(1, &killed));
    let journal = |run: &Path| run.join("journal.jsonl");
    assert_same_rows(&journal(&killed), &journal(&whole), &[], "resumed");

    // More seeds may follow when all is over.
    best("seeds: 3, ");
    succeed(tiny.search(1, &killed));
    seeds_in_turn(&killed, 3);
    let (before, after) = (rows_of(&whole, "retrained"), rows_of(&killed, "retrained"));
    let accuracy = |row: &Value| row["metrics"]["test_top1"].clone();
    assert!(before.iter().zip(&after).all(|(a, b)| accuracy(a) == accuracy(b)));
    let page = fs::read_to_string(killed.join("report/index.html")).unwrap();
    assert!(page.contains("retrain.seeds 3 in place of 2"));
}

/// Candidates are judged as int8 files, too; the winner is kept in both forms, and scores what its own export scores.
#[test]
fn accuracy_in_int8_is_an_objective() {
    let objectives = format!("{{metric: top1_int8, goal: maximize}}, {MACS}");
    let tiny = Tiny::new("random: {}", &objectives, "trials: 5, batch: 3");
    let config = tiny.dir.path().join("2.yaml");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("best: 0", "best: 1, variants: false")).unwrap();
    let run = tiny.folder("a", "run");
    let mut without = tiny.search(2, &run);
    without.env_remove("ORT_DYLIB_PATH");
    let said = String::from_utf8(without.output().unwrap().stderr).unwrap();
    assert!(said.contains("onnxruntime: ORT_DYLIB_PATH is not set"), "{said}");
    assert!(!run.exists(), "what is missing is told before the run begins");
    succeed(tiny.search(2, &run));
    let scored: Vec<Value> = trials_of(&run).iter().map(|t| t["outcome"]["scored"].clone()).collect();
    let of = |t: &Value, name: &str| t[name].as_f64().unwrap();
    assert!(scored.len() >= 5 && scored.iter().all(|t| (0.0..=100.0).contains(&of(t, "top1_int8"))));
    assert!(scored.iter().any(|t| of(t, "top1_int8") != of(t, "top1")), "rounding to int8 changes some answer");

    let row = &rows_of(&run, "retrained")[0];
    let id = row["trial"].to_string();
    for form in ["onnx", "int8.onnx"] {
        assert!(run.join(format!("winners/{id}.{form}")).is_file(), "{form}");
    }
    let mut export = program_with_data(tiny.dir.path());
    export
        .args(["weights", "export", "--trial", &id, "--int8", "--images", "64", "--json", "--out", "x.onnx", "--run"]);
    let found: Value = serde_json::from_slice(&ran(export.arg(&run)).stdout).unwrap();
    assert_eq!(found["accuracy"]["int8_top1"], row["metrics"]["test_top1_int8"]);
    let page = fs::read_to_string(run.join("report/index.html")).unwrap();
    assert!(page.contains("Test top-1 int8 (%)") && page.contains("Top-1 int8 (%)"));
}

#[test]
fn mes_slimming() {
    let objectives = "{metric: mes, goal: maximize}";
    let (_tiny, whole) = whole("mes_slimming: {beam: 2}", objectives, "trials: 40");
    let resolution = |t: &Value| t["genome"]["resolution"].clone();
    let trials = trials_of(&whole);
    // The frontier of the largest is scored at once, and keeps what slimming does not lower.
    assert!(trials.len() >= 40 && trials.iter().all(|t| resolution(t) == 16));
    let mut digests: Vec<String> = trials.iter().map(|t| t["digest"].to_string()).collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), trials.len(), "a network was scored twice");
}

#[test]
fn predictor() {
    let (_tiny, whole) = whole("predictor: {initial_random: 5}", MACS, "trials: 12, batch: 2");
    let foretold = rows_of(&whole, "foretold");
    assert!(!foretold.is_empty());
    for f in &foretold {
        assert!(f["fitted_on"].as_u64().unwrap() >= 5 && f["trials"].as_u64().unwrap() >= 1);
        assert!(f["mean_error"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn early_stopping() {
    let tiny = Tiny::new("random: {}", MACS, "trials: 60, early_stopping: {patience: 3, min_delta: 1}");
    let run = tiny.folder("a", "run");
    succeed(tiny.search(1, &run));
    let searched = trials_of(&run).iter().filter(|t| t["origin"] == "search").count();
    assert_eq!(searched, 4);
    let caveats = rows_of(&run, "caveat");
    let ended = |c: &Value| c["text"].as_str().unwrap().starts_with("The search ended after 4 trials");
    assert!(caveats.iter().any(ended), "{caveats:?}");
}

#[test]
fn a_search_that_is_over_goes_on_when_its_trials_are_raised() {
    let few = Tiny::new("nsga2: {population: 4}", MACS, "trials: 5, batch: 3");
    let many = Tiny::new("nsga2: {population: 4}", MACS, "trials: 9, batch: 3");
    let (raised, whole) = (few.folder("a", "run"), many.folder("a", "run"));
    succeed(few.search(1, &raised));
    succeed(many.search(1, &raised));
    succeed(many.search(1, &whole));
    let all = |run: &Path| comparable(&run.join("journal.jsonl"), &[]);
    let trials = |run: &Path| -> Vec<Value> { all(run).into_iter().filter(|r| r.get("trial").is_some()).collect() };
    assert_eq!(trials(&raised), trials(&whole));
    let of = |run: &Path, text: &str| all(run).iter().filter(|r| r["caveat"]["text"] == text).count();
    let caveat = "The run was resumed with a higher limit: search.trials 9 in place of 5.";
    assert_eq!((of(&raised, caveat), of(&whole, caveat)), (1, 0));
    assert!(all(&raised).last().unwrap().get("done").is_some());
    // Nothing is left to do, and nothing is written.
    let rows = all(&raised).len();
    succeed(many.search(1, &raised));
    assert_eq!(all(&raised).len(), rows);
}
