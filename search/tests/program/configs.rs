//! Every config that ships reads, and says at its top how to run it, how long that takes, and what it shows.

use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_pipeline::config::{self, Recipe};

fn yaml_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Recipes are parts of configs; those of `bench` are read by tests of their own.
            if path.file_name().is_none_or(|n| !["recipes", "gate", "bench"].iter().any(|other| n == *other)) {
                yaml_files(&path, into);
            }
        } else if path.extension().is_some_and(|e| e == "yaml") {
            into.push(path);
        }
    }
}

/// Configs of `mobilenas train` lie in folders of that name.
fn trains(file: &Path) -> bool {
    file.parent().is_some_and(|p| p.ends_with("train"))
}

/// And those of `mobilenas study` likewise.
fn studies(file: &Path) -> bool {
    file.parent().is_some_and(|p| p.ends_with("study"))
}

fn all() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    yaml_files(&here.join("../configs"), &mut found);
    yaml_files(&here.join("tests/configs"), &mut found);
    found
}

#[test]
fn every_config_reads_and_describes_a_space() {
    assert!(all().len() >= 2);
    for file in all().into_iter().filter(|f| !trains(f) && !studies(f)) {
        let loaded = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
        for entry in loaded.config.entries() {
            let space = loaded.space(&entry, 10).unwrap_or_else(|e| panic!("{e}"));
            assert!(space.size() > 1.0, "{}", file.display());
        }
    }
}

#[test]
fn every_config_opens_with_command_time_and_what_it_shows() {
    for file in all() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut lines = text.lines();
        let verb = match (trains(&file), studies(&file)) {
            (true, _) => "train",
            (_, true) => "study",
            _ => "search",
        };
        let command = format!("# Command: cargo xtask run {verb} ");
        for opening in [command.as_str(), "# Time: ", "# Shows: "] {
            let line = lines.next().unwrap();
            assert!(line.starts_with(opening) && line.len() > opening.len(), "{name}: {line}");
        }
        assert!(text.lines().next().unwrap().contains(name), "{name}: its command names another file");
    }
}

#[test]
fn a_resolved_config_reads_back_as_itself() {
    for file in all().into_iter().filter(|f| !trains(f) && !studies(f)) {
        let loaded = config::load(&file).unwrap_or_else(|e| panic!("{e}"));
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join("again.yaml");
        fs::write(&again, config::to_yaml(&loaded.config).unwrap()).unwrap();
        let again = config::load(&again).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.config, again.config);
    }
}

#[test]
fn the_quickstarts_space_holds_the_papers_variants() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.yaml");
    let loaded = config::load(&file).unwrap();
    let space = loaded.space(&loaded.entry(None).unwrap(), 10).unwrap();
    for id in ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"] {
        space.variant(id).unwrap_or_else(|e| panic!("{id}: {e}"));
    }
}

#[test]
fn every_training_reads_makes_a_network_and_reads_back_as_itself() {
    for file in all().into_iter().filter(|f| trains(f)) {
        let read = config::load_train(&file).unwrap_or_else(|e| panic!("{e}"));
        let space = read.network.space(10).unwrap();
        assert!(space.lower(&space.smallest()).is_ok(), "{}", file.display());
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join("again.yaml");
        fs::write(&again, config::to_yaml(&read).unwrap()).unwrap();
        assert_eq!(read, config::load_train(&again).unwrap_or_else(|e| panic!("{e}")));
    }
}

#[test]
fn every_study_reads_holds_published_networks_and_reads_back_as_itself() {
    let files: Vec<PathBuf> = all().into_iter().filter(|f| studies(f)).collect();
    assert!(files.len() >= 3);
    for file in files {
        let (loaded, study) = config::load_study(&file, config::Origin::User).unwrap_or_else(|e| panic!("{e}"));
        let space = loaded.space(&loaded.entry(None).unwrap(), 10).unwrap_or_else(|e| panic!("{e}"));
        assert!(space.family().variants().iter().any(|v| space.variant(v.id).is_ok()), "{}", file.display());
        let whole = config::StudyConfig { search: loaded.config, study };
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join("again.yaml");
        fs::write(&again, config::to_yaml(&whole).unwrap()).unwrap();
        let (loaded, mut study) = config::load_study(&again, config::Origin::User).unwrap_or_else(|e| panic!("{e}"));
        // How many trainings run side by side is no part of what a study is.
        assert_eq!(study.workers, 1);
        study.workers = whole.study.workers;
        assert_eq!(whole, config::StudyConfig { search: loaded.config, study });
    }
}

