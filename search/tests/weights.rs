//! `mobilenas weights import`: what it names, what it makes anew, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use mobilenas_space::families;
use mobilenas_torch::weights::{Named, load, save};
use mobilenas_torch::{Names, ParamStore};
use tch::{Device, Kind, Tensor};

const MODEL: &str = "efficientformerv2_s0";

fn named(model: &str, classes: u32) -> Named {
    let (family, info) = families::variant(model).unwrap();
    let template = family.template(model).unwrap();
    let graph = template.plan(&template.values(), info.resolution, classes).unwrap().lower().unwrap();
    ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap().named()
}

/// Exit code and what is said, without the folder's name.
fn import(dir: &Path, args: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mobilenas"));
    let args = format!("weights import {args} --out out.safetensors");
    let out = command.args(args.split(' ')).current_dir(dir).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

fn scene(model: &str, classes: u32, change: impl FnOnce(&mut Named)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut tensors = named(model, classes);
    change(&mut tensors);
    save(&dir.path().join("w.safetensors"), &tensors, &BTreeMap::new()).unwrap();
    dir
}

#[test]
fn every_tensor_that_differs_is_named() {
    let dir = scene(MODEL, 1000, |t| {
        drop(t.remove("stem.conv1.conv.weight").unwrap());
        t.insert("stem.conv1.extra".into(), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
        t.insert("stages.0.blocks.0.mlp.fc1.conv.weight".into(), Tensor::zeros([1, 2, 3], (Kind::Float, Device::Cpu)));
        t.insert("stem.conv1.bn.weight".into(), Tensor::ones([16], (Kind::Int64, Device::Cpu)));
        t.insert("stem.conv1.bn.num_batches_tracked".into(), Tensor::zeros([] as [i64; 0], (Kind::Float, Device::Cpu)));
    });
    let (code, said) = import(dir.path(), "w.safetensors --model efficientformerv2_s0");
    assert_eq!(code, 2);
    insta::assert_snapshot!(said, @"
    error: w.safetensors: not weights of efficientformerv2_s0 at 224 px, 1000 classes: 5 tensors differ
      stages.0.blocks.0.mlp.fc1.conv.weight has shape [1, 2, 3], expected [128, 32, 1, 1]
      stem.conv1.bn.num_batches_tracked has type Float, expected 64-bit integers
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
    insta::assert_snapshot!(format!("{code} {said}"), @"2 error: w.safetensors: head.bias holds infinities or values that are no number, expected sound weights");
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
    0 the file has 1000 classes; made anew, with nothing learnt: head.fc.weight, head.fc.bias
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
