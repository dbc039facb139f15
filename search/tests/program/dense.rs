//! Detection and segmentation, from composed scenes to drawn boxes: `data shapes`, `train`, `evaluate`, `predict`, `search`.

use std::fs;
use std::path::Path;
use std::process::Command;

use mobilenas_pipeline::experiment::prepare;
use mobilenas_torch::weights::{About, load, save};
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
    let rest = "checkpoint_seconds: 0\ntrain: {epochs: 10, batch: 8, lr: 0.008, warmup: 0.5, ema: 0.9}\n";
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

/// A whole number that a row has as a float.
fn json_number(of: &Value) -> Value {
    Value::from(of.as_f64().unwrap() as u64)
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
        let export =
            format!("weights export --config {task}.yaml --weights {task}/weights.safetensors --out {task}.onnx");
        let int8 = json(dir, &format!("{export} --int8 --images 16 --json"));
        let of = |form: &str| int8["accuracy"][format!("{form}_{metric}")].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&of("int8")) && int8["layers_in_int8"].as_u64().unwrap() > 10, "{int8}");
        // A segmentation file's logits are at the image's size already; those of `evaluate` are resized once.
        assert!(task == "segmentation" || (of("float32") - trained).abs() < 0.5, "{int8} and {trained}");
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
    let phones = format!("weights export --config detection.yaml {of} --out d.tflite");
    let (code, _, err) = output(run(dir, &phones));
    let expected = "error: --format litert: a network with the head ssdlite, expected a classifier, or --format safetensors \
                    or onnx or pytorch";
    assert_eq!((code, err.lines().next()), (2, Some(expected)), "{err}");
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
    fs::write(dir.join("warm.yaml"), from("c/weights.safetensors").replace("epochs: 10", "epochs: 1")).unwrap();
    succeed(run(dir, "train warm.yaml --out warm"));
    assert!(weights(dir, "warm") != weights(dir, "detection"));
}

/// A search for a segmentation network by the stride of its last map, with latencies by a table and accuracy in int8.
#[test]
fn a_table_times_the_blocks_of_a_head_and_a_search_has_int8_scores() {
    let scenes = scenes();
    let dir = scenes.path();
    let knobs = KNOBS.replace("RES", "64").replace(": ", ": [").replace(", ", "], ") + "]";
    let config = |task: &str, data: &str, more: &str, knob: &str| {
        format!(
            "task: {task}\nthreads: 1\nspace: {{family: mobilenet_v2, knobs: {{{knobs}, {knob}}}}}\n\
             data: {{name: {data}, dir: shapes, search_val: 8}}\n\
             supernet: {{epochs: 1, batch: 8, label_smoothing: 0}}\nscoring: {{recalibrate: 16, batch: 8}}\n\
             search: {{strategy: {{random: {{}}}}, trials: 2, cache: {{enabled: false}}{more}}}\n\
             latency: {{source: table, table: {task}.jsonl, engine: libtorch-plain}}\n\
             retrain: {{best: 1, epochs: 1, batch: 8, label_smoothing: 0}}\ncheckpoint_seconds: 0\n"
        )
    };
    let int8 = ", objectives: [{metric: miou_int8, goal: maximize}, {metric: macs, goal: minimize}]";
    let segmentation = config("segmentation", "voc", int8, "deeplabv3.width: [16], deeplabv3.output_stride: [8, 16]");
    for (task, text) in [
        // The rows of a detector's maps are joined by a block that reads all of them.
        ("detection", config("detection", "coco", "", "ssdlite.width: [32, 64]")),
        ("segmentation", segmentation),
    ] {
        fs::write(dir.join("s.yaml"), &text).unwrap();
        let table = format!("{task}.jsonl");
        let build = format!("latency-table build s.yaml --out {table} --rounds 3 --passes 1 --fit 1 --validate 1");
        succeed(run(dir, &build));
        succeed(run(dir, "check s.yaml"));
        let kind = if task == "detection" { "\"ssd_rows." } else { "\"aspp." };
        assert!(fs::read_to_string(dir.join(&table)).unwrap().contains(kind), "{task}");
        let wider = text.replace("[32, 64]", "[32, 96]").replace("[16]", "[24]");
        fs::write(dir.join("x.yaml"), wider).unwrap();
        let (code, _, err) = output(run(dir, "check x.yaml"));
        assert!(code == 2 && err.contains("has no time for"), "{err}");
    }
    succeed(run(dir, "search s.yaml --out s"));
    let mut trials = rows_of(&dir.join("s"), "trial");
    trials.retain(|t| t["origin"] == "search");
    let of = |t: &Value, metric: &str| t["outcome"]["scored"][metric].as_f64().unwrap();
    assert_eq!(trials.len(), 2);
    assert!(
        trials.iter().all(|t| (0.0..=100.0).contains(&of(t, "miou_int8")) && of(t, "latency_ms") > 0.0),
        "{trials:?}"
    );
    let stride = |t: &Value| t["genome"]["deeplabv3.output_stride"].as_u64();
    assert!(trials.iter().all(|t| matches!(stride(t), Some(8 | 16))), "{trials:?}");
    assert!(of(&trials[0], "macs") != of(&trials[1], "macs"), "{trials:?}");
    let retrained = rows_of(&dir.join("s"), "retrained");
    assert!(retrained[0]["metrics"]["test_miou_int8"].is_number(), "{retrained:?}");
    let page = fs::read_to_string(dir.join("s/report/index.html")).unwrap();
    assert!(page.contains("Test mIoU int8") && page.contains("deeplabv3.output_stride"), "the report has both");
}

