//! Teachers: a TorchScript file or a network of ours, hard and soft distillation, one head or two.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mobilenas_heads::HeadConfig;
use mobilenas_space::families;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_task::{Batch, Classification, Outputs, Targets, Task as _};
use mobilenas_torch::{Mode, Names, Net, Owned, ParamStore, weights};
use mobilenas_train::recipe::{DistillConfig, DistillKind, Recipe};
use mobilenas_train::single_net::{Objective, SingleNet};
use mobilenas_train::task_config::{TaskConfig, TaskName};
use mobilenas_train::teacher::{Teacher, teacher};
use mobilenas_train::trainer::StepAt;
use mobilenas_train::{StepMetrics, TrainStep as _};
use tch::{CModule, Device, Kind, Tensor};

const CLASSES: u32 = 5;

fn network(family: &str, seed: u64) -> (ParamStore, Net) {
    let knobs = [("resolution".to_string(), vec![32])].into();
    let space =
        Space::new(&SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs, classes: CLASSES }).unwrap();
    let graph = Arc::new(space.lower(&space.smallest()).unwrap());
    let store = ParamStore::init(&graph, Names::Standalone, seed, Device::Cpu).unwrap();
    let net = Net::bind(graph, &Owned(&store)).unwrap();
    (store, net)
}

fn batch() -> Batch {
    let images = Tensor::arange(4 * 32 * 32, (Kind::Float, Device::Cpu)).sin().view([4, 1, 32, 32]);
    Batch { images, targets: Targets::classes(&[0, 1, 2, 4]).unwrap() }
}

/// Saves a network as a TorchScript program; its tensors become constants, so they must be detached.
fn script(net: &Net, file: &Path) {
    let net = net.freeze().unwrap();
    // A trace holds the sizes that reshaping saw: those of the batch.
    let example = Tensor::zeros([4, 3, 32, 32], (Kind::Float, Device::Cpu));
    let mut run = |ins: &[Tensor]| vec![net.forward(&ins[0], Mode::Eval).unwrap()];
    let traced = tch::no_grad(|| CModule::create_by_tracing("teacher", "forward", &[example], &mut run).unwrap());
    traced.save(file).unwrap();
}

fn distill(file: Option<&Path>, kind: DistillKind, alpha: f64) -> DistillConfig {
    let torchscript = file.map(Path::to_path_buf);
    DistillConfig {
        torchscript,
        model: None,
        weights: None,
        head: None,
        resolution: None,
        kind,
        alpha,
        temperature: 2.0,
    }
}

fn step(net: &Net, teacher: Option<&Teacher>, store: &ParamStore, batch: &Batch) -> StepMetrics {
    let objective = Objective { task: &Classification, label_smoothing: 0.0, teacher };
    let at = StepAt { batch: 0, share: 1.0 };
    SingleNet { net, objective }.step(store, batch, at, Classification.meter().as_mut()).unwrap()
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    a.to_kind(Kind::Double).allclose(&b.to_kind(Kind::Double), 1e-4, 1e-5, false)
}

#[test]
fn a_script_teaches_what_its_network_teaches() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("teacher.pt");
    let (_, ours) = network("mobilevit_v1", 7);
    script(&ours, &file);
    let batch = batch();
    let expected = tch::no_grad(|| ours.forward(&batch.images, Mode::Eval).unwrap());
    let (_, student) = network("mobilenet_v2", 1);
    let logits = tch::no_grad(|| student.forward(&batch.images, Mode::Train).unwrap());
    for kind in [DistillKind::Hard, DistillKind::Soft] {
        let how = distill(Some(&file), kind, 0.5);
        let recipe = Recipe { distill: Some(how.clone()), ..Recipe::default() };
        let script = teacher(&recipe, (&TaskConfig::default(), CLASSES, 32), Device::Cpu).unwrap().unwrap();
        let taught = |t: &Teacher| {
            let student = Outputs::one(logits.shallow_clone());
            Classification.distill(&student, &t.outputs(&batch.images).unwrap(), t.rule()).unwrap()
        };
        assert!(close(&script.outputs(&batch.images).unwrap().heads[0], &expected));
        let loss = taught(&script);
        // By hand: the likeliest class, or all probabilities at temperature 2, times 4.
        let by_hand = match kind {
            DistillKind::Hard => logits.cross_entropy_for_logits(&expected.argmax(-1, false)),
            DistillKind::Soft => {
                let (p, q) = ((&expected / 2.0).softmax(-1, None), (&logits / 2.0).log_softmax(-1, None));
                -(p * q).sum_dim_intlist([-1i64].as_slice(), false, None).mean(None) * 4.0
            }
        };
        assert!(close(&loss, &by_hand), "{kind:?}: {loss:?}, by hand {by_hand:?}");
        let (_, own) = network("mobilevit_v1", 7);
        let own = Teacher::net(&how, "ours", own, CLASSES);
        assert!(close(&taught(&own), &loss));
    }
}

/// The heads whose own weights get a gradient.
fn taught(share: f64) -> Vec<bool> {
    let (mut store, net) = network("efficientformer", 1);
    let (_, ours) = network("mobilenet_v2", 7);
    let teacher = Teacher::net(&distill(None, DistillKind::Hard, share), "ours", ours, CLASSES);
    store.zero_grad();
    drop(step(&net, Some(&teacher), &store, &batch()));
    let sum = |name: &str| store.entry(name).unwrap().tensor.grad().abs().sum(Kind::Double).double_value(&[]);
    ["head.weight", "head_dist.weight"].map(|n| sum(n) > 1e-9).to_vec()
}

