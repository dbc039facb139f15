//! Images from files to networks: what is read, how it is cut, what `predict` and `evaluate` say of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use mobilenas_data::dataset::ImageFolder;
use mobilenas_image::{Pipeline, decode};
use mobilenas_space::families::{self, FAMILIES, Interpolation, Preprocessing};
use mobilenas_task::ClassReport;
use mobilenas_torch::{Names, ParamStore, Values, weights};
use serde_json::Value as Json;
use tch::{Device, Tensor};
use tempfile::TempDir;

use crate::common::{output, program, start_on_ranks};

/// A picture whose every pixel is its own.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y) as u8, (y * 5) as u8, ((x ^ y) * 3) as u8]))
}

fn bytes(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn read(data: &[u8]) -> Result<RgbImage, String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, data).unwrap();
    decode(&path).map_err(|e| e.found)
}

#[test]
fn every_kind_of_pixel_becomes_red_green_and_blue() {
    let rgb = picture(9, 7);
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(read(&bytes(rgb.clone(), format)).unwrap(), rgb, "{format:?}");
    }
    let grey = GrayImage::from_fn(9, 7, |x, y| Luma([(x * 20 + y) as u8]));
    let repeated = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 20 + y) as u8; 3]));
    assert_eq!(read(&bytes(grey.clone(), ImageFormat::Png)).unwrap(), repeated);
    let from_jpeg = read(&bytes(grey, ImageFormat::Jpeg)).unwrap();
    assert!(from_jpeg.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]));
    let alpha = RgbaImage::from_fn(9, 7, |x, y| {
        let Rgb([r, g, b]) = *rgb.get_pixel(x, y);
        Rgba([r, g, b, (x * 28) as u8])
    });
    assert_eq!(read(&bytes(alpha, ImageFormat::Png)).unwrap(), rgb);
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
        ImageBuffer::from_fn(9, 7, |x, y| Rgb(rgb.get_pixel(x, y).0.map(|v| u16::from(v) * 257)));
    assert_eq!(read(&bytes(deep, ImageFormat::Png)).unwrap(), rgb);
    let deep_grey: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(9, 7, |x, y| Luma([(x * 20 + y) as u16 * 257]));
    assert_eq!(read(&bytes(deep_grey, ImageFormat::Png)).unwrap(), repeated);
}

/// A JPEG with a segment that says how the camera was held.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[test]
fn the_cameras_orientation_is_undone() {
    let jpeg = bytes(picture(24, 16), ImageFormat::Jpeg);
    let upright = read(&jpeg).unwrap();
    assert_eq!(read(&with_orientation(&jpeg, 1)).unwrap(), upright);
    assert_eq!(read(&with_orientation(&jpeg, 6)).unwrap(), image::imageops::rotate90(&upright));
    assert_eq!(read(&with_orientation(&jpeg, 3)).unwrap(), image::imageops::rotate180(&upright));
}

#[test]
fn damage_is_found() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let whole = bytes(picture(64, 48), format);
        read(&whole).unwrap();
        for keep in [whole.len() / 4, whole.len() / 2, whole.len() - 40] {
            let found = read(&whole[..keep]);
            assert!(found.is_err(), "{format:?} cut to {keep} bytes");
        }
    }
    // The preview in a camera's JPEG ends; the picture around it is cut short.
    let preview = bytes(picture(8, 8), ImageFormat::Jpeg);
    let whole = bytes(picture(64, 48), ImageFormat::Jpeg);
    let length = (preview.len() as u16 + 2).to_be_bytes();
    let nested = [&whole[..2], &[0xff, 0xe2], &length, &preview, &whole[2..]].concat();
    read(&nested).unwrap();
    assert_eq!(read(&nested[..nested.len() - 40]).unwrap_err(), "cut short");
    assert_eq!(read(b"").unwrap_err(), "an empty file");
    assert_eq!(read(b"no image at all").unwrap_err(), "another format");
}

fn pipeline(side: u32, crop_pct: f64, interpolation: Interpolation) -> Pipeline {
    Pipeline { side, how: Preprocessing { interpolation, ..Preprocessing::plain(crop_pct) } }
}

