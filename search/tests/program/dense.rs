//! Detection and segmentation, from composed scenes to drawn boxes: `data shapes`, `train`, `evaluate`, `predict`, `search`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{
    assert_same_rows, kill_at, output, program, program_with_data, rows, rows_of, said, start_on_ranks, succeed,
};

const KNOBS: &str = "resolution: RES, stem.width: 8, stages.0.width: 8, stages.1.width: 8, stages.2.width: 8, \
                     stages.3.width: 8, stages.4.width: 16, stages.5.width: 16, stages.6.width: 24, head.width: 64, \
                     stages.1.depth: 1, stages.2.depth: 1, stages.3.depth: 1, stages.4.depth: 1, stages.5.depth: 1";

/// A folder with scenes, and a config of a training for each task.
fn scenes() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut c = program_with_data(dir.path());
    c.args(["data", "shapes", "--out", "shapes", "--train", "40", "--val", "10"]);
    assert!(succeed(c).starts_with("shapes: 50 scenes with "));
    let head = format!("threads: 1\nnetwork: {{model: mobilenetv2_100, knobs: {{{KNOBS}}}}}\n");
    let rest = "checkpoint_seconds: 0\ntrain: {epochs: 16, batch: 8, warmup: 0.5, label_smoothing: 0.1, ema: 0.9}\n";
    for (task, more, data, side) in [
        ("detection", "", "coco", "64"),
        ("segmentation", "head: {name: pspnet, auxiliary: true, width: 32}\n", "voc", "96"),
    ] {
        let (head, data) = (head.replace("RES", side), format!("data: {{name: {data}, dir: shapes, search_val: 8}}\n"));
        fs::write(dir.path().join(format!("{task}.yaml")), format!("task: {task}\n{more}{head}{data}{rest}")).unwrap();
    }
    dir
}

fn run(dir: &Path, args: &str) -> Command {
    let mut c = program(dir);
    c.args(args.split(' '));
    c
}

fn json(dir: &Path, args: &str) -> Value {
    serde_json::from_str(&succeed(run(dir, args))).unwrap()
}

fn weights(dir: &Path, out: &str) -> Vec<u8> {
    fs::read(dir.join(out).join("weights.safetensors")).unwrap()
}

fn step(dir: &Path, out: &str) -> u64 {
    rows(&dir.join(out).join("training.jsonl")).last().map_or(0, |row| row["step"].as_u64().unwrap())
}

fn without_seconds(mut told: Value) -> Value {
    told["seconds"] = Value::Null;
    told
}

/// What two processes tell together, of which the first alone speaks.
fn evaluated_on_ranks(dir: &Path, args: &str) -> Value {
    let all = start_on_ranks(2, || run(dir, args)).into_iter().map(|one| one.wait_with_output().unwrap());
    let all: Vec<_> = all.collect();
    assert!(all.iter().all(|out| out.status.success()) && said(&all[1]).is_empty(), "{all:?}");
    without_seconds(serde_json::from_slice(&all[0].stdout).unwrap())
}

