//! `mobilenas train` on several processes: how they are started, that they train one network, and what happens when one of
//! them ends.

use std::fs;
use std::path::Path;
use std::process::{Child, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{
    comparable, free_port, program, program_with_data, ran, rows, rows_of, said, signal, start_on_ranks, torch_python,
    wait_for,
};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/train/tiny.yaml");

/// The tiny training of some epochs, synchronised, in a folder.
fn config(folder: &Path, epochs: u32) {
    let text = fs::read_to_string(TINY).unwrap();
    let (begin, _) = text.split_once("train: {").unwrap();
    let recipe = "batch: 32, grad_accum_steps: 2, warmup: 0.2, sync_batch_norms: true, lr: 0.01";
    let rest = format!("train: {{epochs: {epochs}, {recipe}}}\ncheckpoint_seconds: 0\n");
    let begin = begin.replace("train_limit: 1500", "train_limit: 640");
    fs::write(folder.join("t.yaml"), [begin, rest].concat()).unwrap();
}

/// Starts a training in a folder, on so many ranks.
fn start(folder: &Path, out: &str, ranks: usize) -> Vec<Child> {
    start_on_ranks(ranks, || {
        let mut c = program_with_data(folder);
        c.args(["train", "t.yaml", "--resume", "--out", out]);
        c
    })
}

fn ended(all: Vec<Child>) -> Vec<Output> {
    all.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn succeed(all: Vec<Child>) -> Vec<String> {
    let all = ended(all);
    all.iter().for_each(|out| assert!(out.status.success(), "{}", said(out)));
    all.iter().map(said).collect()
}

fn weights(folder: &Path, out: &str) -> Vec<u8> {
    fs::read(folder.join(out).join("weights.safetensors")).unwrap()
}

fn losses(folder: &Path, out: &str) -> Vec<f64> {
    rows(&folder.join(out).join("training.jsonl")).iter().map(|row| row["loss"].as_f64().unwrap()).collect()
}

fn step(folder: &Path, out: &str) -> u64 {
    rows(&folder.join(out).join("training.jsonl")).last().map_or(0, |row| row["step"].as_u64().unwrap())
}

#[test]
fn ranks_are_started_by_variables_and_train_one_network() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    config(folder, 1);
    succeed(start(folder, "one", 1));
    let told = succeed(start(folder, "two", 2));
    assert!(told[0].contains("2 processes with 1 threads each") && told[0].contains("test top-1"), "{}", told[0]);
    assert_eq!(told[1], "", "rank 0 alone tells what happens");
    // The first step sees what one process sees; later ones amplify rounding in this network.
    let (one, two) = (losses(folder, "one"), losses(folder, "two"));
    assert!(one.len() == two.len() && (one[0] - two[0]).abs() < 1e-5 * one[0], "{one:?} and {two:?}");
    let result = |out: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(out).join("result.json")).unwrap()).unwrap()
    };
    assert_eq!(result("one")["steps"], result("two")["steps"]);
}

/// `torchrun` is PyTorch's: what is fetched of its wheel is the C++ part.
#[test]
#[ignore = "needs a Python with torch 2.11.0"]
fn torch_python_starts_ranks_by_torchrun() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    config(folder, 2);
    succeed(start(folder, "two", 2));
    let mut torchrun = torch_python(folder);
    torchrun.args(["-m", "torch.distributed.run", "--no-python", "--nproc-per-node", "2", "--master-port"]);
    torchrun.arg(free_port().to_string()).arg(env!("CARGO_BIN_EXE_mobilenas"));
    let out = torchrun.args(["train", "t.yaml", "--out", "torchrun"]).output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    assert!(weights(folder, "two") == weights(folder, "torchrun"), "however it is started, bit for bit");
}

#[test]
fn half_set_variables_and_other_configs_are_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    config(folder, 2);
    let mut c = program(folder);
    let out = c.args(["train", "t.yaml"]).env("RANK", "0").env("MASTER_ADDR", "localhost").output().unwrap();
    let expected = "error: RANK, MASTER_ADDR set without WORLD_SIZE, MASTER_PORT; expected all of RANK, WORLD_SIZE, \
                    MASTER_ADDR and MASTER_PORT, as torchrun sets them, or none of them\n";
    assert_eq!((out.status.code(), said(&out).as_str()), (Some(2), expected));
    let text = fs::read_to_string(folder.join("t.yaml")).unwrap();
    fs::write(folder.join("other.yaml"), text.replace("seed: 5", "seed: 6")).unwrap();
    // The second process to be started is rank 1.
    let second = AtomicBool::new(false);
    let all = start_on_ranks(2, || {
        let mut c = program_with_data(folder);
        c.args(["train", if second.swap(true, Ordering::SeqCst) { "other.yaml" } else { "t.yaml" }, "--out", "run"]);
        c
    });
    for (rank, out) in ended(all).iter().enumerate() {
        let errors: Vec<String> = said(out).lines().filter(|l| l.starts_with("error: ")).map(str::to_string).collect();
        assert!(!out.status.success() && errors.len() == 1, "rank {rank}: {}", said(out));
        assert!(errors[0].starts_with("error: rank 1: the digest of the config: found "), "rank {rank}: {}", errors[0]);
    }
}