#[test]
fn a_study_speaks_of_the_tasks_metric() {
    let scenes = scenes();
    let dir = scenes.path();
    let knobs = KNOBS.replace("RES", "64").replace(": ", ": [").replace(", ", "], ") + "]";
    let knobs = knobs.replace("stages.6.width: [24]", "stages.6.width: [8, 16, 24], deeplabv3.width: [16]");
    let text = format!(
        "task: segmentation\nthreads: 1\nspace: {{family: mobilenet_v2, knobs: {{{knobs}}}}}\n\
         data: {{name: voc, dir: shapes, search_val: 8}}\n\
         supernet: {{epochs: 1, batch: 8, label_smoothing: 0}}\nscoring: {{recalibrate: 16, batch: 8}}\n\
         search: {{strategy: {{random: {{}}}}, trials: 2}}\n\
         latency: {{engine: libtorch-plain}}\nretrain: {{best: 1, epochs: 1, batch: 8, label_smoothing: 0}}\n\
         study: {{subnets: 3, seeds: 1, retrain_seeds: 1, rounds: 3, strategies: []}}\ncheckpoint_seconds: 0\n"
    );
    fs::write(dir.join("s.yaml"), &text).unwrap();
    let said = succeed(run(dir, "study s.yaml --out study"));
    for part in ["rank fidelity, sandwich, recalibrated: Kendall's tau", "trained alike, found 1: test mIoU "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let page = fs::read_to_string(dir.join("study/study/index.html")).unwrap();
    assert!(page.contains("mIoU") && !page.contains("Top-1") && !page.contains("top-1"), "the page speaks of mIoU");
    let rows = rows(&dir.join("study/study.jsonl"));
    assert_eq!(rows[0]["study"]["metric"], "miou");
    let trained = rows.iter().filter_map(|r| r.get("retrained"));
    assert!(trained.clone().all(|r| r["test_miou"].is_number()) && trained.count() == 4, "{rows:?}");
    fs::write(
        dir.join("x.yaml"),
        text.replace(
            "trials: 2",
            "trials: 2, objectives: [{metric: pixel_accuracy, goal: maximize}, {metric: macs, goal: minimize}]",
        ),
    )
    .unwrap();
    let (code, _, err) = output(run(dir, "study x.yaml --out x"));
    assert!(code == 2 && err.contains("found \"pixel_accuracy\", expected one of miou, macs, params, memory"), "{err}");
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
        (
            "train: {",
            "train: {distill: {torchscript: t.pt, resolution: 32, head: {name: ssdlite320}}, ",
            "line 6, train.distill.torchscript: found a program, expected model and weights: its outputs have no names\n  \
             line 6, train.distill.head.name: found ssdlite320, expected ssdlite: detectors have anchors of their own\n  \
             line 6, train.distill.resolution: found 32, expected none: anchors of different resolutions cannot be \
             compared",
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

/// A supernet begins with all of the run's, or with a backbone where the file is a classifier's.
fn begins_with_a_supernet(dir: &Path, text: &str) {
    let given = load(&dir.join("whole/supernet.safetensors")).unwrap().0;
    let backbone =
        given.iter().filter_map(|(n, t)| Some((n.strip_prefix("backbone.")?.to_string(), t.shallow_clone())));
    save(&dir.join("classifier.safetensors"), &backbone.collect(), &About::new()).unwrap();
    let begun = |file: &str| {
        let init = format!("supernet: {{init: {{supernet: {}}}, ", dir.join(file).display());
        let text = text.replace("supernet: {", &init).replace("dir: shapes", &format!("dir: {}/shapes", dir.display()));
        let config = dir.join("begun.yaml");
        fs::write(&config, text).unwrap();
        prepare(&config).unwrap().into_first().initial_supernet().map(|store| store.named())
    };
    let same = |file: &str| {
        let (backbone, head): (Vec<_>, Vec<_>) =
            begun(file).unwrap().into_iter().partition(|(n, _)| n.starts_with("backbone."));
        [backbone, head].map(|all| all.iter().all(|(n, t)| t.equal(&given[n])))
    };
    assert_eq!([same("whole/supernet.safetensors"), same("classifier.safetensors")], [[true, true], [true, false]]);
    let winner = format!("whole/winners/{}.safetensors", rows_of(&dir.join("whole"), "retrained")[0]["trial"]);
    let error = begun(&winner).unwrap_err().to_string();
    assert!(error.starts_with("supernet.init: ") && error.contains("expected the supernet of a space with"), "{error}");
}

#[test]
fn a_search_for_a_detector_is_resumed_and_reported() {
    let scenes = scenes();
    let dir = scenes.path();
    let knobs = KNOBS.replace("RES", "64").replace(": ", ": [").replace(", ", "], ") + "]";
    let knobs = knobs
        .replace("stages.5.width: [16]", "stages.5.width: [8, 16]")
        .replace("stages.6.width: [24]", "stages.6.width: [16, 24], ssdlite.width: [32, 64]");
    let text = format!(
        "task: detection\nthreads: 1\nspace: {{family: mobilenet_v2, knobs: {{{knobs}}}}}\n\
         data: {{name: coco, dir: shapes, search_val: 8}}\n\
         supernet: {{epochs: 2, batch: 8, label_smoothing: 0}}\nscoring: {{recalibrate: 16, batch: 8}}\n\
         search: {{strategy: {{random: {{}}}}, proxies: [synflow, nwot, grad_norm], trials: 3, cache: {{enabled: false}}}}\n\
         latency: {{warmup_ms: 0, min_samples: 3, max_samples: 3, max_ms: 10, processes: 1, rounds: 3, remeasure_processes: 0}}\n\
         retrain: {{init: supernet, best: 1, epochs: 1, batch: 8, label_smoothing: 0}}\ncheckpoint_seconds: 0\n"
    );
    fs::write(dir.join("s.yaml"), &text).unwrap();
    fs::write(
        dir.join("x.yaml"),
        text.replace("strategy", "bounds: {top1: 3}, strategy")
            .replace("resolution: [64]", "resolution: [64, 96]")
            .replace("ssdlite.width: [32, 64]", "ssdlite.output_stride: [8, 16], pspnet.width: [32]"),
    )
    .unwrap();
    let (_, _, err) = output(run(dir, "check x.yaml"));
    insta::assert_snapshot!(err.trim_end(), @r"
    error: x.yaml: 4 mistakes
      line 3, space.knobs.resolution: found several choices, expected one, or supernet.distill_subnets: labels: anchors of different resolutions cannot be compared
      line 3, space.knobs.pspnet.width: found a knob of the head pspnet, expected it with that head alone
      line 3, space.knobs.ssdlite.output_stride: found an unknown knob, expected a knob of mobilenet_v2 or of ssdlite: ssdlite.width
      line 7, search.bounds.top1: found one, expected none: it is of classifiers
    ");
    assert!(succeed(run(dir, "check s.yaml")).contains("data coco: train 32, search-val 8, test 10"));
    succeed(run(dir, "search s.yaml --out whole"));
    let trials = rows_of(&dir.join("whole"), "trial");
    for metric in ["map", "synflow", "nwot", "grad_norm"] {
        assert!(trials.iter().all(|t| t["outcome"]["scored"][metric].is_number()), "{metric}: {trials:?}");
    }
    assert!(trials.iter().all(|t| [32, 64].contains(&t["genome"]["ssdlite.width"].as_i64().unwrap())), "{trials:?}");
    // In one fresh process, three rounds; the head is part of it.
    let samples = |t: &Value| t.pointer("/latency/samples").and_then(Value::as_u64);
    assert!(trials.iter().all(|t| samples(t) == Some(3)), "{trials:?}");
    let begun = dir.join("killed/journal.jsonl");
    kill_at(run(dir, "search s.yaml --out killed"), || rows(&begun).iter().any(|r| r.get("trial").is_some()));
    succeed(run(dir, "search s.yaml --out killed --resume"));
    assert_same_rows(&dir.join("whole/journal.jsonl"), &begun, &["mes"], "resumed");
    let page = fs::read_to_string(dir.join("whole/report/index.html")).unwrap();
    assert!(page.contains("mAP") && !page.contains("Top-1"), "the page speaks of the task's metric");
    assert!(page.contains("ssdlite.width"), "and of the head's knob");
    let retrained = rows_of(&dir.join("whole"), "retrained");
    assert!(retrained[0]["metrics"]["test_map"].is_number(), "{retrained:?}");
    assert_eq!(retrained[0]["inherited"], true);
    assert!(page.contains("trained on from the supernet's weights"), "the page says what retraining began with");
    let winner = retrained[0]["trial"].as_u64().unwrap();
    assert!(dir.join(format!("whole/winners/{winner}.3.png")).exists(), "pictures of the first four test images");
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 4 * retrained.len());
    let told = json(dir, &format!("evaluate --run whole --trial {winner} --json"));
    assert_eq!(told["images"], 10);
    begins_with_a_supernet(dir, &text);
    let export = format!("weights export --run whole --trial {winner} --out w.onnx");
    assert!(succeed(run(dir, &export)).contains("w.onnx"));
    // A genome's file has the head's channels; of a network without that head it says nothing.
    let genome = format!("models --genome whole/winners/{winner}.yaml --json --classes 11");
    let said = json(dir, &format!("{genome} --head ssdlite --resolution 64"));
    let of_winner = &trials[winner as usize]["outcome"]["scored"];
    assert_eq!(
        (&said["params"], &said["macs"]),
        (&json_number(&of_winner["params"]), &json_number(&of_winner["macs"]))
    );
    for (more, expected) in [
        ("", "knobs.ssdlite.width: found a knob of the head ssdlite, expected it with that head alone"),
        (" --head ssdlite --head-width 64", "--head-width: found beside ssdlite.width in "),
    ] {
        let (code, _, err) = output(run(dir, &format!("{genome}{more}")));
        assert!(code == 2 && err.contains(expected), "{err}");
    }
}
