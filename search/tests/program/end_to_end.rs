//! A whole search: what it writes, and that it ends alike however often it is stopped and killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use mobilenas_pipeline::experiment::prepare;
use mobilenas_space::ir::Graph;
use mobilenas_task::Batch;
use mobilenas_torch::weights::load;
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, Shared};
use mobilenas_train::resized;
use tch::{Device, Kind, Tensor};

use crate::common::{
    assert_same_rows, checkpoints, kill_at, output, program_with_data, rows_of, signal, succeed, torch_python, wait_for,
};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn search(out: &Path, resume: bool) -> Command {
    let mut c = program_with_data(here());
    c.args(["search", "tests/configs/tiny.yaml", "--out"]).arg(out).args(resume.then_some("--resume"));
    c
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
        let out = succeed(search(&dir.path().join("run"), false));
        assert!(out.contains("report:"), "{out}");
        dir
    });
    Box::leak(dir.path().join("run").into_boxed_path())
}

fn same(run: &Path) {
    let journal = |run: &Path| run.join("journal.jsonl");
    assert_same_rows(&journal(run), &journal(undisturbed()), &["mes"], "disturbed");
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
    let count = |kind: &str| rows_of(run, kind).len();
    assert_eq!((count("run"), count("unit"), count("supernet"), count("retrained"), count("done")), (1, 1, 1, 4, 1));
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
    for trial in rows_of(run, "trial").iter().filter(|t| t["origin"] == "search") {
        let params = trial["outcome"]["scored"]["params"].as_f64().unwrap();
        assert!(params <= limit, "{params} parameters pass the bound");
    }
    let winners = fs::read_dir(run.join("winners")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let (mut genomes, mut nets) = (0, 0);
    for name in winners {
        genomes += usize::from(name.ends_with(".yaml"));
        nets += usize::from(name.ends_with(".safetensors"));
        assert!(!name.contains("checkpoint"), "{name} is left over");
    }
    // Two winners, and the variants that they stand against.
    assert_eq!((genomes, nets), (4, 4));
}

/// Begins where a kill right after the header leaves it, is interrupted in supernet training, and is killed in the search
/// and in retraining.
#[test]
fn disturbed_in_every_phase_it_ends_as_if_never_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (resumed, has) = (|| search(&run, true), |kind: &str| !rows_of(&run, kind).is_empty());
    fs::create_dir(&run).unwrap();
    let whole = fs::read_to_string(undisturbed().join("journal.jsonl")).unwrap();
    let header = whole.lines().next().unwrap();
    fs::write(run.join("journal.jsonl"), format!("{header}\n{{\"caveat\":{{\"te")).unwrap();

    let mut child = resumed().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, || checkpoints(&run) > 0);
    // Another process does not come in between, and says whose the folder is.
    let (code, _, told) = output(resumed());
    assert_eq!(code, 2, "{told}");
    assert!(told.contains(&format!("mobilenas search, process {} on ", child.id())), "{told}");
    signal(&child, "-INT");
    let out = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{told}");
    assert!(told.contains("--resume goes on"), "{told}");
    assert!(!has("supernet"), "it was interrupted in another phase than meant");

    // Three variants and three of eight trials: in the middle of a batch of two.
    let trials = || rows_of(&run, "trial").len();
    kill_at(resumed(), || trials() >= 6);
    assert!(trials() < 11, "it was killed in another phase than meant");
    kill_at(resumed(), || checkpoints(&run.join("winners")) > 0);
    assert!(!has("done"), "it was killed in another phase than meant");
    succeed(resumed());
    same(&run);

    // Once more changes nothing.
    let before = fs::read(run.join("journal.jsonl")).unwrap();
    assert!(succeed(resumed()).contains("report:"));
    assert_eq!(before, fs::read(run.join("journal.jsonl")).unwrap());
}

