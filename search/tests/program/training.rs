//! `mobilenas train`: killed, stopped, and what it says.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{kill_at, program_with_data, ran, rows, said, signal, wait_for};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/train/tiny.yaml");

fn program(args: &[&str]) -> Command {
    let mut c = program_with_data(Path::new("."));
    c.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

fn train(out: &Path, more: &[&str]) -> Command {
    let mut c = program(&["train", TINY, "--out"]);
    c.arg(out).args(more);
    c
}

fn done(mut c: Command) -> String {
    let out = ran(&mut c);
    assert!(out.status.success(), "{}", said(&out));
    said(&out)
}

fn result(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("result.json")).unwrap()).unwrap()
}

/// Steps and losses of the log: all of it but what depends on time.
fn training_log(run: &Path) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(run.join("training.jsonl")).unwrap();
    let line = |l: &str| -> Value { serde_json::from_str(l).unwrap() };
    text.lines().map(line).map(|l| (l["step"].as_u64().unwrap(), l["loss"].as_f64().unwrap())).collect()
}

/// Waits for the first checkpoint.
fn begun(child: &mut Child, run: &Path) {
    wait_for(child, || run.join("checkpoint.safetensors").exists());
}

/// The step that a training has reached, by its log.
fn step(run: &Path) -> u64 {
    rows(&run.join("training.jsonl")).last().map_or(0, |row| row["step"].as_u64().unwrap())
}

#[test]
fn killed_again_and_again_it_ends_as_if_never_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let text = done(train(&whole, &[]));
    assert!(text.contains("test top-1"), "{text}");
    // A checkpoint follows on every step: most kills meet the writer in the middle of its work.
    kill_at(train(&killed, &[]), || killed.join("checkpoint.safetensors").exists());
    for at in [10, 20, 30] {
        kill_at(train(&killed, &["--resume"]), || step(&killed) >= at);
    }
    assert!(!killed.join("result.json").exists());
    done(train(&killed, &["--resume"]));
    let weights = |run: &Path| fs::read(run.join("weights.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed), "after four kills");
    assert_eq!(result(&whole)["test_top1"], result(&killed)["test_top1"]);
    assert_eq!(training_log(&whole), training_log(&killed));
    let left = fs::read_dir(&killed).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(left.filter(|n| n.contains("checkpoint")).all(|n| n.ends_with(".partial")), "checkpoints are left over");
    // Once more changes nothing.
    done(train(&killed, &["--resume"]));
    assert!(weights(&whole) == weights(&killed));
}

#[test]
fn signals_save_and_say_how_to_go_on() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let mut child = train(&run, &[]).spawn().unwrap();
        begun(&mut child, &run);
        let other = ran(&mut train(&run, &["--resume"]));
        assert_eq!(other.status.code(), Some(2), "{}", said(&other));
        assert!(said(&other).contains(&format!("mobilenas train, process {} on ", child.id())), "{}", said(&other));
        signal(&child, name);
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", said(&out));
        assert!(said(&out).contains("--resume goes on"), "{}", said(&out));
        assert!(run.join("checkpoint.safetensors").exists() && !run.join("result.json").exists());
    }
}

#[test]
fn a_damaged_checkpoint_is_told_and_the_one_before_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = train(&run, &[]).spawn().unwrap();
    wait_for(&mut child, || run.join("checkpoint.previous.safetensors").exists());
    signal(&child, "-TERM");
    child.wait().unwrap();
    let newest = run.join("checkpoint.safetensors");
    let mut data = fs::read(&newest).unwrap();
    let last = data.len() - 1;
    data[last] ^= 0x40;
    fs::write(&newest, data).unwrap();
    let text = done(train(&run, &["--resume"]));
    assert!(text.contains("checkpoint.safetensors: damaged (its checksum is "), "{text}");
    assert!(text.contains("; going on from the checkpoint before it"), "{text}");
}

/// A training whose one step takes minutes.
fn slow(dir: &Path) -> Command {
    let text = fs::read_to_string(TINY).unwrap();
    fs::write(dir.join("slow.yaml"), text.replace("grad_accum_steps: 2", "grad_accum_steps: 4000")).unwrap();
    let mut c = program(&["train", "slow.yaml", "--out", "run"]);
    c.current_dir(dir);
    c
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = slow(dir.path()).spawn().unwrap();
        begun(&mut child, &dir.path().join("run"));
        signal(&child, name);
        sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none(), "one signal waits for the step");
        signal(&child, name);
        let asked = Instant::now();
        let out = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert_eq!(out.status.code(), Some(code), "{}", said(&out));
        assert!(said(&out).contains("once more to stop at once"), "{}", said(&out));
        assert!(!said(&out).contains("--resume goes on"), "{}", said(&out));
    }
}

