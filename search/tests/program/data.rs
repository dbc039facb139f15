//! The program's verbs for images.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use mobilenas_pipeline::config::DataName;
use mobilenas_torch::weights;
use tempfile::TempDir;

use crate::common::{program, ran, said};

fn write(path: PathBuf, image: impl Into<DynamicImage>, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    fs::write(path, out.into_inner()).unwrap();
}

fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(60, 45, |x, y| Rgb([(x * 4 + seed * 40) as u8, (y * 5) as u8, (x * y + seed) as u8]))
}

/// Three classes of ten images each, made in no order of their names.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (k, class) in ["owl", "ant", "elk"].into_iter().enumerate() {
        for split in ["train", "val"] {
            for i in 0..10 {
                let path = dir.path().join(format!("{split}/{class}/{i}.jpg"));
                write(path, picture(i + 10 * k as u32), ImageFormat::Jpeg);
            }
        }
    }
    dir
}

fn run(dir: &Path, args: &[&str]) -> Output {
    ran(program(dir).args(args))
}

const CONFIG: &str = "network: {model: mobilenetv2_100, knobs: {resolution: 32}}
threads: 2
train: {epochs: 2, batch: 4, warmup: 0, SECTION}
data:
  name: folder
  dir: .
  search_val: 3
  damaged_limit: LIMIT
  augment: {rand_augment: rand-m9-mstd0.5-inc1, random_erasing: 0.5, mixup: 0.8, cutmix: 1.0}
";

fn config(dir: &Path, section: &str, limit: &str) {
    fs::write(dir.join("c.yaml"), CONFIG.replace("SECTION", section).replace("LIMIT", limit)).unwrap();
}

#[test]
fn a_training_in_steps_of_several_sides_on_a_folder_stores_its_classes_in_order() {
    let dir = folder();
    let read = DataName::FOLDER.reader().load(dir.path(), &Default::default()).unwrap();
    assert_eq!(read.train.classes, ["ant", "elk", "owl"]);
    fs::write(dir.path().join("train/elk/4.jpg"), b"nothing").unwrap();
    config(dir.path(), "sampler: {multi_scale: {formula: cvnets, base_size: 32, sizes: [32, 48, 64]}}", "0.04");
    let out = run(dir.path(), &["train", "c.yaml", "--out", "run"]);
    assert!(out.status.success(), "{}", said(&out));
    let text = said(&out);
    assert!(
        text.contains("warning: damaged image 1 of at most 1: ./train/elk/4.jpg: another format; left out"),
        "{text}"
    );
    let (_, about) = weights::load(&dir.path().join("run/weights.safetensors")).unwrap();
    assert_eq!(about["classes"], r#"["ant","elk","owl"]"#);
    // One image more, and it stops with the list.
    fs::write(dir.path().join("train/owl/2.jpg"), b"").unwrap();
    let out = run(dir.path(), &["train", "c.yaml", "--out", "other"]);
    assert!(!out.status.success());
    let text = said(&out);
    assert!(text.contains("2 damaged images among 30, expected at most 1 (data.damaged_limit):"), "{text}");
    assert!(text.contains("./train/elk/4.jpg: another format\n  ./train/owl/2.jpg: an empty file"), "{text}");
}

#[test]
fn sides_that_a_network_has_no_form_for_are_told_before_the_training() {
    let dir = folder();
    config(dir.path(), "sampler: {multi_scale: {sizes: [32, 64]}}", "0");
    let text = fs::read_to_string(dir.path().join("c.yaml")).unwrap();
    fs::write(dir.path().join("c.yaml"), text.replace("mobilenetv2_100", "deit_tiny_patch16_224")).unwrap();
    let out = run(dir.path(), &["train", "c.yaml", "--out", "run"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    let expected = "error: c.yaml: train.sampler.multi_scale: found the side 64 (pos_embed is learnt for one resolution), \
                    expected sides that every network has a form for";
    assert!(said(&out).contains(expected), "{}", said(&out));
}

#[test]
fn preview_and_bench_show_what_comes_out() {
    let dir = folder();
    config(dir.path(), "label_smoothing: 0", "0");
    let out = run(dir.path(), &["data", "preview", "c.yaml", "--images", "4", "--out", "sheet.png"]);
    assert!(out.status.success(), "{}", said(&out));
    let sheet = image::open(dir.path().join("sheet.png")).unwrap().into_rgb8();
    let many: std::collections::BTreeSet<_> = sheet.pixels().map(|p| p.0).collect();
    assert!(sheet.width() > 1000 && many.len() > 1000, "{} colours on {:?}", many.len(), sheet.dimensions());
    let out =
        run(dir.path(), &["bench", "data", "train", "--size", "32", "--batch", "8", "--seconds", "0.2", "--json"]);
    assert!(out.status.success(), "{}", said(&out));
    let figures: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(figures["images_per_second"].as_f64().unwrap() > 0.0 && figures["files"] == 30);
    let out = run(dir.path(), &["bench", "data", "nowhere"]);
    assert!(out.status.code() == Some(2) && said(&out).contains("nowhere: No such file"), "{}", said(&out));
}