#[test]
fn all_mistakes_of_a_study_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.yaml");
    let text = "space: {family: mobilevit_v1}\n\
                search: {strategy: {random: {}}, trials: 3, minutes: 2, bounds: {latency_ms: 1},\n\
                objectives: [{metric: mes, goal: maximize}]}\n\
                study:\n  subnets: 2\n  seed: 1\n  rules: [{rule: sandwich}, {rule: sandwich}]\n\
                \x20 strategies: [{nsga2: {}}, {nsga2: {}}, {}]\n";
    fs::write(&file, text).unwrap();
    let said = config::load_study(&file, config::Origin::User).unwrap_err().to_string();
    for part in [
        "8 mistakes",
        "line 3, search.objectives.0.metric: found \"mes\", expected one of top1, macs, params, memory",
        "line 2, search.bounds.latency_ms: found one, expected none in a study",
        "line 2, search.minutes: found one, expected none in a study",
        "line 5, study.subnets: found 2, expected at least 3, or 0 for no rank fidelity",
        "line 6, study.seed: unknown key, did you mean seeds?",
        "line 7, study.rules.1.rule: found sandwich twice, expected distinct rules",
        "line 8, study.strategies.1: found nsga2 twice, expected distinct strategies",
        "line 8, study.strategies.2: found 0 keys, expected one of",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let latency = |source: &str| {
        let text = format!(
            "space: {{family: mobilevit_v1}}\nlatency: {source}\nsearch: {{strategy: {{random: {{}}}}, trials: 3, objectives: \
             [{{metric: top1, goal: maximize}}, {{metric: latency_ms, goal: minimize}}]}}\n\
             study: {{strategies: [{{mes_slimming: {{gain: {{latency_ms: 1}}}}}}, {{mes_slimming: {{gain: {{params: 1}}}}}}]}}\n"
        );
        fs::write(&file, text).unwrap();
        config::load_study(&file, config::Origin::User).unwrap_err().to_string()
    };
    // What is measured changes from run to run; a table's latencies do not.
    let (measured, by_table) = (latency("{threads: 1}"), latency("{source: table, table: t.jsonl}"));
    assert!(
        measured.contains("found \"latency_ms\", expected one of top1, macs, params, memory, or latency_ms by"),
        "{measured}"
    );
    let params = "study.strategies.1: found top1, latency_ms, expected params among them: the gain of mes_slimming";
    assert!(by_table.contains("1 mistake\n") && by_table.contains(params), "{by_table}");
    let text = "space: {family: mobilevit_v1}\n\
                search: {strategy: {random: {}}, trials: 3, objectives: [{metric: macs, goal: minimize}]}\n";
    fs::write(&file, text).unwrap();
    let said = config::load_study(&file, config::Origin::User).unwrap_err().to_string();
    assert!(said.contains("search.objectives: found another first objective, expected top1 in a study"), "{said}");
}

#[test]
fn the_schemas_that_ship_are_the_programs() {
    let read = |name: &str| -> serde_json::Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name);
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    };
    assert!(read("schema.json") == config::schema(), "`mobilenas schema > configs/schema.json` writes it anew");
    let study = config::study_schema();
    assert!(read("study/schema.json") == study, "`mobilenas schema study > configs/study/schema.json` writes it anew");
    let train = config::train_schema();
    assert!(read("train/schema.json") == train, "`mobilenas schema train > configs/train/schema.json` writes it anew");
}