#[test]
fn a_full_disk_stops_it_with_the_last_checkpoint_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, run) = (dir.path().join("whole"), dir.path().join("run"));
    done(train(&whole, &[]));
    let mut child = train(&run, &[]).spawn().unwrap();
    begun(&mut child, &run);
    signal(&child, "-TERM");
    child.wait().unwrap();
    let newest = run.join("checkpoint.safetensors");
    let before = fs::read(&newest).unwrap();
    // A device that is always full, in the place where the next checkpoint is written.
    std::os::unix::fs::symlink("/dev/full", run.join("checkpoint.next.safetensors.partial")).unwrap();
    let out = ran(&mut train(&run, &["--resume"]));
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let text = said(&out);
    let last = text.lines().last().unwrap();
    let words = "checkpoint.next.safetensors: No space left on device (os error 28), expected a place for the file";
    assert!(last.starts_with("error: ") && last.ends_with(words), "{text}");
    assert!(fs::read(&newest).unwrap() == before, "the last checkpoint has changed");
    done(train(&run, &["--resume"]));
    let weights = |run: &Path| fs::read(run.join("weights.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&run));
}

/// What a progress line says: step, epoch, loss, accuracy, speed and time left.
fn has_numbers(line: &str) -> bool {
    let parts = ["epoch ", "/2.00, loss ", ", top-1 ", " %, ", " images/s (", " left)"];
    let mut rest = line;
    parts.iter().all(|part| rest.find(part).map(|at| rest = &rest[at + part.len()..]).is_some())
}

#[test]
fn progress_goes_by_lines_where_there_is_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let text = done(train(&dir.path().join("run"), &[]));
    assert!(text.lines().any(|l| l.trim() == "train: 46 steps"), "{text}");
    let last = text.lines().find(|l| l.trim().starts_with("train: 46/46 epoch 2.00/2.00"));
    assert!(has_numbers(last.unwrap_or_else(|| panic!("{text}"))), "{text}");
    assert!(!text.contains('\r') && !text.contains('\u{1b}'), "{text}");
    // Quiet: the steps of some seconds are one line.
    assert!(text.lines().filter(|l| l.contains("images/s")).count() < 20, "{text}");
}

#[test]
fn progress_is_one_line_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(&dir.path().join("run"), &[]);
    let words = std::iter::once(run.get_program()).chain(run.get_args()).map(|w| w.to_str().unwrap().to_string());
    let mut c = Command::new("python3");
    c.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal.py")).args(words);
    c.env("OMP_WAIT_POLICY", "passive").env("TERM", "xterm").stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = done(c);
    let lines: Vec<&str> = text.split(['\r', '\n']).filter(|l| l.contains("images/s")).collect();
    assert!(lines.len() > 1 && lines.iter().any(|l| has_numbers(l) && l.contains("46/46")), "{text}");
    // Each is written over the one before.
    assert!(text.contains("\u{1b}[2K") || text.contains('\r'), "{text}");
    assert!(!text.contains("train: 46 steps"), "{text}");
}

#[test]
fn without_a_gpu_a_training_on_one_is_refused() {
    if Path::new("/dev/nvidia0").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(TINY).unwrap();
    fs::write(dir.path().join("gpu.yaml"), format!("{text}device: cuda\n")).unwrap();
    for args in [&["train", "gpu.yaml"][..], &["bench", "train", "--models", "mobilevit_xxs", "--device", "cuda"]] {
        let out = ran(program(args).current_dir(dir.path()));
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        let text = said(&out);
        assert!(text.starts_with("error: device: cuda: ") && text.lines().count() == 1, "{text}");
        assert!(text.contains(", expected a libtorch with CUDA; MOBILENAS_LIBTORCH names its folder"));
    }
}

