//! Networks with heads on the command line: layers, ONNX files, published names of weights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../../tests/program/common.rs"]
mod common;
#[path = "../../tests/program/forked.rs"]
mod forked;

use std::collections::BTreeMap;
use std::path::Path;

use common::program;
use mobilenas_onnx::proto;
use mobilenas_space::families;
use mobilenas_torch::weights::{load, save};
use mobilenas_torch::{Names, ParamStore};
use serde_json::{Value, json};
use tch::Device;

/// Exit code, standard output and standard error.
fn run(folder: &Path, args: &str) -> (i32, String, String) {
    let out = program(folder).args(args.split(' ')).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
}

fn models(args: &str) -> Value {
    let (code, out, said) = run(Path::new("."), &format!("models {args} --json"));
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn layers_are_shown_with_the_head() {
    // Parameters and MACs of the references.
    let m = models("mobilevit_s --task detection --head ssdlite");
    assert_eq!((&m["params"], &m["resolution"]), (&json!(5_738_826), &json!(320)));
    assert_eq!(m["outputs"], json!([{"name": "boxes", "out": [3232, 4]}, {"name": "scores", "out": [3232, 81]}]));
    for of in ["params", "macs", "activations"] {
        let sum: u64 = m["blocks"].as_array().unwrap().iter().map(|b| b[of].as_u64().unwrap()).sum();
        assert_eq!(m[of], sum, "{of}");
    }
    assert!(m["blocks"].as_array().unwrap().iter().all(|b| b["latency_key"].as_str().unwrap().contains('.')));
    assert!(m["memory"]["bytes"].as_u64().unwrap() > 4 * 5_700_000);
    let m = models("mobilevitv2_050 --task segmentation --classes 150 --output-stride 8");
    assert_eq!((&m["params"], &m["outputs"][0]["out"]), (&json!(6_308_495), &json!([150, 512, 512])));
    let small = models("mobilevitv2_050 --head pspnet --resolution 256");
    assert_eq!((&small["params"], &small["outputs"][0]["out"]), (&json!(3_550_734), &json!([21, 256, 256])));
    let (code, out, _) = run(Path::new("."), "models efficientformerv2_s0 --head semantic_fpn");
    assert_eq!(code, 0);
    let last: Vec<&str> = out.lines().rev().take(2).collect();
    assert!(last[0].starts_with("efficientformerv2_s0 with semantic_fpn at 512 px: 7353766 params"), "{last:?}");
    assert!(last[1].starts_with("outputs: logits 150x512x512; memory for an image in float32: "), "{last:?}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |args: &str| {
        let (code, _, said) = run(Path::new("."), args);
        assert_eq!(code, 2, "{args}: {said}");
        said
    };
    insta::assert_snapshot!(refused("models mobilevit_s --task detection --head pspnet"), @"error: --head pspnet: a head for segmentation, expected one for the task that --task says");
    insta::assert_snapshot!(refused("models mobilevit_s --output-stride 8"), @"error: --output-stride: no head, expected --task or --head beside it");
    insta::assert_snapshot!(refused("models --head ssdlite"), @"error: a head: no network to put it on, expected NAME or --genome");
    insta::assert_snapshot!(refused("models deit_tiny_patch16_224 --head ssdlite"), @"error: backbone: ssdlite got no feature maps, expected one at stride 16");
    insta::assert_snapshot!(refused("weights export --model mobilevit_xxs --head ssdlite --format coreml --out x"), @"error: --head ssdlite: not written with coreml, expected --model NAME, and safetensors, onnx or pytorch");
    insta::assert_snapshot!(refused("weights export --model efficientformerv2_s0 --head mask_rcnn --resolution 128 --format pytorch --out x"), @"error: x: roi_head.bbox_roi_extractor: it waits for regions of the image, expected a network that runs in one go");
}

#[test]
fn a_classifiers_weights_fill_the_backbone() {
    let dir = tempfile::tempdir().unwrap();
    let graph = families::plan("efficientformer_l1", None, 10).unwrap().lower().unwrap();
    let ours = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap().named();
    save(&dir.path().join("w.safetensors"), &ours, &BTreeMap::new()).unwrap();
    let import = "weights import w.safetensors --model efficientformer_l1 --head semantic_fpn --out o.safetensors";
    let (code, out, said) = run(dir.path(), import);
    assert_eq!(code, 0, "{said}");
    let all = format!("{out}{said}");
    assert!(all.contains("the file has the backbone; initialised anew: "), "{all}");
    assert!(all.contains("efficientformer_l1 with semantic_fpn at 512 px, 150 classes"), "{all}");
    let found = load(&dir.path().join("o.safetensors")).unwrap().0;
    let stem = "stem.conv1.weight";
    assert!(found[&format!("backbone.{stem}")].equal(&ours[stem]));
    // The table is made for maps of 16 x 16; the norms of the maps and the head are new.
    let table = found.keys().find(|n| n.ends_with("attention_biases")).unwrap();
    assert_eq!(found[table].size(), [8, 256]);
    assert!(found.contains_key("backbone.norm6.weight") && found.contains_key("decode_head.conv_seg.bias"));
    assert!(!found.keys().any(|n| n.contains("head_dist")));
    // Exported, it has the head's outputs.
    let export = "weights export --model efficientformer_l1 --head semantic_fpn --weights o.safetensors --out o.onnx";
    let (code, _, said) = run(dir.path(), export);
    assert_eq!(code, 0, "{said}");
    let model = proto::read(&std::fs::read(dir.path().join("o.onnx")).unwrap()).unwrap();
    let names: Vec<String> = model.graph.unwrap().output.into_iter().filter_map(|o| o.name).collect();
    assert_eq!(names, ["logits"]);
}
