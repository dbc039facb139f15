//! `mobilenas weights import`: what it names, what it makes anew, what it refuses.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use mobilenas_space::families;
use mobilenas_torch::weights::{Named, load, save};
use mobilenas_torch::{Names, ParamStore, Values};
use tch::{Device, Kind, Tensor};

use crate::common::{program, ran, said};

const MODEL: &str = "efficientformerv2_s0";

fn named(model: &str, classes: u32) -> Named {
    let (family, info) = families::variant(model).unwrap();
    let template = family.template(model).unwrap();
    let graph = template.plan(&template.values(), info.resolution, classes).unwrap().lower().unwrap();
    ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap().named()
}

/// Exit code, and all that is said.
fn run(dir: &Path, args: &str) -> (i32, String) {
    let out = ran(program(dir).args(args.split(' ')));
    (out.status.code().unwrap(), said(&out))
}

fn import(dir: &Path, args: &str) -> (i32, String) {
    run(dir, &format!("weights import {args} --out out.safetensors"))
}

fn scene(model: &str, classes: u32, change: impl FnOnce(&mut Named)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut tensors = named(model, classes);
    change(&mut tensors);
    let file = dir.path().join("w.safetensors");
    // Files of ours never have 32-bit integers; tch's writer takes them.
    if tensors.values().any(|t| t.kind() == Kind::Int) {
        Tensor::write_safetensors(&tensors.into_iter().collect::<Vec<_>>(), file).unwrap();
    } else {
        save(&file, &tensors, &BTreeMap::new()).unwrap();
    }
    dir
}