#[test]
fn a_training_for_each_task_resumes_bit_for_bit_and_is_scored_alike_by_evaluate() {
    let scenes = scenes();
    let dir = scenes.path();
    for (task, metric, named) in [("detection", "map", "ap"), ("segmentation", "miou", "miou")] {
        let said = succeed(run(dir, &format!("train {task}.yaml --out {task}")));
        assert!(said.contains(&format!("test {}", if task == "detection" { "mAP " } else { "mIoU " })), "{said}");
        let again = format!("train {task}.yaml --out {task}-killed --resume");
        kill_at(run(dir, &again), || step(dir, &format!("{task}-killed")) >= 6);
        succeed(run(dir, &again));
        assert!(weights(dir, task) == weights(dir, &format!("{task}-killed")), "{task} resumed");
        let result: Value =
            serde_json::from_str(&fs::read_to_string(dir.join(task).join("result.json")).unwrap()).unwrap();
        let trained = result[format!("test_{metric}")].as_f64().unwrap();
        let scoring = format!("evaluate --config {task}.yaml --weights {task}/weights.safetensors --json");
        let told = json(dir, &scoring);
        assert_eq!(told["images"], 10);
        // The deployed network rounds otherwise.
        assert!((100.0 * told[named].as_f64().unwrap() - trained).abs() < 0.5, "{told} and {trained}");
        assert_eq!(evaluated_on_ranks(dir, &scoring), without_seconds(told), "{task} by two processes");
        let losses: Vec<f64> =
            rows(&dir.join(task).join("training.jsonl")).iter().map(|r| r["loss"].as_f64().unwrap()).collect();
        assert!(losses[losses.len() - 1] < 0.8 * losses[0], "{task} learns: {losses:?}");
    }
    let (of, image) = ("--weights detection/weights.safetensors", "shapes/JPEGImages/000041.png");
    let found = json(dir, &format!("predict --config detection.yaml {of} {image} --json --draw drawn"));
    let first = &found[0];
    assert_eq!((first["image_id"].as_u64(), first["bbox"].as_array().map(Vec::len)), (Some(41), Some(4)), "{first}");
    assert!((1..=10).contains(&first["category_id"].as_u64().unwrap()) && first["category"].is_string(), "{first}");
    assert_ne!(fs::read(dir.join("drawn/000041.png")).unwrap(), fs::read(dir.join(image)).unwrap());
    let said = succeed(run(dir, &format!("weights export --config detection.yaml {of} --out d.onnx --decode")));
    assert!(said.contains("boxes decoded"), "{said}");
    let of = "--config segmentation.yaml --weights segmentation/weights.safetensors";
    let said = succeed(run(dir, &format!("predict {of} {image} --draw drawn")));
    assert!(said.contains("background"), "{said}");
    assert!(dir.join("drawn/000041.map.png").exists());
    // Weights of a classifier begin the backbone below a head.
    let classifier = fs::read_to_string(dir.join("detection.yaml")).unwrap();
    let classifier = classifier.replace("task: detection\n", "").replace("resolution: 64", "resolution: 32");
    let data = "data: {name: fashion-mnist, search_val: 100, train_limit: 64, test_limit: 20}";
    fs::write(dir.join("c.yaml"), classifier.replace("data: {name: coco, dir: shapes, search_val: 8}", data)).unwrap();
    let mut c = program_with_data(dir);
    c.args(["train", "c.yaml", "--out", "c"]);
    succeed(c);
    let text = fs::read_to_string(dir.join("detection.yaml")).unwrap();
    let from = |file: &str| text.replace("network: {", &format!("network: {{weights: {file}, "));
    fs::write(dir.join("warm.yaml"), from("c/weights.safetensors").replace("epochs: 16", "epochs: 1")).unwrap();
    succeed(run(dir, "train warm.yaml --out warm"));
    assert!(weights(dir, "warm") != weights(dir, "detection"));
}

#[test]
fn what_does_not_fit_a_task_is_one_message_each() {
    let scenes = scenes();
    let dir = scenes.path();
    let base = fs::read_to_string(dir.join("detection.yaml")).unwrap();
    let said = |from: &str, to: &str| {
        fs::write(dir.join("x.yaml"), base.replace(from, to)).unwrap();
        let (code, _, err) = output(run(dir, "train x.yaml --out x"));
        assert_eq!(code, 2, "{err}");
        err.trim_start_matches("error: ").trim_end().to_string()
    };
    let model = "model: mobilenetv2_100, knobs: {";
    for (from, to, expected) in [
        (
            "task: detection",
            "task: detection\nhead: {name: pspnet}",
            "line 2, head.name: found pspnet, a head for segmentation, expected one for detection",
        ),
        (
            "task: detection",
            "task: classification\nhead: {name: ssdlite}",
            "line 2, head: found a head, expected none for classification",
        ),
        (
            "name: coco",
            "name: ade20k",
            "data.name: found ade20k, whose images have class maps; expected a dataset with boxes: coco, voc",
        ),
        (
            "name: coco",
            "name: coco, val_split: test",
            "shapes/annotations/instances_test.json: found No such file or directory (os error 2), expected COCO's \
             JSON: `images`, `annotations` and `categories`",
        ),
        (
            "train: {",
            "train: {head_dropout: 0.1, augment: {mixup: 0.2}, ",
            "line 6, train.augment.mixup: found it on, expected 0: classes alone are mixed\n  \
             line 6, train.head_dropout: found 0.1, expected 0: heads have no classifier",
        ),
        (
            "train: {",
            "train: {augment: {segmentation: {flip: 0}}, ",
            "line 6, train.augment.segmentation: found that of segmentation, expected none, or that of detection",
        ),
        (model, "model: deit_tiny_patch16_224, knobs: {", "network.knobs"),
    ] {
        let said = said(from, to);
        assert!(said.contains(expected), "{said}");
    }
    for (args, expected) in [
        ("", "--decode: no boxes, expected a network with a detection head"),
        (" --head pspnet", "--decode: no boxes, expected a network with a detection head"),
        (" --head ssdlite --batch 2", "--decode: batch 2, expected one image at once"),
    ] {
        let export = format!("weights export --model mobilenetv2_100 --out x.onnx --decode{args}");
        let (code, _, err) = output(run(dir, &export));
        assert_eq!((code, err), (2, format!("error: {expected}\n")));
    }
    let bad = "evaluate --model mobilenetv2_100 --weights bad.safetensors --data shapes --split val";
    let (code, _, err) = output(run(dir, bad));
    assert_eq!(code, 2);
    assert_eq!(err, "error: --split: no head, expected a network for detection or segmentation\n");
}

