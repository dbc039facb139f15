//! The real program on small real data: a whole search, the same again, and killed and resumed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mobilenas::experiment::prepare;
use mobilenas_space::ir::Graph;
use mobilenas_task::Batch;
use mobilenas_torch::weights::load;
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore};
use mobilenas_train::resized;
use serde_json::Value;
use tch::{Device, Kind};

const TINY: &str = "tests/configs/tiny.yaml";

fn program() -> Command {
    assert!(
        std::env::var_os("MOBILENAS_DATA").is_some(),
        "MOBILENAS_DATA names no folder with data sets; `cargo xtask test` fetches them and sets it"
    );
    let mut c = Command::new(env!("CARGO_BIN_EXE_mobilenas"));
    // Several programs run at once here: threads that spin would only wait for each other.
    c.current_dir(env!("CARGO_MANIFEST_DIR")).env("OMP_WAIT_POLICY", "passive");
    c
}

fn search(out: &Path, resume: bool) -> Command {
    let mut c = program();
    c.args(["search", TINY, "--out"]).arg(out);
    if resume {
        c.arg("--resume");
    }
    c
}

fn finish(mut c: Command) -> String {
    let out = c.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn rows(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// The rows without what no two runs share: times and what follows from them.
fn comparable(run: &Path) -> Vec<Value> {
    fn strip(v: &mut Value) {
        match v {
            Value::Object(m) => {
                for timed in ["seconds", "latency", "latency_ms", "mes", "started_unix"] {
                    // The search's constants are called mes too, and stay.
                    if timed != "mes" || m.get(timed).is_some_and(Value::is_number) {
                        m.remove(timed);
                    }
                }
                m.values_mut().for_each(strip);
            }
            Value::Array(a) => a.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut all = rows(run);
    all.iter_mut().for_each(strip);
    all
}

fn weights(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for folder in [run.to_path_buf(), run.join("winners")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                all.push((path.strip_prefix(run).unwrap().to_path_buf(), fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

/// A run that nothing disturbed, made once.
fn undisturbed() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let out = finish(search(&dir.path().join("run"), false));
        assert!(out.contains("report:"), "{out}");
        dir
    });
    Box::leak(dir.path().join("run").into_boxed_path())
}

fn same(run: &Path) {
    let (ours, theirs) = (comparable(run), comparable(undisturbed()));
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(a, b, "row {i}");
    }
    assert_eq!(ours.len(), theirs.len());
    let (ours, theirs) = (weights(run), weights(undisturbed()));
    let names = |w: &[(PathBuf, Vec<u8>)]| w.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    for ((name, a), (_, b)) in ours.iter().zip(&theirs) {
        assert!(a == b, "{} differs", name.display());
    }
}

#[test]
fn a_search_writes_all_it_promises() {
    let run = undisturbed();
    let count = |kind: &str| rows(run).iter().filter(|r| r.get(kind).is_some()).count();
    assert_eq!((count("run"), count("unit"), count("supernet"), count("retrained"), count("done")), (1, 1, 1, 2, 1));
    // Eight trials and the three published variants.
    assert_eq!(count("trial"), 8 + 3);
    for file in ["config.yaml", "supernet.safetensors", "trials.csv", "trials.parquet", "report/index.html"] {
        assert!(fs::metadata(run.join(file)).unwrap().len() > 0, "{file}");
    }
    let plots = fs::read_dir(run.join("report")).unwrap().filter(|e| {
        let path = e.as_ref().unwrap().path();
        path.extension().is_some_and(|x| x == "png" || x == "svg")
    });
    assert!(plots.count() >= 6);
    let csv = fs::read_to_string(run.join("trials.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 11);
    let limit = 250_000.0;
    for r in rows(run).iter().filter(|r| r["trial"]["origin"] == "search") {
        let params = r["trial"]["outcome"]["scored"]["params"].as_f64().unwrap();
        assert!(params <= limit, "{params} parameters pass the bound");
    }
    let winners = fs::read_dir(run.join("winners")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let (mut genomes, mut nets) = (0, 0);
    for name in winners {
        genomes += usize::from(name.ends_with(".yaml"));
        nets += usize::from(name.ends_with(".safetensors"));
        assert!(!name.contains("checkpoint"), "{name} is left over");
    }
    assert_eq!((genomes, nets), (2, 2));
}

#[test]
fn the_same_seed_gives_the_same_trials_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("again");
    finish(search(&run, false));
    same(&run);
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    finish(search(&run, false));
    let before = fs::read(run.join("journal.jsonl")).unwrap();
    let out = finish(search(&run, true));
    assert!(out.contains("report:"));
    assert_eq!(before, fs::read(run.join("journal.jsonl")).unwrap());
}

/// Waits for a moment of the run, and kills it there with SIGKILL.
fn kill_when(child: &mut Child, moment: impl Fn() -> bool) {
    let begin = Instant::now();
    while !moment() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before the moment came");
        assert!(begin.elapsed() < Duration::from_secs(300), "the moment never came");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn checkpoints(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().file_name());
    names.filter(|n| n.to_string_lossy().ends_with(".checkpoint.safetensors")).count()
}

fn killed_and_resumed(moment: impl Fn(&Path) -> bool, phase: impl Fn(&Path) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = search(&run, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    kill_when(&mut child, || moment(&run));
    assert!(phase(&run), "the run was killed in another phase than meant");
    finish(search(&run, true));
    same(&run);
}

fn has(run: &Path, kind: &str) -> bool {
    rows(run).iter().any(|r| r.get(kind).is_some())
}

#[test]
fn killed_in_supernet_training_and_resumed_it_is_as_if_never_killed() {
    killed_and_resumed(|run| checkpoints(run) > 0, |run| !has(run, "supernet"));
}

#[test]
fn killed_right_after_its_header_and_resumed_it_is_as_if_never_killed() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    // What such a kill leaves: the header, and a caveat that was cut off.
    let whole = fs::read_to_string(undisturbed().join("journal.jsonl")).unwrap();
    let header = whole.lines().next().unwrap();
    fs::write(run.join("journal.jsonl"), format!("{header}\n{{\"caveat\":{{\"te")).unwrap();
    finish(search(&run, true));
    same(&run);
}

#[test]
fn killed_in_the_search_and_resumed_it_is_as_if_never_killed() {
    let trials = |run: &Path| rows(run).iter().filter(|r| r.get("trial").is_some()).count();
    // Three variants and three of eight trials: in the middle of a batch of two.
    killed_and_resumed(|run| trials(run) >= 6, |run| trials(run) < 11);
}

#[test]
fn killed_in_retraining_and_resumed_it_is_as_if_never_killed() {
    killed_and_resumed(|run| checkpoints(&run.join("winners")) > 0, |run| !has(run, "done"));
}

#[test]
fn an_interrupt_saves_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let child = search(&run, false).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while checkpoints(&run) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(2));
    }
    // Another process does not come in between, and says whose the folder is.
    let other = search(&run, true).output().unwrap();
    let told = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("mobilenas search, process {} on ", child.id())), "{told}");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{said}");
    assert!(said.contains("--resume goes on"), "{said}");
    finish(search(&run, true));
    same(&run);
}

/// Top-1 on the search-validation images of a network from a weights file.
fn search_val_top1(run: &Path, graph: Graph, file: &Path) -> f64 {
    let p = prepare(&run.join("config.yaml")).unwrap();
    let mut store = ParamStore::init(&graph, Names::Standalone, 0, Device::Cpu).unwrap();
    store.fill(&load(file).unwrap().0).unwrap();
    let (side, net) = (graph.input().dims[1], Net::bind(Arc::new(graph), &Owned(&store)).unwrap());
    let mut right = 0i64;
    for b in p.train.batches(p.split.search_val.indices(), p.config.scoring.batch) {
        let b = Batch::new(&b.unwrap()).unwrap();
        let logits = tch::no_grad(|| net.forward(&resized(&b.images, side).unwrap(), Mode::Eval).unwrap());
        right +=
            i64::try_from(logits.argmax(-1, false).eq_tensor(b.targets.labels().unwrap()).sum(Kind::Int64)).unwrap();
    }
    100.0 * right as f64 / p.split.search_val.indices().len() as f64
}

#[test]
fn networks_leave_a_run_as_networks_of_their_own() {
    let (run, dir) = (undisturbed(), tempfile::tempdir().unwrap());
    let out = dir.path().join("w.safetensors");
    let export = |args: &[&str]| {
        let mut c = program();
        finish({
            c.args(["weights", "export", "--run"]).arg(run).args(args).arg("--out").arg(&out);
            c
        })
    };
    let retrained = rows(run).iter().find_map(|r| r["retrained"]["trial"].as_u64()).unwrap();
    let id = retrained.to_string();
    let said = export(&["--trial", &id]);
    assert!(said.contains("retrained: "), "{said}");
    let (ours, winner) = (load(&out).unwrap().0, load(&run.join(format!("winners/{id}.safetensors"))).unwrap().0);
    assert_eq!(ours.keys().collect::<Vec<_>>(), winner.keys().collect::<Vec<_>>());
    assert!(ours.iter().all(|(n, t)| t.equal(&winner[n])));
    // Cut from the supernet, a trial is as good as the search found it.
    let prepared = prepare(&run.join("config.yaml")).unwrap();
    for row in rows(run).iter().filter(|r| r["trial"]["outcome"]["scored"].is_object()).step_by(3) {
        let trial = &row["trial"];
        let said = export(&["--inherited", "--trial", &trial["id"].to_string()]);
        assert!(said.contains("cut from the supernet, batch norms recalibrated: "), "{said}");
        let genome = serde_json::from_value(trial["genome"].clone()).unwrap();
        let graph = prepared.space.lower(&prepared.space.genome(&genome).unwrap()).unwrap();
        let top1 = search_val_top1(run, graph, &out);
        assert_eq!(Some(top1), trial["outcome"]["scored"]["top1"].as_f64(), "trial {}", trial["id"]);
    }
    // The same by its genome's file, and with batch norms folded.
    let genome = run.join(format!("winners/{id}.yaml"));
    let by_file = |more: &[&str]| export(&[&["--genome", genome.to_str().unwrap()], more].concat());
    export(&["--inherited", "--trial", &id]);
    let by_id = load(&out).unwrap().0;
    by_file(&[]);
    let named = load(&out).unwrap().0;
    assert!(named.len() == by_id.len() && named.iter().all(|(n, t)| t.equal(&by_id[n])));
    let said = by_file(&["--fused"]);
    assert!(said.contains("batch norms folded: "), "{said}");
    let fused = load(&out).unwrap().0;
    assert!(fused.keys().all(|n| !n.contains("running_mean")) && fused.contains_key("stem.conv.bias"));
}