#[test]
fn every_tensor_that_differs_is_named() {
    let dir = scene(MODEL, 1000, |t| {
        drop(t.remove("stem.conv1.conv.weight").unwrap());
        t.insert("stem.conv1.extra".into(), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
        t.insert("stages.0.blocks.0.mlp.fc1.conv.weight".into(), Tensor::zeros([1, 2, 3], (Kind::Float, Device::Cpu)));
        t.insert("stem.conv1.bn.weight".into(), Tensor::ones([16], (Kind::Int64, Device::Cpu)));
    });
    let (code, said) = import(dir.path(), "w.safetensors --model efficientformerv2_s0");
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"
    error: w.safetensors: not weights of efficientformerv2_s0 at 224 px, 1000 classes: 4 tensors differ
      stages.0.blocks.0.mlp.fc1.conv.weight has shape [1, 2, 3], expected [128, 32, 1, 1]
      stem.conv1.bn.weight has type Int64, expected floating-point numbers
      stem.conv1.conv.weight is missing, expected with shape [16, 3, 3, 3]
      stem.conv1.extra is not part of it
    ");
    assert!(!dir.path().join("out.safetensors").exists());
}

#[test]
fn values_that_no_network_has_are_refused() {
    let dir = scene(MODEL, 5, |t| {
        let _ = t.get_mut("head.bias").unwrap().detach().fill_(f64::NAN);
    });
    let (code, said) = import(dir.path(), "w.safetensors --model efficientformerv2_s0");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: w.safetensors: head.bias holds values that are not finite, expected sound weights");
    let dir = scene("efficientformer_l1", 5, |t| {
        let index = t.iter_mut().find(|(n, _)| n.ends_with("attention_bias_idxs")).unwrap().1;
        let _ = index.fill_(1 << 40);
    });
    let (code, said) = import(dir.path(), "w.safetensors --model efficientformer_l1");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: w.safetensors: stages.3.blocks.4.token_mixer.attention_bias_idxs holds other indices, expected the distances on a grid of 7 x 7");
}

#[test]
fn a_head_of_other_classes_is_made_anew_only_when_asked_for() {
    let dir = scene("mobilevitv2_050", 1000, |_| {});
    let out = dir.path().join("out.safetensors");
    let file = load(&dir.path().join("w.safetensors")).unwrap().0;
    let (code, said) = import(dir.path(), "w.safetensors --model mobilevitv2_050");
    assert_eq!(code, 0, "{said}");
    assert!(load(&out).unwrap().0.iter().all(|(n, t)| t.equal(&file[n])));
    let (code, said) = import(dir.path(), "w.safetensors --model mobilevitv2_050 --classes 7");
    insta::assert_snapshot!(format!("{code} {said}"), @"
    0 the file has 1000 classes; initialised anew: head.fc.weight, head.fc.bias
    mobilevitv2_050 at 256 px, 7 classes: 269 tensors written to out.safetensors
    ");
    let seven = load(&out).unwrap().0;
    for (name, t) in &seven {
        match name.as_str() {
            "head.fc.weight" => assert!(t.size() == [7, 256] && t.std(false).double_value(&[]) > 0.0),
            "head.fc.bias" => assert_eq!(t.size(), [7]),
            _ => assert!(t.equal(&file[name]), "{name}"),
        }
    }
    // Another seed makes another head; the same, the same one.
    let fc = |args: &str| {
        import(dir.path(), &format!("w.safetensors --model mobilevitv2_050 --classes 7{args}"));
        load(&out).unwrap().0.remove("head.fc.weight").unwrap()
    };
    assert!(fc("").equal(&seven["head.fc.weight"]));
    assert!(!fc(" --seed 1").equal(&seven["head.fc.weight"]));
}

#[test]
fn weights_of_another_network_and_no_weights_at_all() {
    let dir =
        scene("mobilenetv2_100", 10, |t| t.retain(|n, _| n.starts_with("conv_stem") || n.starts_with("classifier")));
    let (code, said) = import(dir.path(), "w.safetensors --model mobilevit_xxs");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: w.safetensors: no classifier head.fc.weight, expected weights of mobilevit_xxs (--classes N makes a new head)");
    let (code, said) = import(dir.path(), "w.safetensors --model mobilevit_xxxs");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: mobilevit_xxxs: no published network of that name, did you mean mobilevit_xxs? (`mobilenas models` lists them)");
    let (code, said) = import(dir.path(), "none.pt --model mobilevit_xxs");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: none.pt: No such file or directory (os error 2), expected safetensors, or a state dict that torch.save wrote");
}

#[test]
fn counters_may_be_missing_or_of_another_type() {
    let counter = |n: &String| n.ends_with("num_batches_tracked");
    let kinds = [Some(Kind::Int), Some(Kind::Float), Some(Kind::Half), None];
    for kind in kinds {
        let dir = scene("mobilevit_xxs", 3, |t| match kind {
            Some(kind) => t.iter_mut().filter(|(n, _)| counter(n)).for_each(|(_, t)| *t = t.fill(7).to_kind(kind)),
            None => t.retain(|n, _| !counter(n)),
        });
        let file = load(&dir.path().join("w.safetensors"));
        let (code, said) = import(dir.path(), "w.safetensors --model mobilevit_xxs");
        assert_eq!(code, 0, "{kind:?}: {said}");
        let out = load(&dir.path().join("out.safetensors")).unwrap().0;
        assert_eq!(out.len(), named("mobilevit_xxs", 3).len());
        for (name, t) in &out {
            if counter(name) {
                let expected = if kind.is_some() { 7 } else { 0 };
                assert_eq!((t.kind(), t.int64_value(&[])), (Kind::Int64, expected), "{name}");
            } else if let Ok((file, _)) = &file {
                assert!(t.equal(&file[name]), "{name}");
            }
        }
    }
    // Indices, which follow from the size of the network, too.
    let dir = scene("efficientformer_l1", 3, |t| t.retain(|n, _| !n.ends_with("attention_bias_idxs")));
    let (code, said) = import(dir.path(), "w.safetensors --model efficientformer_l1");
    assert_eq!(code, 0, "{said}");
    let all = named("efficientformer_l1", 3);
    let out = load(&dir.path().join("out.safetensors")).unwrap().0;
    let indices = all.iter().filter(|(n, _)| n.ends_with("attention_bias_idxs"));
    assert!(indices.map(|(n, t)| assert!(out[n].equal(t))).count() > 0);
}

/// The authors' names of a variant's tensors, with ours.
fn official(variant: &str) -> Vec<(String, String)> {
    let mut text = String::new();
    let file = &include_bytes!("../../../space/tests/official_names.txt.gz")[..];
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let group = text.split("# ").find(|g| g.lines().next().unwrap_or_default().split(' ').any(|v| v == variant));
    let pairs = group.unwrap().lines().skip(1).map(|l| l.split_once(' ').unwrap());
    pairs.map(|(theirs, ours)| (theirs.to_string(), ours.to_string())).collect()
}

#[test]
fn weights_under_their_authors_names_are_the_same_weights() {
    let bgr = "\nnote: ml-cvnets: its first release, and MobileViTv3 on top of it, read images as BGR: for weights trained so give --bgr";
    for (model, source, note) in [
        ("mobilevit_xxs", "ml-cvnets", bgr),
        ("mobilevitv2_050", "ml-cvnets", ""),
        ("mobilevitv3_xxs_l2", "ml-cvnets", bgr),
        ("mobilevitv3_050", "ml-cvnets", ""),
        ("efficientformer_l1", "snap-research/EfficientFormer", ""),
        ("efficientformerv2_s0", "snap-research/EfficientFormer", ""),
    ] {
        let ours = named(model, 5);
        let dir = scene(model, 5, |t| {
            t.clear();
            for (theirs, own) in official(model) {
                let tensor = match ours.get(&own) {
                    // Snap's layer scales of version 2 have the shape of a map of one pixel.
                    Some(t) if theirs.contains("layer_scale") && model.contains("formerv2") => t.view([-1, 1, 1]),
                    Some(t) => t.shallow_clone(),
                    None => Tensor::zeros([4, 4], (Kind::Int64, Device::Cpu)),
                };
                t.insert(format!("module.{theirs}"), tensor);
            }
        });
        let (code, said) = import(dir.path(), &format!("w.safetensors --model {model}"));
        assert_eq!(code, 0, "{said}");
        let taken = format!("taken from w.safetensors: names without \"module.\", names of {source}{note}\n");
        assert!(said.starts_with(&taken), "{said}");
        let out = load(&dir.path().join("out.safetensors")).unwrap().0;
        assert_eq!(out.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
        assert!(out.iter().all(|(n, t)| t.size() == ours[n].size() && t.equal(&ours[n])), "{model}");
        if model == "mobilevit_xxs" {
            assert_eq!(import(dir.path(), "w.safetensors --model mobilevit_xxs --bgr").0, 0);
            let out = load(&dir.path().join("out.safetensors")).unwrap().0;
            assert!(out["stem.conv.weight"].equal(&ours["stem.conv.weight"].flip([1])));
        }
        // Other verbs open it the same way.
        let (code, said) =
            run(dir.path(), &format!("weights export --model {model} --weights w.safetensors --out x.onnx"));
        assert_eq!(code, 0, "{said}");
    }
    let dir = scene("mobilevit_xxs", 5, |t| {
        let some = official("mobilevit_xxs").into_iter().skip(1).map(|(theirs, own)| (theirs, t[&own].shallow_clone()));
        *t = some.collect();
    });
    let (code, said) = import(dir.path(), "w.safetensors --model mobilevit_xxs");
    insta::assert_snapshot!(format!("{code} {said}"), @"
    2 error: w.safetensors: not weights of mobilevit_xxs at 256 px, 5 classes: 1 tensors differ
      stem.conv.weight is missing, expected with shape [16, 3, 3, 3]
    ");
}

#[test]
fn a_damaged_file_is_refused_by_every_verb() {
    let dir = scene("mobilevit_xxs", 2, |_| {});
    let path = dir.path().join("w.safetensors");
    for class in ["train/a", "train/b", "val/a", "val/b"] {
        std::fs::create_dir_all(dir.path().join(class)).unwrap();
        let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpegs/420.jpg");
        std::fs::copy(jpeg, dir.path().join(class).join("x.jpg")).unwrap();
    }
    let of = "--model mobilevit_xxs --weights w.safetensors";
    let verbs = [
        format!("weights export {of} --out out.onnx --int8 --images 2 --data ."),
        format!("predict {of} val/a/x.jpg"),
        format!("evaluate {of} --data val"),
        format!("weights export {of} --out out.safetensors"),
        format!("weights export {of} --out out.safetensors --fused"),
        format!("weights export {of} --out out.onnx"),
        "weights import w.safetensors --model mobilevit_xxs --out out.safetensors".to_string(),
    ];
    // Other tests make a file in int8, which takes as long as all of these.
    for verb in &verbs[1..] {
        let (code, said) = run(dir.path(), verb);
        assert_eq!(code, 0, "{verb}: {said}");
        for out in ["out.safetensors", "out.onnx"] {
            let _ = std::fs::remove_file(dir.path().join(out));
        }
    }
    // A sign of the last number.
    let mut data = std::fs::read(&path).unwrap();
    *data.last_mut().unwrap() ^= 0x80;
    std::fs::write(&path, data).unwrap();
    for verb in &verbs {
        let (code, said) = run(dir.path(), verb);
        assert_eq!(code, 2, "{verb}: {said}");
        assert!(said.contains("w.safetensors: damaged (its checksum is "), "{verb}: {said}");
        assert!(!dir.path().join("out.safetensors").exists() && !dir.path().join("out.onnx").exists());
    }
}

#[test]
fn numbers_that_a_format_does_not_hold_are_said() {
    let dir = scene("mobilevit_xxs", 2, |t| {
        let _ = t.get_mut("head.fc.bias").unwrap().detach().fill_(1e5);
    });
    let of = "weights export --model mobilevit_xxs --weights w.safetensors";
    let (code, said) = run(dir.path(), &format!("{of} --out x.onnx --float16"));
    assert_eq!(code, 0, "{said}");
    let what = "float16 weights, but float32 where half precision does not hold them (head.fc.bias), batch 1";
    assert!(said.contains(what), "{said}");
    // A batch norm that divides by next to nothing makes infinite weights.
    let dir = scene("mobilevit_xxs", 2, |t| {
        let _ = t.get_mut("stem.bn.weight").unwrap().detach().fill_(3e38);
        let _ = t.get_mut("stem.bn.running_var").unwrap().detach().fill_(0.0);
    });
    for out in ["x.onnx", "x.onnx --float16", "x.safetensors --fused"] {
        let (code, said) = run(dir.path(), &format!("{of} --out {out}"));
        assert_eq!(code, 2, "{said}");
        assert!(said.starts_with("error: stem.") && said.contains("not finite"), "{said}");
    }
    assert_eq!(run(dir.path(), &format!("{of} --out x.safetensors")).0, 0);
}

#[test]
fn the_part_of_a_checkpoint_that_would_do_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../space/torch/tests/files/net.pth");
    std::fs::copy(file, dir.path().join("net.pth")).unwrap();
    let (code, said) = import(dir.path(), "net.pth --model mobilevit_xxs");
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: net.pth: no tensors at its top level, expected the name of a part with tensors: net (5 tensors), inner.ema (1 tensors) (`weights import --part net` takes it)");
}