#[test]
fn a_search_for_a_detector_is_resumed_and_reported() {
    let scenes = scenes();
    let dir = scenes.path();
    let knobs = KNOBS.replace("RES", "64").replace(": ", ": [").replace(", ", "], ") + "]";
    let knobs = knobs
        .replace("stages.5.width: [16]", "stages.5.width: [8, 16]")
        .replace("stages.6.width: [24]", "stages.6.width: [16, 24]");
    let text = format!(
        "task: detection\nthreads: 1\nspace: {{family: mobilenet_v2, knobs: {{{knobs}}}}}\n\
         data: {{name: coco, dir: shapes, search_val: 8}}\n\
         supernet: {{epochs: 2, batch: 8, label_smoothing: 0}}\nscoring: {{recalibrate: 16, batch: 8}}\n\
         search: {{strategy: {{random: {{}}}}, trials: 3, cache: {{enabled: false}}}}\n\
         latency: {{warmup_ms: 0, min_samples: 3, max_samples: 3, max_ms: 10, processes: 1, rounds: 3, remeasure_processes: 0}}\n\
         retrain: {{best: 1, epochs: 1, batch: 8, label_smoothing: 0}}\ncheckpoint_seconds: 0\n"
    );
    fs::write(dir.join("s.yaml"), &text).unwrap();
    fs::write(
        dir.join("x.yaml"),
        text.replace("strategy", "proxies: [nwot], bounds: {top1: 3}, strategy")
            .replace("resolution: [64]", "resolution: [64, 96]"),
    )
    .unwrap();
    let (code, _, err) = output(run(dir, "check x.yaml"));
    assert_eq!(code, 2);
    insta::assert_snapshot!(err.trim_end(), @r"
    error: x.yaml: 3 mistakes
      line 3, space.knobs.resolution: found several choices, expected one, or supernet.distill_subnets: labels: anchors of different resolutions cannot be compared
      line 7, search.proxies: found some, expected none: they are of classifiers
      line 7, search.bounds.top1: found one, expected none: it is of classifiers
    ");
    let said = succeed(run(dir, "check s.yaml"));
    assert!(said.contains("data coco: train 32, search-val 8, test 10"), "{said}");
    succeed(run(dir, "search s.yaml --out whole"));
    let trials = rows_of(&dir.join("whole"), "trial");
    assert!(trials.iter().all(|t| t["outcome"]["scored"]["map"].is_number()), "{trials:?}");
    // In one fresh process, three rounds; the head is part of it.
    let samples = |t: &Value| t.pointer("/latency/samples").and_then(Value::as_u64);
    assert!(trials.iter().all(|t| samples(t) == Some(3)), "{trials:?}");
    let begun = dir.join("killed/journal.jsonl");
    kill_at(run(dir, "search s.yaml --out killed"), || rows(&begun).iter().any(|r| r.get("trial").is_some()));
    succeed(run(dir, "search s.yaml --out killed --resume"));
    assert_same_rows(&dir.join("whole/journal.jsonl"), &begun, &["mes"], "resumed");
    let page = fs::read_to_string(dir.join("whole/report/index.html")).unwrap();
    assert!(page.contains("mAP") && !page.contains("Top-1"), "the page speaks of the task's metric");
    let retrained = rows_of(&dir.join("whole"), "retrained");
    assert!(retrained[0]["metrics"]["test_map"].is_number(), "{retrained:?}");
    let winner = retrained[0]["trial"].as_u64().unwrap();
    assert!(dir.join(format!("whole/winners/{winner}.3.png")).exists(), "pictures of the first four test images");
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 4 * retrained.len());
    let told = json(dir, &format!("evaluate --run whole --trial {winner} --json"));
    assert_eq!(told["images"], 10);
    let export = format!("weights export --run whole --trial {winner} --out w.onnx");
    assert!(succeed(run(dir, &export)).contains("w.onnx"));
}