/// The same of recipes for networks with heads.
#[test]
fn the_recipes_of_heads_are_the_published_ones() {
    use config::Decay::{Cosine, Poly, Steps};
    use config::Per::{Epoch, Step};
    use mobilenas_dense::transform::{
        DetectionTransform, DistortConfig, Interpolation, RandomCrop, RandomResize, SegmentationTransform, SsdCrop,
    };
    let read = |task: &str, name: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        let text = format!("task: {task}\nnetwork: {{model: mobilevit_s}}\ndata: {{name: voc, dir: x}}\n");
        fs::write(&file, format!("{text}train: {{recipe: {name}}}\n")).unwrap();
        config::load_train(&file).unwrap_or_else(|e| panic!("{e}")).train
    };
    // Epochs, images in a step; peak, last and first learning rate, steps of warm-up; decay, on everything or not, norm of
    // clipping, averages, dropout; how the learning rate moves.
    type Recipes = (f64, usize, (f64, f64, Option<f64>, Option<u64>), (f64, bool, Option<f64>, Option<f64>, f64));
    let cvnets = |peak: f64, first: f64| (peak, 1e-6, Some(first), Some(500));
    let ema = Some(1.0 - 0.0005);
    let expected: [(&str, &str, Recipes, (config::Decay, config::Per)); 5] = [
        (
            "detection",
            "ssdlite_cvnets",
            (200.0, 128, cvnets(9e-4, 9e-5), (0.01, true, None, ema, 0.1)),
            (Cosine, Epoch),
        ),
        (
            "segmentation",
            "deeplabv3_cvnets",
            (50.0, 128, cvnets(9e-4, 9e-5), (0.01, true, None, ema, 0.1)),
            (Cosine, Epoch),
        ),
        (
            "segmentation",
            "pspnet_cvnets",
            (50.0, 128, cvnets(5e-4, 5e-5), (0.05, false, Some(10.0), ema, 0.0)),
            (Cosine, Epoch),
        ),
        // 40,000 steps of 32 of ADE20K's 20,210 images.
        (
            "segmentation",
            "semantic_fpn_snap",
            (63.34, 32, (2e-4, 0.0, None, None), (1e-4, true, None, None, 0.0)),
            (Poly, Step),
        ),
        (
            "detection",
            "mask_rcnn_snap",
            (12.0, 16, (2e-4, 0.0, Some(1e-6), Some(500)), (0.05, true, None, None, 0.0)),
            (Steps, Epoch),
        ),
    ];
    for (task, name, (epochs, batch, rates, rest), moves) in expected {
        let r = read(task, name);
        assert_eq!((r.epochs, r.batch, r.grad_accum_steps, r.cooldown), (epochs, batch, 1, 0.0), "{name}");
        assert_eq!((r.lr, r.min_lr, r.warmup_lr, r.warmup_steps), rates, "{name}");
        assert_eq!((r.weight_decay, r.decay_all, r.clip.norm, r.ema, r.dropout), rest, "{name}");
        assert_eq!((r.lr_schedule, r.schedule_interval), moves, "{name}");
        let adamw = r.optimizer.adamw.clone().map(|a| (a.beta1, a.beta2, a.eps));
        assert_eq!((adamw, r.optimizer.sgd.clone()), (Some((0.9, 0.999, 1e-8)), None), "{name}");
        let off = (r.label_smoothing, r.head_dropout, r.sampler.clone(), r.sync_batch_norms);
        assert_eq!(off, (0.0, 0.0, None, true), "{name}");
    }
    assert!(read("segmentation", "semantic_fpn_snap").warmup == 0.0 && 63.34 * 20_210.0 / 32.0 > 40_000.0);
    let distort =
        DistortConfig { probability: 0.5, brightness: 0.125, contrast: 0.5, saturation: 0.5, hue: 0.05, permute: true };
    let min_ious = vec![0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0];
    let crop = SsdCrop { min_ious, trials: 40, min_side: 0.3, max_ratio: 2.0, min_pixels: 100 };
    let (flip, interpolation) = (0.5, Interpolation::Bicubic);
    let detection = DetectionTransform { crop, distort: distort.clone(), flip, interpolation };
    let of = |task: &str, name: &str| read(task, name).augment.unwrap();
    assert_eq!(of("detection", "ssdlite_cvnets").detection, Some(detection));
    let plain = of("detection", "mask_rcnn_snap").detection.unwrap();
    assert_eq!((plain.crop.min_ious, plain.distort.probability), (vec![0.0], 0.0));
    assert_eq!((plain.flip, plain.interpolation), (0.5, Interpolation::Bilinear));
    for (name, resize, interpolation) in [
        ("deeplabv3_cvnets", RandomResize::cvnets(), Interpolation::Bilinear),
        ("pspnet_cvnets", RandomResize::cvnets(), Interpolation::Bicubic),
        ("semantic_fpn_snap", RandomResize::mmsegmentation(), Interpolation::Bilinear),
    ] {
        let (crop, distort) = (RandomCrop { max_class_share: 0.75 }, distort.clone());
        let segmentation = SegmentationTransform { resize, interpolation, flip, crop, distort };
        assert_eq!(of("segmentation", name).segmentation, Some(segmentation), "{name}");
    }
}