#[test]
fn sizes_are_those_of_the_published_evaluation() {
    let p = |side, crop| pipeline(side, crop, Interpolation::Bicubic);
    assert_eq!(p(256, 0.9).resized(640, 427), (425, 284));
    assert_eq!(p(256, 0.888).resized(427, 640), (288, 431));
    assert_eq!(p(224, 0.95).resized(500, 500), (235, 235));
    assert_eq!(p(224, 0.875).shorter(), 256);
    let slim = p(32, 1.0).cut(&picture(1, 4000));
    assert_eq!(slim.dimensions(), (32, 32));
}

#[test]
fn a_cut_without_resizing_is_the_centre() {
    let image = picture(41, 32);
    for how in [Interpolation::Bicubic, Interpolation::Bilinear] {
        // 28 / 0.875 is the shorter side as it is.
        let cut = pipeline(28, 0.875, how).cut(&image);
        // (41 - 28) / 2 = 6.5 goes to the even neighbour.
        assert_eq!(cut, image::imageops::crop_imm(&image, 6, 2, 28, 28).to_image());
    }
}

/// Pillow 13's levels for a small picture, red first.
#[test]
fn resized_levels_are_pillows() {
    let red = |image: RgbImage| image.pixels().map(|p| p.0[0]).collect::<Vec<_>>();
    let image = picture(13, 11);
    let bicubic = pipeline(4, 1.0, Interpolation::Bicubic).cut(&image);
    let bilinear = pipeline(4, 1.0, Interpolation::Bilinear).cut(&image);
    let larger = pipeline(18, 1.0, Interpolation::Bicubic).cut(&image);
    assert_eq!(red(bicubic), PILLOW_BICUBIC);
    assert_eq!(red(bilinear), PILLOW_BILINEAR);
    assert_eq!(red(larger)[..18], PILLOW_LARGER);
}

const PILLOW_BICUBIC: [u8; 16] = [9, 31, 55, 77, 12, 34, 58, 80, 14, 36, 60, 82, 17, 39, 63, 85];
const PILLOW_BILINEAR: [u8; 16] = [11, 32, 54, 75, 14, 35, 57, 78, 16, 37, 59, 80, 19, 40, 62, 83];
const PILLOW_LARGER: [u8; 18] = [7, 12, 16, 20, 25, 29, 33, 38, 42, 46, 51, 55, 59, 64, 68, 72, 77, 82];