#[test]
fn of_two_heads_the_first_learns_labels_and_the_second_the_teacher() {
    assert_eq!(taught(0.0), [true, false], "labels alone");
    assert_eq!(taught(1.0), [false, true], "the teacher alone");
    assert_eq!(taught(0.5), [true, true]);
    // Half of the loss of each, as published: hard distillation, alpha 0.5.
    let (store, net) = network("efficientformer", 1);
    let (_, ours) = network("mobilenet_v2", 7);
    let batch = batch();
    let heads = tch::no_grad(|| net.heads(&batch.images, Mode::Train).unwrap());
    assert_eq!(heads.len(), 2);
    let classes = ours.forward(&batch.images, Mode::Eval).unwrap().argmax(-1, false);
    let parts = [
        heads[0].cross_entropy_for_logits(batch.targets.labels().unwrap()),
        heads[1].cross_entropy_for_logits(&classes),
    ];
    let teacher = Teacher::net(&distill(None, DistillKind::Hard, 0.5), "ours", ours, CLASSES);
    let loss = step(&net, Some(&teacher), &store, &batch).loss;
    assert!(close(&loss, &((&parts[0] + &parts[1]) / 2.0)), "{loss:?}");
}

/// A network with a head: its own loss, and all that its teacher's outputs say of classes, boxes and pixels.
#[test]
fn networks_with_heads_learn_all_outputs_of_one_with_that_head() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("teacher.safetensors");
    for name in [TaskName::Detection, TaskName::Segmentation] {
        let head = HeadConfig { width: Some(32), ..HeadConfig::default() };
        let of = TaskConfig::new(name, Some(&head));
        let change = of.change(CLASSES, false).unwrap();
        let plan = families::plan("mobilenetv3_small_100", Some(64), 1).unwrap();
        let graph = change.apply(plan, &[]).unwrap().lower().unwrap();
        let theirs = ParamStore::init(&graph, Names::Standalone, 7, Device::Cpu).unwrap();
        weights::save(&file, &theirs.named(), &BTreeMap::new()).unwrap();
        let knobs = [("resolution".to_string(), vec![64])].into();
        let design = SpaceConfig { family: "mobilenet_v2".into(), width: 0.25, divisor: 8, knobs, classes: CLASSES };
        let space = Space::changed(&design, change).unwrap();
        let graph = Arc::new(space.lower(&space.smallest()).unwrap());
        let store = ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu).unwrap();
        let net = Net::bind(graph.clone(), &Owned(&store)).unwrap();
        let images = Tensor::arange(4 * 64 * 64, (Kind::Float, Device::Cpu)).sin().view([4, 1, 64, 64]);
        let task = of.task();
        let batch = Batch { images, targets: task.example(4, (64, 64)).unwrap() };
        for kind in [DistillKind::Hard, DistillKind::Soft] {
            let (model, weights) = (Some("mobilenetv3_small_100".to_string()), Some(file.clone()));
            let how = DistillConfig { model, weights, ..distill(None, kind, 0.25) };
            let recipe = Recipe { distill: Some(how), ..Recipe::default() };
            let teacher = teacher(&recipe, (&of, CLASSES, 64), Device::Cpu).unwrap().unwrap();
            let objective = Objective { task, label_smoothing: 0.0, teacher: Some(&teacher) };
            let at = StepAt { batch: 0, share: 1.0 };
            let mut student = SingleNet { net: &net, objective };
            let loss = student.step(&store, &batch, at, task.training_meter().as_mut()).unwrap().loss;
            let outputs = Outputs::of(&graph, net.heads(&batch.images, Mode::Train).unwrap());
            let own = task.loss(&outputs, &batch.targets, 0.0).unwrap();
            let taught = task.distill(&outputs, &teacher.outputs(&batch.images).unwrap(), teacher.rule()).unwrap();
            assert!(taught.double_value(&[]) > 0.0 && !close(&own, &taught), "{name:?} {kind:?}: {own} {taught}");
            assert!(close(&loss, &(own * 0.75 + taught * 0.25)), "{name:?} {kind:?}: {loss}");
        }
    }
}

#[test]
fn without_a_teacher_both_heads_learn_the_labels() {
    let (mut store, net) = network("efficientformer", 1);
    store.zero_grad();
    drop(step(&net, None, &store, &batch()));
    for name in ["head.weight", "head_dist.weight"] {
        let grad = store.entry(name).unwrap().tensor.grad();
        assert!(grad.abs().sum(Kind::Double).double_value(&[]) > 1e-9, "{name}");
    }
}

#[test]
fn a_teacher_that_cannot_teach_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("teacher.pt");
    let load = |classes| {
        let recipe = Recipe { distill: Some(distill(Some(&file), DistillKind::Hard, 0.5)), ..Recipe::default() };
        teacher(&recipe, (&TaskConfig::default(), classes, 32), Device::Cpu)
    };
    std::fs::write(&file, "no program").unwrap();
    let error = load(CLASSES).unwrap_err().to_string();
    assert!(error.starts_with("teacher ") && error.ends_with("expected a TorchScript file"), "{error}");
    script(&network("mobilenet_v2", 1).1, &file);
    let error = load(CLASSES + 1).unwrap().unwrap().outputs(&batch().images).unwrap_err().to_string();
    let words = "gives [4, 5], expected logits [images, 6] of images [images, 3, side, side]";
    assert!(error.ends_with(words), "{error}");
}