#[test]
fn a_signal_to_one_rank_stops_all_after_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    config(folder, 2);
    let mut all = start(folder, "run", 2);
    wait_for(&mut all[0], || step(folder, "run") >= 1);
    signal(&all[1], "-TERM");
    let all = ended(all);
    assert!(said(&all[0]).contains("--resume goes on"), "{}", said(&all[0]));
    assert_eq!(all[1].status.code(), Some(143), "{}", said(&all[1]));
    assert!(!said(&all[1]).contains("error: "), "{}", said(&all[1]));
    succeed(start(folder, "run", 1));
}

/// How long the others of a rank that was killed may take to end.
const MOST: Duration = Duration::from_secs(10);

#[test]
fn when_a_rank_is_killed_the_others_end_and_name_it_and_any_number_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    config(dir.path(), 3);
    killed_in_turn(dir.path(), &[2, 3]);
    // Three times 640 images, 64 in a step.
    assert_eq!(steps(dir.path(), "run"), 30);
}

/// At more moments, and the whole training beside it.
#[test]
#[ignore = "takes minutes; `cargo xtask test --cluster` runs it"]
fn cluster_ranks_are_killed_at_ten_moments() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    // The log has every tenth step, and each round waits for one more of its rows: ten rounds are fewer steps than all 140.
    config(folder, 14);
    killed_in_turn(folder, &[2, 3, 4, 2, 3, 4, 2, 3, 4, 2]);
    succeed(start(folder, "whole", 1));
    assert_eq!(steps(folder, "run"), steps(folder, "whole"));
    assert_eq!(losses(folder, "run").len(), losses(folder, "whole").len());
}

/// The steps that a training had when it was done.
fn steps(folder: &Path, out: &str) -> u64 {
    let text = fs::read_to_string(folder.join(out).join("result.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["steps"].as_u64().unwrap()
}

/// A training on so many ranks in turn, one of which is killed each time; at last one process ends it.
fn killed_in_turn(folder: &Path, rounds: &[usize]) {
    let seed = std::process::id() as usize ^ Instant::now().elapsed().subsec_nanos() as usize;
    // Different numbers of ranks go on from each other's checkpoints.
    for (round, ranks) in rounds.iter().copied().enumerate() {
        let draw = (seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round * 7_919)) >> 7;
        let (victim, before) = (draw % ranks, step(folder, "run"));
        let mut all = start(folder, "run", ranks);
        // Some moment of some step; the first time, from the meeting of the ranks on.
        match round {
            0 => wait_for(&mut all[0], || folder.join("run").exists()),
            _ => wait_for(&mut all[0], || step(folder, "run") >= before + 1 + (draw / 16 % 4) as u64),
        }
        std::thread::sleep(Duration::from_millis((draw / 64 % 50) as u64));
        let mut killed = all.remove(victim);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let begin = Instant::now();
        for mut child in all {
            while child.try_wait().unwrap().is_none() {
                assert!(begin.elapsed() < MOST, "round {round}: after rank {victim} of {ranks} was killed");
                std::thread::sleep(Duration::from_millis(5));
            }
            let out = child.wait_with_output().unwrap();
            let errors: Vec<String> =
                said(&out).lines().filter(|l| l.contains("error: ")).map(str::to_string).collect();
            let expected = format!("error: rank {victim} (process {} on ", killed.id());
            let told = errors.len() == 1 && errors[0].contains(&expected) && out.status.code() == Some(1);
            assert!(told, "round {round}, rank {victim} of {ranks}: {}", said(&out));
        }
        println!("round {round}: rank {victim} of {ranks} at step {}: {:?}", step(folder, "run"), begin.elapsed());
    }
    succeed(start(folder, "run", 1));
}

#[test]
fn a_search_trains_its_networks_on_all_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let tiny = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/tiny.yaml")).unwrap();
    let synchronised = tiny.replace("epochs: 1, batch: 64", "epochs: 1, batch: 64, sync_batch_norms: true");
    let synchronised = synchronised.replace("threads: 2", "threads: 1").replace("trials: 8", "trials: 4");
    fs::write(folder.join("s.yaml"), synchronised.replace("retrain: {best: 2", "retrain: {best: 1")).unwrap();
    let told = succeed(start_on_ranks(2, || {
        let mut c = program_with_data(folder);
        c.args(["search", "s.yaml", "--out", "run"]);
        c
    }));
    assert!(told[0].contains("the five best of the front:"), "{}", told[0]);
    assert_eq!(told[1], "");
    let run = folder.join("run");
    assert_eq!(rows_of(&run, "supernet").len(), 1);
    assert!(rows_of(&run, "retrained").len() >= 2 && rows_of(&run, "done").len() == 1);
    // The first loss of the supernet is that of one process: the images of both ranks, and nothing learnt yet.
    let supernet = |run: &Path| rows(&run.join("training/supernet.jsonl"))[0]["loss"].as_f64().unwrap();
    let one = folder.join("one");
    let mut alone = program_with_data(folder);
    let text = fs::read_to_string(folder.join("s.yaml")).unwrap();
    fs::write(folder.join("one.yaml"), text.replace("retrain: {best: 1", "retrain: {best: 0")).unwrap();
    let out = ran(alone.args(["search", "one.yaml", "--out", "one"]));
    assert!(out.status.success(), "{}", said(&out));
    let (a, b) = (supernet(&run), supernet(&one));
    assert!((a - b).abs() < 1e-4 * b, "{a} and {b}");
}

