//! What the program says when the input is wrong or the run fails, and with which exit code.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mobilenas_strategy::STRATEGIES;
use tempfile::TempDir;

use crate::common::{output, program, program_with_data, signal, succeed};

fn run(dir: &Path, args: &[&str]) -> (i32, String) {
    let mut command = program(dir);
    command.args(args);
    let (code, _, err) = output(command);
    (code, err.replace(&dir.display().to_string(), "DIR"))
}

/// Checks a config with the given bytes.
fn check(text: impl AsRef<[u8]>) -> String {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), text).unwrap();
    let (code, said) = run(dir.path(), &["check", "c.yaml"]);
    assert_eq!(code, 2, "{said}");
    let names: BTreeSet<&str> = STRATEGIES.iter().map(|k| k.name).collect();
    said.replace(&names.into_iter().collect::<Vec<_>>().join(", "), "STRATEGIES")
}

const GOOD: &str = "\
space: {family: mobilevit_v1}
search: {strategy: {random: {}}, trials: 3}
";

#[test]
fn all_mistakes_are_named_at_once() {
    let text = "\
seed: one
space:
  family: mobilevit_v9
  scale: {width: 0}
supernet:
  epochs: -1
  learning_rate: 0.1
search:
  strategy: {random: {}}
  objectives: [{metric: top1, goal: larger}]
data: {name: fashion-mist}
serch: {}
";
    insta::assert_snapshot!(check(text), @r#"
    error: c.yaml: 9 mistakes
      line 1, seed: found "one", expected a whole number of at least 0
      line 3, space.family: found mobilevit_v9, expected one of mobilevit_v1, mobilevit_v2, mobilevit_v3, mobilevit_v3_separable, efficientformer, efficientformer_v2, mobilenet_v1, mobilenet_v1_head, mobilenet_v2, mobilenet_v3, mobilenet_v4_small, mobilenet_v4, mobilenet_v4_aa, mobilenet_v4_hybrid_medium, mobilenet_v4_hybrid_large, mnasnet, efficientnet, efficientnet_lite, mixnet_s, mixnet, ghostnet, ghostnet_v2, shufflenet_v2, mobileone_s0, mobileone, mobileone_s4, repvit_legacy, repvit, fastvit, fastvit_attention, shvit, starnet, levit_128, levit, efficientvit, efficientvit_m, swiftformer, edgenext, edgenext_rw, iformer, iformer_distilled, poolformer, poolformer_v2, tiny_vit, tiny_vit_384, pvt_v2, pit, pit_distilled, pit_base, pit_base_distilled, cait, cait_384, convit, crossvit, densenet_121, densenet_161, densenet_169, densenet_201, resnet_basic, resnet, seresnet, botnet, deit; did you mean mobilevit_v1?
      line 4, space.scale.width: found 0, expected a number of 0.01 to 16
      line 6, supernet.epochs: found -1, expected a number above 0, at most 100000
      line 7, supernet.learning_rate: unknown key (keys here: augment, batch, batch_norms, clip, cooldown, decay_all, distill, distill_subnets, drop_path, dropout, ema, epochs, grad_accum_steps, head_dropout, init, label_smoothing, lr, lr_base_size, lr_schedule, max_nonfinite_steps, min_lr, optimizer, precision, progressive_order, random_subnets, recipe, rule, sampler, schedule_interval, sync_batch_norms, warmup, warmup_lr, warmup_steps, weight_decay)
      line 9, search: missing key trials, expected a whole number of 1 to 1000000
      line 10, search.objectives.0.goal: found "larger", expected one of maximize, minimize
      line 11, data.name: found "fashion-mist", expected one of fashion-mnist, cifar-10, cifar-100, folder, coco, voc, ade20k, masks; did you mean fashion-mnist?
      line 12, serch: unknown key, did you mean search? (keys here: checkpoint_seconds, data, device, head, latency, mes, name, retrain, scoring, search, seed, space, spaces, supernet, task, threads, workers)
    "#);
}

#[test]
fn names_that_only_the_families_know_are_checked_too() {
    insta::assert_snapshot!(check(GOOD.replace("_v1", "_v9")), @r"
    error: c.yaml: 1 mistake
      line 1, space.family: found mobilevit_v9, expected one of mobilevit_v1, mobilevit_v2, mobilevit_v3, mobilevit_v3_separable, efficientformer, efficientformer_v2, mobilenet_v1, mobilenet_v1_head, mobilenet_v2, mobilenet_v3, mobilenet_v4_small, mobilenet_v4, mobilenet_v4_aa, mobilenet_v4_hybrid_medium, mobilenet_v4_hybrid_large, mnasnet, efficientnet, efficientnet_lite, mixnet_s, mixnet, ghostnet, ghostnet_v2, shufflenet_v2, mobileone_s0, mobileone, mobileone_s4, repvit_legacy, repvit, fastvit, fastvit_attention, shvit, starnet, levit_128, levit, efficientvit, efficientvit_m, swiftformer, edgenext, edgenext_rw, iformer, iformer_distilled, poolformer, poolformer_v2, tiny_vit, tiny_vit_384, pvt_v2, pit, pit_distilled, pit_base, pit_base_distilled, cait, cait_384, convit, crossvit, densenet_121, densenet_161, densenet_169, densenet_201, resnet_basic, resnet, seresnet, botnet, deit; did you mean mobilevit_v1?
    ");
    let knobs = GOOD.replace(
        "_v1}",
        "_v1, knobs: {stages.2.widht: [8], stages.3.width: [8, 8], stages.4.width: [0], head.width: []}}",
    );
    insta::assert_snapshot!(check(knobs), @r"
    error: c.yaml: 4 mistakes
      line 1, space.knobs.head.width: found 0 choices, expected 1 to 200 choices
      line 1, space.knobs.stages.2.widht: found an unknown knob, expected a knob of mobilevit_v1; did you mean stages.2.width?
      line 1, space.knobs.stages.3.width: found 8 twice, expected distinct choices
      line 1, space.knobs.stages.4.width: found 0, expected a width of 1 to 8192
    ");
}

#[test]
fn choices_that_make_no_network_are_refused() {
    let small = GOOD.replace("mobilevit_v1}", "deit, knobs: {resolution: [8]}}");
    insta::assert_snapshot!(check(small), @r"
    error: c.yaml: 1 mistake
      line 1, space.knobs: found choices that do not form a network (patch_embed.proj: conv got 3x8x8, expected a map that a 16x16 window fits into, and channels), expected other choices
    ");
}

#[test]
fn values_that_contradict_each_other_are_named() {
    let text = format!("{GOOD}supernet: {{epochs: 1, warmup: 2, lr: 0.1, min_lr: 0.2}}\n");
    let text = text.replace("{random: {}}", "{random: {}, regularized_evolution: {}}");
    insta::assert_snapshot!(check(text), @r"
    error: c.yaml: 3 mistakes
      line 2, search.strategy: found 2 keys, expected one of STRATEGIES
      line 3, supernet.min_lr: found 0.2, expected at most lr, 0.1
      line 3, supernet.warmup: found 2, expected at most epochs, 1
    ");
    let metric = GOOD.replace("trials: 3", "trials: 3, objectives: [{metric: latency, goal: minimize}]");
    insta::assert_snapshot!(check(metric), @r#"
    error: c.yaml: 1 mistake
      line 2, search.objectives.0.metric: found "latency", expected one of params, macs, memory, latency_ms, mes, synflow, nwot, grad_norm, top1, top1_int8; did you mean latency_ms?
    "#);
}

#[test]
fn files_that_are_no_config_have_one_message_each() {
    insta::assert_snapshot!(check(format!("{GOOD}seed: 1\nseed: 2\n")), @r"
    error: c.yaml: 1 mistake
      line 4, seed: occurs twice, first on line 3
    ");
    insta::assert_snapshot!(check(b"seed: 1\nname: \xff\xfe\n"), @"error: c.yaml: found bytes that are not UTF-8 on line 2, expected a YAML file in UTF-8");
    insta::assert_snapshot!(check(" \n\n"), @"error: c.yaml: found an empty file, expected a YAML file in UTF-8");
    insta::assert_snapshot!(check("seed: [1, 2\n"), @"error: c.yaml, line 1: unclosed bracket '[', expected YAML");
    insta::assert_snapshot!(check("seed: 1\n\tname: x\n"), @"error: c.yaml, line 1: while scanning a plain scalar, found a tab, expected YAML");
    insta::assert_snapshot!(check("- 1\n- 2\n"), @r"
    error: c.yaml: 1 mistake
      line 1: found a list of 2, expected a map
    ");
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("d.yaml")).unwrap();
    insta::assert_snapshot!(run(dir.path(), &["check", "d.yaml"]).1, @"error: d.yaml: found a directory, expected a YAML file in UTF-8");
    insta::assert_snapshot!(run(dir.path(), &["check", "none.yaml"]).1, @"error: none.yaml: No such file or directory (os error 2), expected a YAML file in UTF-8");
}

#[test]
fn bounds_that_nothing_meets_are_found_out_at_once() {
    let bounded = GOOD.replace("trials: 3", "trials: 3, bounds: {params: 1000, macs: 2e6}");
    let text = bounded.replace("_v1}", "_v1, scale: {width: 0.25}, knobs: {resolution: [32], stages.2.patch: [2], stages.3.patch: [2], stages.4.patch: [2]}}");
    insta::assert_snapshot!(check(text), @"error: c.yaml: no genome found among 4.479e6 that meets search.bounds: the nearest has params 52162 above the bound 1000; its knobs: stages.0.expand 2, stages.1.width 8, stages.1.expand 2, stages.1.depth 1, stages.2.width 16, stages.2.expand 2, stages.2.dim 16, stages.2.depth 1, stages.3.width 16, stages.3.expand 2, stages.3.dim 24, stages.3.depth 1, stages.4.width 24, stages.4.expand 2, stages.4.dim 24, stages.4.depth 1, head.width 80");
}

#[test]
fn a_bound_on_latency_that_nothing_meets_is_found_out_before_anything_is_trained() {
    let dir = TempDir::new().unwrap();
    let text = fs::read_to_string(tiny()).unwrap().replace("bounds: {params: 250000}", "bounds: {latency_ms: 1e-6}");
    fs::write(dir.path().join("c.yaml"), text).unwrap();
    let (code, said) = run(dir.path(), &["search", "c.yaml", "--out", "run"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("no genome found among 2.419e8 that meets search.bounds: the nearest has latency_ms"),
        "{said}"
    );
    assert!(said.contains("above the bound 0.000001; its knobs: resolution "), "{said}");
    assert!(!dir.path().join("run").exists());
}

/// Latencies of more threads than cores are those of the scheduler.
#[test]
fn more_threads_than_cores_time_nothing() {
    let dir = TempDir::new().unwrap();
    let latency = "latency: {threads: 256, warmup_ms: 1}";
    fs::write(dir.path().join("search.yaml"), format!("{GOOD}{latency}\n")).unwrap();
    let study =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/study/tiny.yaml")).unwrap();
    fs::write(
        dir.path().join("study.yaml"),
        study.replace("latency: {engine: libtorch-plain, warmup_ms: 1,", &latency.replace('}', ",")),
    )
    .unwrap();
    for (words, expected) in [
        (&["search", "search.yaml", "--out", "run"][..], "line 3, latency.threads: found 256 threads"),
        (&["check", "search.yaml"], "error: search.yaml: 1 mistake\n  line 3, latency.threads: found 256 threads"),
        (&["study", "study.yaml", "--out", "run"], ", latency.threads: found 256 threads"),
        (&["latency-table", "build", "search.yaml", "--out", "run"], "error: found 256 threads"),
        (
            &["latency-table", "build", "--family", "deit", "--threads", "256", "--out", "run"],
            "error: found 256 threads",
        ),
    ] {
        let (code, said) = run(dir.path(), words);
        assert!(code == 2 && said.contains(expected), "{words:?}: {code}, {said}");
        assert!(said.contains("expected at most one for each of "), "{said}");
        assert!(!dir.path().join("run").exists(), "{words:?}");
    }
}

fn data(folder: &Path) {
    let whole = std::env::var_os("MOBILENAS_DATA_WHOLE").or_else(|| std::env::var_os("MOBILENAS_DATA"));
    let from = whole.expect("`cargo xtask test` sets MOBILENAS_DATA");
    for entry in fs::read_dir(Path::new(&from).join("fashion-mnist")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn missing_and_damaged_data_have_one_message_each() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("images")).unwrap();
    fs::write(dir.path().join("c.yaml"), format!("{GOOD}data: {{dir: images}}\n")).unwrap();
    let (code, said) = run(dir.path(), &["search", "c.yaml", "--out", "run"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"error: images: train-images-idx3-ubyte not found, expected the files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each with or without .gz); `cargo xtask setup` fetches them, or put them there by hand");
    data(&dir.path().join("images"));
    let labels = dir.path().join("images/train-labels-idx1-ubyte.gz");
    let whole = fs::read(&labels).unwrap();
    fs::write(&labels, &whole[..whole.len() / 2]).unwrap();
    let (code, said) = run(dir.path(), &["search", "c.yaml", "--out", "run"]);
    assert_eq!(code, 2);
    assert!(said.starts_with("error: images/train-labels-idx1-ubyte.gz: found a gzip stream that breaks"), "{said}");
    fs::copy(dir.path().join("images/train-images-idx3-ubyte.gz"), &labels).unwrap();
    let (code, said) = run(dir.path(), &["search", "c.yaml", "--out", "run"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"error: images/train-labels-idx1-ubyte.gz: found magic number 2051, expected 2049");
    assert!(!dir.path().join("run").exists(), "nothing is written before the input is sound");
}

fn tiny() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/tiny.yaml").display().to_string()
}

#[test]
fn a_folder_that_exists_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(dir.path().join("run/mine.txt"), "mine").unwrap();
    let (code, said) = run(dir.path(), &["search", &tiny(), "--out", "run"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"error: run: exists, expected a new folder; --resume goes on with a run that is there");
    assert_eq!(fs::read_dir(dir.path().join("run")).unwrap().count(), 1);
}

#[test]
fn a_full_disk_stops_the_run_with_what_was_written_whole() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    fs::create_dir(&out).unwrap();
    // A device that is always full, in the place where the first checkpoint is written.
    std::os::unix::fs::symlink("/dev/full", out.join("supernet.checkpoint.next.safetensors.partial")).unwrap();
    let (code, said) = run(dir.path(), &["search", &tiny(), "--out", "run", "--resume"]);
    assert_eq!(code, 1, "{said}");
    let last = said.lines().last().unwrap();
    insta::assert_snapshot!(last, @"error: run/supernet.checkpoint.next.safetensors: No space left on device (os error 28), expected a place for the file");
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    assert!(journal.lines().count() >= 4);
    for line in journal.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_run_of_another_version_or_config_is_not_resumed() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    fs::create_dir(&out).unwrap();
    // A device that is always full, in the place where the next checkpoint is written; a failed attempt removes the link.
    let fill = || {
        let place = out.join("supernet.checkpoint.next.safetensors.partial");
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink("/dev/full", place).unwrap();
    };
    fill();
    run(dir.path(), &["search", &tiny(), "--out", "run", "--resume"]);
    let journal = out.join("journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let version = format!("\"program\":\"{}\"", env!("CARGO_PKG_VERSION"));
    fs::write(&journal, text.replace(&version, "\"program\":\"0.0.1\"")).unwrap();
    let (code, said) = run(dir.path(), &["search", &tiny(), "--out", "run", "--resume"]);
    assert_eq!(code, 2);
    let last = said.lines().last().unwrap().replace(env!("CARGO_PKG_VERSION"), "OURS");
    insta::assert_snapshot!(last, @"error: run: holds a run of another program version: 0.0.1, expected OURS");
    fs::write(&journal, &text).unwrap();
    let resume = |text: &str| {
        fs::write(dir.path().join("other.yaml"), text).unwrap();
        run(dir.path(), &["search", "other.yaml", "--out", "run", "--resume"])
    };
    let own = fs::read_to_string(tiny()).unwrap();
    let (code, said) = resume(&own.replace("seed: 3", "seed: 4").replace("train_limit: 320", "train_limit: 330"));
    assert_eq!(code, 2);
    let expected = "error: run: holds a run of another config\n  \
                    data.train_limit: 320 in the run, 330 in this config\n  \
                    seed: 3 in the run, 4 in this config\n";
    assert!(said.ends_with(expected), "{said}");
    // Another name, more trials and another interval of checkpoints change nothing that was done: the disk is full again.
    fill();
    let (code, said) =
        resume(&own.replace("trials: 8", "trials: 9").replace("checkpoint_seconds: 0", "checkpoint_seconds: 0.001"));
    assert!(code == 1 && said.contains("No space left on device"), "{said}");
    fs::write(out.join("config.yaml"), "seed: 9\n").unwrap();
    let (code, said) = resume(&own);
    assert_eq!(code, 2);
    let expected = "error: run/config.yaml: changed since the run began, expected the file as the run wrote it\n";
    assert!(said.ends_with(expected), "{said}");
    fs::write(&journal, format!("rubbish\n{text}")).unwrap();
    let (code, said) = run(dir.path(), &["search", &tiny(), "--out", "run", "--resume"]);
    assert_eq!(code, 1);
    assert!(said.contains("journal.jsonl, line 1: damaged"), "{said}");
}

#[test]
fn a_search_with_more_threads_than_cores_says_so_and_ends_when_it_is_asked_to() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("c.yaml"), fs::read_to_string(tiny()).unwrap().replace("threads: 2", "threads: 12"))
        .unwrap();
    let mut c = program_with_data(dir.path());
    c.args(["search", "c.yaml", "--out", "run"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = c.spawn().unwrap();
    let (mut stderr, mut said) = (child.stderr.take().unwrap(), Vec::<u8>::new());
    let warning = "warning: threads: found 12 threads for ";
    let mut byte = [0];
    while !String::from_utf8_lossy(&said).contains(warning) {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    std::thread::sleep(Duration::from_secs(1));
    signal(&child, "-TERM");
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(143));
}

#[test]
fn a_check_tells_the_space_first_and_the_time_last() {
    let dir = TempDir::new().unwrap();
    // The published space, with every default; a batch that no machine has the memory for.
    fs::write(dir.path().join("c.yaml"), format!("{GOOD}supernet: {{batch: 60000}}\ndata: {{train_limit: 256}}\n"))
        .unwrap();
    let mut c = program_with_data(dir.path());
    c.args(["check", "c.yaml"]);
    let said = succeed(c);
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part}: {said}"));
    assert!(at("networks of mobilevit_v1") < at("params ") && at("params ") < at("data fashion-mnist"));
    assert!(at("data fashion-mnist") < at("estimated time on this machine: supernet "));
}