#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_runs_a_winner() {
    let (run, dir) = (undisturbed(), tempfile::tempdir().unwrap());
    let id = rows_of(run, "retrained")[0]["trial"].to_string();
    let mut c = program_with_data(here());
    c.args(["weights", "export", "--trial", &id, "--format", "pytorch", "--run"]).arg(run).arg("--out").arg(dir.path());
    succeed(c);
    assert!(dir.path().join(format!("trial_{id}.py")).exists());
    let mut c = torch_python(dir.path());
    c.arg("example.py");
    let said = succeed(c);
    assert!(said.lines().count() == 5 && said.contains('%'), "{said}");
}

#[test]
fn a_supernet_begins_with_a_found_network() {
    let (run, dir) = (undisturbed(), tempfile::tempdir().unwrap());
    let trials = [0, 1].map(|i| rows_of(run, "retrained")[i]["trial"].clone());
    let [id, other] = trials.each_ref().map(ToString::to_string);
    let winner = |id: &str, ending: &str| run.join(format!("winners/{id}.{ending}"));
    let prepared = |weights: &str| {
        let (genome, weights) = (winner(&id, "yaml"), winner(weights, "safetensors"));
        let init = format!("supernet:\n  init: {{genome: {}, weights: {}}}\n", genome.display(), weights.display());
        let text = fs::read_to_string(run.join("config.yaml")).unwrap().replace("supernet:\n", &init);
        let file = dir.path().join("c.yaml");
        fs::write(&file, text).unwrap();
        prepare(&file).unwrap().into_first()
    };
    let p = prepared(&id);
    let row = rows_of(run, "trial").into_iter().find(|t| t["id"] == trials[0]).unwrap();
    let genome = p.space.genome(&serde_json::from_value(row["genome"].clone()).unwrap()).unwrap();
    let graph = Arc::new(p.space.lower(&genome).unwrap());
    let (supernet, mut alone) =
        (p.initial_supernet().unwrap(), ParamStore::init(&graph, Names::Standalone, 0, Device::Cpu).unwrap());
    alone.fill(&load(&winner(&id, "safetensors")).unwrap().0).unwrap();
    let side = i64::from(graph.input().dims[1]);
    let x = Tensor::rand([4, 3, side, side], (Kind::Float, Device::Cpu));
    let logits = |net: Net| tch::no_grad(|| net.forward(&x, Mode::Calibrate(1)).unwrap());
    let of_supernet = logits(Net::bind(graph.clone(), &Shared(&supernet)).unwrap());
    assert_eq!(of_supernet, logits(Net::bind(graph, &Owned(&alone)).unwrap()));

    let error = prepared(&other).initial_supernet().unwrap_err().to_string();
    assert!(error.starts_with("supernet.init: ") && error.contains("the weights of that network"), "{error}");
}

/// Top-1 on the search-validation images of a network from a weights file.
fn search_val_top1(run: &Path, graph: Graph, file: &Path) -> f64 {
    let p = prepare(&run.join("config.yaml")).unwrap().into_first();
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
        let mut c = program_with_data(here());
        c.args(["weights", "export", "--run"]).arg(run).args(args).arg("--out").arg(&out);
        succeed(c)
    };
    let id = rows_of(run, "retrained")[0]["trial"].to_string();
    let said = export(&["--trial", &id]);
    assert!(said.contains("retrained: "), "{said}");
    let (ours, winner) = (load(&out).unwrap().0, load(&run.join(format!("winners/{id}.safetensors"))).unwrap().0);
    assert_eq!(ours.keys().collect::<Vec<_>>(), winner.keys().collect::<Vec<_>>());
    assert!(ours.iter().all(|(n, t)| t.equal(&winner[n])));
    // Cut from the supernet, a trial is as good as the search found it.
    let prepared = prepare(&run.join("config.yaml")).unwrap().into_first();
    for trial in rows_of(run, "trial").iter().filter(|t| t["outcome"]["scored"].is_object()).step_by(3) {
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