#[test]
fn inputs_are_normalised_channel_by_channel() {
    let image = RgbImage::from_pixel(4, 4, Rgb([255, 0, 51]));
    let p = Pipeline { side: 4, how: Preprocessing::imagenet(1.0) };
    let double: Vec<f64> = p.input(&image);
    let expected = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
    for (i, x) in double.iter().enumerate() {
        assert!((x - expected[i / 16]).abs() < 1e-15, "{i}: {x}");
    }
    let single: Vec<f32> = p.input(&image);
    assert!(single.iter().zip(&double).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
}

#[test]
fn every_family_says_how_its_images_are_made() {
    for family in FAMILIES {
        let how = family.preprocessing();
        assert!((0.8..=1.0).contains(&how.crop_pct), "{}", family.name());
        assert!(how.std.iter().all(|s| *s > 0.0), "{}", family.name());
    }
    assert_eq!(families::family("mobilevit_v2").unwrap().preprocessing(), Preprocessing::plain(0.888));
    assert_eq!(families::family("efficientformer").unwrap().preprocessing(), Preprocessing::imagenet(0.95));
}

fn put(path: PathBuf, data: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

#[test]
fn classes_are_folders_in_order() {
    let dir = TempDir::new().unwrap();
    for file in ["b/2.JPG", "b/1.png", "a10/x.jpeg", "a9/x.webp", "a9/notes.txt", "a9/.hidden.png", ".git/x.png"] {
        put(dir.path().join(file), b"");
    }
    let folder = ImageFolder::open_val(dir.path(), false).unwrap();
    assert_eq!(folder.classes, ["a10", "a9", "b"]);
    let names: Vec<_> = folder.images.iter().map(|(p, c)| (p.file_name().unwrap().to_str().unwrap(), *c)).collect();
    assert_eq!(names, [("x.jpeg", 0), ("x.webp", 1), ("1.png", 2), ("2.JPG", 2)]);
    assert_eq!(folder.notes.len(), 1);
    put(dir.path().join("val/only/x.png"), b"");
    assert_eq!(ImageFolder::open_val(dir.path(), false).unwrap().classes, ["only"]);
}

#[test]
fn the_class_report_names_the_worst() {
    let mut t = ClassReport::new(3);
    t.add(0, &[0, 1, 2]);
    t.add(0, &[1, 0, 2]);
    t.add(2, &[1, 0, 2]);
    t.add(2, &[0, 1, 2]);
    t.add(2, &[1, 2, 0]);
    assert_eq!((t.images(), t.top1(), t.top5()), (5, 20.0, 100.0));
    assert_eq!(t.worst(), [2, 0]);
    assert_eq!(t.most_frequent_wrong(2), Some((1, 2)));
    assert_eq!(t.most_frequent_wrong(1), None);
}

const MODEL: &str = "mobilenetv2_100";

/// Weights that nothing was learnt with, for three classes.
fn write_weights(path: &Path, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
    let (family, _) = families::variant(MODEL).unwrap();
    let template = family.template(MODEL).unwrap();
    let graph = template.plan(&template.values(), 224, 3).unwrap().lower().unwrap();
    let mut named = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu).unwrap().named();
    change(&mut named);
    weights::save(path, &named, &BTreeMap::new()).unwrap();
}

fn run(dir: &Path, args: &str) -> (i32, String, String) {
    let mut command = program(dir);
    command.args(args.split(' '));
    output(command)
}

/// Weights and a folder of six images, two in each of three classes, and one that is damaged.
fn scene() -> TempDir {
    let dir = TempDir::new().unwrap();
    write_weights(&dir.path().join("w.safetensors"), |_| {});
    for (i, class) in ["ant", "bee", "cow"].into_iter().enumerate() {
        for j in 0..2u32 {
            let image = picture(40 + 30 * j, 50 + 10 * i as u32);
            put(dir.path().join(format!("data/{class}/{j}.png")), &bytes(image, ImageFormat::Png));
        }
    }
    let damaged = bytes(picture(40, 40), ImageFormat::Jpeg);
    put(dir.path().join("data/cow/broken.jpg"), &damaged[..damaged.len() / 2]);
    dir
}

/// The standard output of a process that has succeeded.
fn said_well(out: std::process::Output) -> String {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

const USUAL: &str = "--model mobilenetv2_100 --weights w.safetensors --resolution 64";

#[test]
fn evaluate_counts_what_predict_says() {
    let dir = scene();
    let evaluate = format!("evaluate {USUAL} --data data --batch 4");
    let (code, said, err) = run(dir.path(), &format!("{evaluate} --json"));
    assert_eq!(code, 0, "{err}");
    let e: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(e["images"], 6);
    assert_eq!(e["top5"], 100.0);
    assert_eq!(e["damaged"][0], serde_json::json!({ "image": "data/cow/broken.jpg", "error": "cut short" }));
    // Two processes share the batches, and the first tells what one tells.
    let all = start_on_ranks(2, || {
        let mut c = program(dir.path());
        c.args(evaluate.split(' ')).arg("--json");
        c
    });
    let all: Vec<String> = all.into_iter().map(|child| said_well(child.wait_with_output().unwrap())).collect();
    let untimed = |text: &str| {
        let mut all: Json = serde_json::from_str(text).unwrap();
        for timed in ["seconds", "images_per_second"] {
            assert!(all.as_object_mut().unwrap().remove(timed).is_some());
        }
        all
    };
    assert_eq!((untimed(&all[0]), all[1].as_str()), (untimed(&said), ""));
    let files: Vec<String> =
        ["ant", "bee", "cow"].iter().flat_map(|c| [0, 1].map(|j| format!("data/{c}/{j}.png"))).collect();
    let (code, said, err) = run(dir.path(), &format!("predict {USUAL} --json {}", files.join(" ")));
    assert_eq!(code, 0, "{err}");
    let p: Json = serde_json::from_str(&said).unwrap();
    let given = p["images"].as_array().unwrap().iter().map(|i| i["top"][0]["class"].as_u64().unwrap());
    let right = given.zip([0, 0, 1, 1, 2, 2]).filter(|(a, b)| a == b).count();
    assert_eq!(e["top1"].as_f64().unwrap(), 100.0 * right as f64 / 6.0);
    let (code, said, _) = run(dir.path(), &evaluate);
    assert_eq!(code, 0);
    assert!(said.contains("shorter side to 73 px (bicubic, crop_pct 0.875), centre 64 x 64, mean 0.485"), "{said}");
    assert!(said.contains("1 damaged images left out\n  data/cow/broken.jpg: cut short"), "{said}");
    assert!(said.contains("of 6 images") && said.contains("images per second"), "{said}");
}

#[test]
fn predict_gives_every_logit_in_full() {
    let dir = scene();
    fs::write(dir.path().join("names.txt"), "an ant\na bee\na cow\n").unwrap();
    let at = |options: &str| {
        let (code, said, err) = run(dir.path(), &format!("predict {USUAL} {options} --json data/ant/0.png"));
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Json>(&said).unwrap()
    };
    let logits = |j: &Json| -> Vec<f64> {
        j["images"][0]["logits"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect()
    };
    let (single, double) = (at("--labels names.txt"), at("--precision float64"));
    assert_eq!(logits(&single).len(), 3);
    assert!(logits(&single).iter().all(|l| f64::from(*l as f32) == *l));
    assert!(logits(&double).iter().any(|l| f64::from(*l as f32) != *l));
    assert!(logits(&single).iter().zip(logits(&double)).all(|(a, b)| (a - b).abs() < 1e-4));
    let sum: f64 = single["images"][0]["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    let best = &single["images"][0]["top"][0];
    let names = ["an ant", "a bee", "a cow"];
    assert_eq!(best["label"], names[best["class"].as_u64().unwrap() as usize]);
    let other = at("--mean 0,0,0 --std 1,1,1 --crop-pct 1 --interpolation bilinear");
    assert_eq!(other["preprocessing"]["resized"], 64);
    assert_ne!(logits(&other), logits(&single));
    let (code, said, err) = run(dir.path(), &format!("predict {USUAL} data/cow/broken.jpg data/ant/0.png"));
    assert_eq!(code, 2);
    assert!(err.contains("data/cow/broken.jpg: cut short") && said.contains("data/ant/0.png\n"), "{err}{said}");
}

#[test]
fn winners_of_a_run_are_networks_too() {
    let dir = scene();
    let path = |name: &str| dir.path().join(format!("run/winners/{name}"));
    let (family, _) = families::variant(MODEL).unwrap();
    let template = family.template(MODEL).unwrap();
    let values = template.knobs().into_iter().map(|k| k.name).zip(template.values());
    let knobs: BTreeMap<String, [u32; 1]> =
        values.map(|(name, v)| (name, [v])).chain([("resolution".into(), [64])]).collect();
    let genome = serde_json::json!({ "family": family.name(), "knobs": knobs }).to_string();
    put(path("6.yaml"), genome.as_bytes());
    let about = BTreeMap::from(["mean", "std"].map(|k| (format!("pixel_{k}"), "0.25".to_string())));
    let (named, _) = weights::load(&dir.path().join("w.safetensors")).unwrap();
    weights::save(&path("6.safetensors"), &named, &about).unwrap();
    let (code, said, err) = run(dir.path(), "predict --run run --trial 6 data/ant/0.png");
    assert_eq!(code, 0, "{err}");
    let expected =
        "trial 6 at 64 px: shorter side to 64 px (bilinear, crop_pct 1), centre 64 x 64, mean 0.25 0.25 0.25";
    assert!(said.starts_with(expected), "{said}");
    // Colours have three figures each, and photos were cut as the file says.
    let words =
        [("pixel_mean", "0.25 0.5 0.75"), ("pixel_std", "1 1 1"), ("crop_pct", "0.5"), ("interpolation", "bicubic")];
    let about = words.map(|(k, v)| (k.to_string(), v.to_string())).into();
    weights::save(&path("6.safetensors"), &named, &about).unwrap();
    let (_, said, _) = run(dir.path(), "predict --run run --trial 6 data/ant/0.png");
    let expected =
        "trial 6 at 64 px: shorter side to 128 px (bicubic, crop_pct 0.5), centre 64 x 64, mean 0.25 0.5 0.75";
    assert!(said.starts_with(expected), "{said}");
    weights::save(&path("6.safetensors"), &named, &BTreeMap::new()).unwrap();
    let (code, _, err) = run(dir.path(), "predict --run run --trial 6 data/ant/0.png");
    assert!(code == 2 && err.contains("does not say pixel_mean"), "{err}");
}

#[test]
fn what_does_not_fit_is_said() {
    let dir = scene();
    let w = |name: &str| dir.path().join(name);
    write_weights(&w("short.safetensors"), |n| drop(n.remove("conv_stem.weight")));
    write_weights(&w("more.safetensors"), |n| drop(n.insert("extra".into(), Tensor::from_slice(&[1f32]))));
    write_weights(&w("bent.safetensors"), |n| drop(n.insert("bn1.weight".into(), Tensor::from_slice(&[1f32; 5]))));
    fs::write(w("text.safetensors"), "hello").unwrap();
    fs::create_dir_all(w("none/empty")).unwrap();
    put(w("two/a/x.png"), b"");
    put(w("two/b/x.png"), b"");
    put(w("rot/a/x.png"), b"");
    put(w("rot/b/x.png"), b"");
    put(w("rot/c/x.png"), b"");
    let cases = [
        ("predict --model mobilenetv2_100 --weights gone.safetensors x.png", "gone.safetensors: No such file"),
        ("predict --model mobilenetv2_10 --weights w.safetensors x.png", "did you mean mobilenetv2_100?"),
        ("predict --model mobilenetv2_100 --weights text.safetensors x.png", "text.safetensors: a file of 5 bytes"),
        ("predict --model mobilenetv2_100 --weights short.safetensors x.png", "conv_stem.weight is missing"),
        ("predict --model mobilenetv2_100 --weights more.safetensors x.png", "extra is not part of it"),
        ("predict --model mobilenetv2_100 --weights bent.safetensors x.png", "bn1.weight has shape [5], expected [32]"),
        ("predict --model mobilevit_s --weights w.safetensors x.png", "no classifier head.fc.weight"),
        ("predict --model mobilenetv2_100 --weights w.safetensors gone.png", "gone.png: No such file"),
        ("predict --model mobilenetv2_100 --weights w.safetensors --mean 1,2 x.png", "expected three numbers"),
        (
            "predict --model mobilenetv2_100 --weights w.safetensors --crop-pct 2 x.png",
            "expected a number of 0.01 to 1",
        ),
        ("predict --model mobilenetv2_100 --weights w.safetensors --labels data x.png", "expected a text"),
        ("predict --run r --trial 6 x.png", "r/winners/6.safetensors: No such file"),
        ("predict --run r x.png", "--trial"),
        ("predict x.png", "--model"),
        ("evaluate --model mobilenetv2_100 --weights w.safetensors --data gone", "gone: No such file"),
        (
            "evaluate --model mobilenetv2_100 --weights w.safetensors --data none",
            "none: found 1 class without a usable image, expected images in each",
        ),
        (
            "evaluate --model mobilenetv2_100 --weights w.safetensors --data two",
            "two: 2 folders of classes, expected 3",
        ),
        (
            "evaluate --model mobilenetv2_100 --weights w.safetensors --classes 2 --data two",
            "has 3 classes, expected 2",
        ),
        ("evaluate --model mobilenetv2_100 --weights w.safetensors --data rot", "rot: no image can be read"),
    ];
    for (args, expected) in cases {
        let (code, _, err) = run(dir.path(), args);
        assert!(code == 2 && err.contains(expected), "{args}: {code}: {err}");
    }
}