/// Searches that go on from the supernet of one process: candidates are the same whichever rank scores them, and a rank that
/// stops or is killed in their midst ends all.
#[test]
#[ignore = "five searches take a minute"]
fn cluster_ranks_score_candidates() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let tiny = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/tiny.yaml")).unwrap();
    // Fine-tuning begins with weights that rank 0 alone reads.
    let text = tiny.replace("threads: 2", "threads: 1").replace("retrain: {best: 2", "retrain: {best: 0");
    let text = text.replace("trials: 8", "trials: 8\n  finetune: {candidates: 1, steps: 2}");
    fs::write(folder.join("one.yaml"), &text).unwrap();
    let one = folder.join("one");
    let mut alone = program_with_data(folder);
    let out = ran(alone.args(["search", "one.yaml", "--out", "one"]));
    assert!(out.status.success(), "{}", said(&out));
    let again = |name: &str| {
        // By itself: scores of runs beside it would be looked up.
        let out = folder.join(name).join("run");
        fs::create_dir_all(&out).unwrap();
        for file in ["config.yaml", "supernet.safetensors"] {
            fs::copy(one.join(file), out.join(file)).unwrap();
        }
        let journal = fs::read_to_string(one.join("journal.jsonl")).unwrap();
        let before: String = journal.split_inclusive('\n').take_while(|l| !l.starts_with("{\"trial\"")).collect();
        fs::write(out.join("journal.jsonl"), before).unwrap();
        out
    };
    let search = |config: &'static str, out: &Path| {
        start_on_ranks(2, || {
            let mut c = program_with_data(folder);
            c.args(["search", config, "--resume", "--out"]).arg(out);
            c
        })
    };
    let shared = again("shared");
    succeed(search("one.yaml", &shared));
    let trials = |run: &Path| {
        let mut all = comparable(&run.join("journal.jsonl"), &["mes"]);
        all.retain(|row| row.get("trial").is_some());
        all
    };
    assert!(trials(&shared) == trials(&one), "whoever scores: {:#?}\n{:#?}", trials(&shared), trials(&one));
    let tuned = rows_of(&one, "finetuned").len();
    assert!(tuned >= 2 && rows_of(&shared, "finetuned").len() == tuned);
    // More candidates than this test waits for.
    fs::write(folder.join("long.yaml"), text.replace("trials: 8", "trials: 5000")).unwrap();
    let long = again("long");
    let mut all = search("long.yaml", &long);
    wait_for(&mut all[0], || rows_of(&long, "trial").len() > 2);
    signal(&all[1], "-TERM");
    for (rank, out) in ended(all).iter().enumerate() {
        assert_eq!(out.status.code(), Some(143), "rank {rank}: {}", said(out));
        assert!(!said(out).contains("error: "), "rank {rank}: {}", said(out));
    }
    let before = rows_of(&long, "trial").len();
    let mut all = search("long.yaml", &long);
    wait_for(&mut all[0], || rows_of(&long, "trial").len() > before + 2);
    let mut killed = all.remove(1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let told = said(&all.remove(0).wait_with_output().unwrap());
    let errors: Vec<&str> = told.lines().filter(|l| l.contains("error: ")).collect();
    let expected = format!("error: rank 1 (process {} on ", killed.id());
    assert!(errors.len() == 1 && errors[0].contains(&expected), "{told}");
}