/// Every constant of the recipes that ship, as their sources have them (the recipes name the sources).
#[test]
fn the_recipes_are_the_published_ones() {
    let read = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        let text = "space: {family: mobilevit_v1}\nsearch: {strategy: {random: {}}, trials: 1}\n";
        fs::write(&file, format!("{text}retrain: {{recipe: {name}}}\n")).unwrap();
        config::load(&file).unwrap_or_else(|e| panic!("{e}")).config.retrain.recipe
    };
    let adamw = |r: &Recipe| r.optimizer.adamw.clone().map(|a| (a.beta1, a.beta2, a.eps));
    // Epochs and cool-down, images in a step, learning rates: peak, last, first, steps or epochs of warm-up.
    type Times = (f64, f64, usize, u32);
    type Rates = (f64, f64, Option<f64>, Option<u64>, f64, Option<u32>);
    // Weight decay, on everything or not, norm and share of clipping, averages, smoothing, dropouts, dropped branches.
    type Rest = (f64, bool, Option<f64>, Option<f64>, Option<f64>, f64, f64, f64, Option<f64>);
    let expected: [(&str, Times, Rates, Rest); 4] = [
        (
            "mobilevit",
            (300.0, 0.0, 1024, 1),
            (2e-3, 2e-4, Some(2e-4), Some(3000), 0.5, None),
            (0.01, true, None, None, Some(1.0 - 0.0005), 0.1, 0.1, 0.1, None),
        ),
        (
            "mobilevitv2",
            (300.0, 0.0, 1024, 1),
            (7.5e-3, 7.5e-4, Some(1e-6), Some(20_000), 0.5, None),
            (0.013, false, Some(10.0), None, Some(1.0 - 0.0005), 0.1, 0.0, 0.0, None),
        ),
        (
            "mobilevitv3",
            (300.0, 0.0, 384, 1),
            (2e-3, 2e-4, Some(2e-4), Some(3000), 0.5, None),
            (0.01, true, None, None, Some(1.0 - 0.0005), 0.1, 0.1, 0.1, None),
        ),
        (
            "efficientformerv2",
            (300.0, 10.0, 1024, 1),
            (1e-3, 1e-5, Some(1e-5), None, 5.0, Some(1024)),
            (0.025, false, None, Some(0.01), Some(0.99996), 0.1, 0.0, 0.0, None),
        ),
    ];
    for (name, times, rates, rest) in expected {
        let r = read(name);
        assert_eq!((r.epochs, r.cooldown, r.batch, r.grad_accum_steps), times, "{name}");
        assert_eq!((r.lr, r.min_lr, r.warmup_lr, r.warmup_steps, r.warmup, r.lr_base_size), rates, "{name}");
        assert_eq!(r.schedule_interval, config::Per::Epoch, "{name}");
        let clip = (r.clip.norm, r.clip.adaptive);
        let found = (
            r.weight_decay,
            r.decay_all,
            clip.0,
            clip.1,
            r.ema,
            r.label_smoothing,
            r.dropout,
            r.head_dropout,
            r.drop_path,
        );
        assert_eq!(found, rest, "{name}");
        assert_eq!(
            (adamw(&r), r.optimizer.sgd.clone(), r.clip.value),
            (Some((0.9, 0.999, 1e-8)), None, None),
            "{name}"
        );
    }
    // Augmentation and sampling: RandAugment, colour jitter, erasing, MixUp, CutMix and when they are switched; repeats.
    type Words = (Option<&'static str>, f64, f64, f64, f64, Option<f64>, usize);
    use config::CropInterpolation::{Bicubic, Bilinear};
    let expected: [(&str, config::CropInterpolation, Words); 4] = [
        ("mobilevit", Bilinear, (None, 0.0, 0.0, 0.0, 0.0, None, 1)),
        ("mobilevitv2", Bicubic, (Some("rand-m3-n2-p1-inc1"), 0.0, 0.25, 0.2, 1.0, Some(0.5), 1)),
        ("mobilevitv3", Bilinear, (None, 0.0, 0.0, 0.0, 0.0, None, 1)),
        ("efficientformerv2", Bicubic, (Some("rand-m9-mstd0.5-inc1"), 0.4, 0.25, 0.8, 1.0, Some(0.5), 3)),
    ];
    for (name, interpolation, words) in expected {
        let (r, data) = (read(name), config::DataConfig::default());
        let (a, repeats) = (r.augment.clone().unwrap(), r.sampler.clone().unwrap_or_default().aug_repeats);
        let crop = config::CropConfig { min_area: 0.08, max_ratio: 4.0 / 3.0, interpolation };
        assert_eq!((a.crop, data.flip), (Some(crop), true), "{name}");
        let found = (
            a.rand_augment.as_deref(),
            a.color_jitter,
            a.random_erasing,
            a.mixup,
            a.cutmix,
            a.mixup_switch_prob,
            repeats,
        );
        assert_eq!(found, words, "{name}");
        // Only the first kind of MobileViT and MobileViTv3 have steps of several sides, by the formula that trained them.
        let scale = ["mobilevit", "mobilevitv3"].contains(&name).then(|| config::MultiScaleConfig {
            formula: config::ScaleFormula::CvnetsV01,
            base_size: 256,
            sizes: vec![160, 192, 256, 288, 320],
        });
        assert_eq!(r.sampler.and_then(|s| s.multi_scale), scale, "{name}");
    }
    // The project's own has no source but itself; it reads.
    assert!(read("small").epochs > 0.0);
}