#[test]
fn a_training_is_not_mixed_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    let fails = |mut c: Command| {
        let out = ran(&mut c);
        (out.status.code().unwrap(), said(&out).replace(&dir.path().display().to_string(), "HERE"))
    };
    let (code, text) = fails(train(&run, &[]));
    assert_eq!(code, 2);
    assert!(text.contains("HERE/run: exists, expected a new folder; --resume goes on"), "{text}");
    let other = fs::read_to_string(TINY).unwrap().replace("epochs: 2", "epochs: 3");
    fs::write(run.join("config.yaml"), other).unwrap();
    let (code, text) = fails(train(&run, &["--resume"]));
    assert_eq!(code, 2);
    let expected = "HERE/run: holds a run of another config\n  train.epochs: 3.0 in the run, 2.0 in this config";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn mistakes_are_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let see = |text: &str| {
        let file = dir.path().join("c.yaml");
        fs::write(&file, text).unwrap();
        let out = ran(program(&["train", "c.yaml"]).current_dir(dir.path()));
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        said(&out)
    };
    insta::assert_snapshot!(see("network: {model: mobilevit_xxxs}\ntrain: {epochs: 0, lr: 0.1, min_lr: 1, recipe: big}\n"), @r#"
    error: c.yaml: 4 mistakes
      line 1, network.model: found "mobilevit_xxxs", expected a published network (`mobilenas models` lists them); did you mean mobilevit_xxs?
      line 2, train.epochs: found 0, expected a number above 0, at most 100000
      line 2, train.recipe: found "big", expected one of mobilevit, mobilevitv2, mobilevitv3, efficientformerv2, ssdlite_cvnets, deeplabv3_cvnets, pspnet_cvnets, semantic_fpn_snap, mask_rcnn_snap, small
      line 2, train.min_lr: found 1, expected at most lr, 0.1
    "#);
    insta::assert_snapshot!(see("network: {model: mobilevit_xxs, genome: g.yaml}\n"), @r"
    error: c.yaml: 1 mistake
      line 1, network: found two networks, expected one of model, genome
    ");
    insta::assert_snapshot!(see("network: {}\n"), @r"
    error: c.yaml: 1 mistake
      line 1, network: found no network, expected one of model, genome
    ");
    insta::assert_snapshot!(see("network: {genome: g.yaml, knobs: {resolution: 3}}\n"), @r"
    error: c.yaml: 1 mistake
      line 1, network.knobs: found some beside a genome, expected none: a genome has its own
    ");
    insta::assert_snapshot!(see("network:\n  model: mobilevit_xxs\n  knobs: {resolutoin: 32, stem.width: 0}\n"), @r"
    error: c.yaml: 2 mistakes
      line 3, network.knobs.resolutoin: found an unknown knob, expected a knob of mobilevit_v1; did you mean resolution?
      line 3, network.knobs.stem.width: found 0, expected a width of 1 to 8192
    ");
    insta::assert_snapshot!(see("network: {genome: none.yaml}\n"), @"error: none.yaml: No such file or directory (os error 2), expected a YAML file in UTF-8");
}

#[test]
fn weights_that_cannot_be_read_are_told_before_a_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("w.safetensors"), b"\x08\0\0\0\0\0\0\0{\"a\":12}").unwrap();
    let teacher = "distill: {model: mobilenetv2_100, weights: w.safetensors}, ";
    let init = "init: {model: mobilevit_xxs, weights: w.safetensors}, ";
    let search = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/tiny.yaml");
    for (verb, file, at, more, expected) in [
        ("train", TINY, "network:\n", "  weights: w.safetensors\n", "network.weights: w.safetensors: "),
        ("train", TINY, "train: {", teacher, "teacher mobilenetv2_100: w.safetensors: "),
        ("search", search, "retrain: {", teacher, "teacher mobilenetv2_100: w.safetensors: "),
        ("search", search, "supernet: {", init, "supernet.init: w.safetensors: "),
    ] {
        let text = fs::read_to_string(file).unwrap();
        fs::write(dir.path().join("c.yaml"), text.replace(at, &format!("{at}{more}"))).unwrap();
        let out = ran(program(&[verb, "c.yaml", "--out", "run"]).current_dir(dir.path()));
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains(&format!("error: {expected}")), "{}", said(&out));
        assert!(!dir.path().join("run").exists(), "{}", said(&out));
    }
}

#[test]
fn a_training_that_is_over_no_longer_needs_the_weights_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(TINY).unwrap().replace("epochs: 2", "epochs: 0.5");
    let run = |config: &str, out: &str| {
        fs::write(dir.path().join("c.yaml"), config).unwrap();
        let mut c = program(&["train", "c.yaml", "--resume", "--out", out]);
        c.current_dir(dir.path());
        done(c)
    };
    run(&text, "first");
    let from = text.replace("network:\n", "network:\n  weights: first/weights.safetensors\n");
    let said = run(&from, "second");
    fs::remove_dir_all(dir.path().join("first")).unwrap();
    let result = |said: &str| said.lines().find(|l| l.contains("test top-1")).map(str::to_string);
    assert_eq!(result(&run(&from, "second")), result(&said));
}
