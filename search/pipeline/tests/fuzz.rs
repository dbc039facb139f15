//! Damaged files: configs, journals, lists of latencies, tables, gate baselines, images, weights, ONNX files. Each reader
//! gets mutations of sound files; it may refuse them, with a message, and must not panic.
//!
//! Some hundred inputs each by default; `FUZZ_SECONDS=3600 cargo test --test fuzz images` tries images for an hour of one
//! core's time, however busy the machine is. The inputs follow from their number, so that what falls out can be made again:
//! `FUZZ_FIRST=N` begins with input N. Set `TMPDIR` to a file system in memory, or the disk takes most of the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::ImageFormat;
use mobilenas_bench::latency_table::import::{Device, import};
use mobilenas_bench::latency_table::{Table, jobs};
use mobilenas_bench::regression::baseline::Baseline;
use mobilenas_image::decode::{decode_bytes, dimensions};
use mobilenas_onnx::file::{self, Location, Sizes};
use mobilenas_onnx::proto::{self, Entry};
use mobilenas_onnx::{Batch, Options};
use mobilenas_pipeline::config;
use mobilenas_pipeline::journal::Journal;
use mobilenas_space::ir::Role;
use mobilenas_space::{Space, SpaceConfig, SpaceKnob, families};
use mobilenas_torch::weights::Weights;
use prost::Message as _;
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rustix::time::{ClockId, clock_gettime};

/// Inputs without FUZZ_SECONDS.
const INPUTS: u64 = 300;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The time that a core worked for this thread.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Words that parsers know, and numbers at the edges of types.
const WORDS: [&str; 28] = [
    "null",
    "true",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "- ",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "|\n",
    "\n",
    "\t",
    "\u{0}",
    "-1",
    "0",
    "1e308",
    "-1e999",
    "18446744073709551616",
    "0x10",
    ".inf",
    ".nan",
    "\u{feff}",
];

/// A mutation of one of the sound files: some changes, each of a byte, a bit, a piece, a word or a number.
fn mutated(sound: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut data = sound[rng.random_range(0..sound.len())].clone();
    for _ in 0..1 + rng.next_u32() % 4 {
        let at = rng.random_range(0..=data.len());
        let end = (at + rng.random_range(1..64)).min(data.len());
        match rng.next_u32() % 9 {
            0 => data.truncate(at),
            1 if at < data.len() => data[at] = rng.next_u32() as u8,
            2 if at < data.len() => data[at] ^= 1 << (rng.next_u32() % 8),
            3 => drop(data.drain(at..end)),
            4 => data.splice(at..at, data[at..end].to_vec()).for_each(drop),
            5 => {
                let word = WORDS[rng.random_range(0..WORDS.len())].as_bytes();
                data.splice(at..at, word.iter().copied()).for_each(drop);
            }
            6 => {
                let word = WORDS[rng.random_range(0..WORDS.len())].as_bytes();
                data.splice(at..end, word.iter().copied()).for_each(drop);
            }
            7 => {
                // A piece of another file.
                let other = &sound[rng.random_range(0..sound.len())];
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(1..256)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied()).for_each(drop);
            }
            _ => {
                // A number becomes another.
                let digits = data.iter().enumerate().skip(at).find(|(_, b)| b.is_ascii_digit()).map(|(i, _)| i);
                if let Some(i) = digits {
                    data[i] = b'0' + (rng.next_u32() % 10) as u8;
                }
            }
        }
    }
    data
}

/// Tries mutations of sound files, which are read by `read`: what it says is wrong, or nothing.
fn fuzz(what: &str, sound: Vec<Vec<u8>>, read: impl Fn(&[u8]) -> Option<String>) {
    for (i, file) in sound.iter().enumerate() {
        assert_eq!(read(file), None, "{what}: sound file {i}");
    }
    let (begin, first) = (worked(), number("FUZZ_FIRST").unwrap_or(0));
    let limit = number("FUZZ_SECONDS").map(Duration::from_secs);
    let goes_on = |n: u64| limit.map_or(n < INPUTS, |limit| worked() - begin < limit);
    let (mut n, mut refused) = (0, 0);
    while goes_on(n) {
        let data = mutated(&sound, &mut ChaCha8Rng::seed_from_u64(first + n));
        let said = catch_unwind(AssertUnwindSafe(|| read(&data)));
        let Ok(said) = said else {
            let file = std::env::temp_dir().join(format!("fuzz-{what}-{}", first + n));
            fs::write(&file, &data).unwrap();
            panic!("{what}: input {} panics; it is in {}", first + n, file.display());
        };
        if let Some(message) = said {
            refused += 1;
            // Control characters that it quotes are escaped where the program prints it.
            assert!(!message.trim().is_empty(), "{what}: input {}: {message:?}", first + n);
        }
        n += 1;
    }
    assert!(refused > 0, "{what}: nothing was refused");
    println!(
        "{what}: {n} inputs from {first} on, {refused} refused, {:.0} s of a core",
        (worked() - begin).as_secs_f64()
    );
}

/// Reads a file that holds the bytes.
fn in_a_file<T, E: Display>(name: &str, read: impl Fn(&Path) -> Result<T, E>) -> impl Fn(&[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    move |data| {
        fs::write(&file, data).unwrap();
        let said = read(&file).err().map(|e| e.to_string());
        // The closure keeps the folder.
        let _ = &dir;
        said
    }
}

/// Files below a folder whose names end so.
fn files(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<PathBuf> = fs::read_dir(here(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|path| path.to_string_lossy().ends_with(end));
    all.sort();
    assert!(!all.is_empty(), "{folder}");
    all.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn configs_of_searches() {
    let sound = [files("configs/search", ".yaml"), files("search/tests/configs", ".yaml")].concat();
    fuzz("configs", sound, in_a_file("c.yaml", |file| config::load(file).map(drop)));
}

#[test]
fn configs_of_studies_and_trainings() {
    let study = in_a_file("c.yaml", |file| config::load_study(file, config::Origin::User).map(drop));
    fuzz("studies", files("search/tests/configs/study", ".yaml"), study);
    fuzz("trainings", files("search/tests/configs/train", ".yaml"), in_a_file("c.yaml", config::load_train));
}

#[test]
fn configs_of_measurements() {
    fuzz("gate-configs", files("configs/gate", ".yaml"), in_a_file("c.yaml", config::load_gate));
    fuzz("bench-configs", files("configs/bench", ".yaml"), in_a_file("c.yaml", config::load_bench));
}

#[test]
fn baselines() {
    // The whole file is long; a part of its networks has every kind of value.
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(here("configs/gate/exact.json")).unwrap()).unwrap();
    let mut part = whole.clone();
    let few = |value: &mut serde_json::Value| {
        for map in value.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            if let Some(map) = map.as_object_mut().filter(|map| map.len() > 3) {
                let names: Vec<String> = map.keys().skip(2).cloned().collect();
                names.iter().for_each(|name| drop(map.remove(name)));
            }
        }
    };
    few(&mut part);
    let sound = vec![serde_json::to_vec_pretty(&part).unwrap()];
    fuzz("baselines", sound, in_a_file("b.json", Baseline::read));
}

/// A small space: a few blocks, each of one width and one depth.
fn space() -> Space {
    let config = SpaceConfig { family: "mobilenet_v2".into(), width: 0.25, divisor: 8, knobs: [].into(), classes: 4 };
    let whole = Space::new(&config).unwrap();
    let first = |k: &SpaceKnob| (k.name.clone(), vec![i64::from(k.choices[0])]);
    let mut knobs: BTreeMap<String, Vec<i64>> = whole.knobs().iter().map(first).collect();
    knobs.insert("resolution".into(), vec![16]);
    knobs.insert("stages.2.depth".into(), vec![1, 2]);
    Space::new(&SpaceConfig { knobs, ..config }).unwrap()
}

#[test]
fn lists_of_latencies_and_their_tables() {
    let (space, dir) = (space(), tempfile::tempdir().unwrap());
    jobs::write(&space, dir.path(), [3, 3], 1000, 1, None).unwrap();
    let list = fs::read_to_string(dir.path().join(jobs::LIST)).unwrap();
    let mut lines = list.lines();
    let head = lines.next().unwrap().to_string();
    let filled: String = lines.enumerate().map(|(i, l)| format!("{}1.{i},3\n", l.strip_suffix(',').unwrap())).collect();
    let text = |word: &str| word.to_string();
    let device = Device {
        device: text("phone"),
        engine: text("engine"),
        version: text("1"),
        precision: text("float32"),
        threads: 1,
        batch: 1,
    };
    let table = dir.path().join("t.jsonl");
    let read = in_a_file("times.csv", |file| {
        let _ = fs::remove_file(&table);
        import(file, &space, &device, 1000, &table)
    });
    let sound = format!("{head}\n{filled}").into_bytes();
    assert_eq!(read(&sound), None);
    let made = fs::read(&table).unwrap();
    fuzz("lists", vec![sound], read);
    fuzz("tables", vec![made], in_a_file("t.jsonl", Table::load));
}

#[test]
fn images() {
    let read = |data: &[u8]| {
        let size = dimensions(data);
        match decode_bytes(data) {
            Ok(image) => {
                assert!(image.width() > 0 && image.height() > 0 && size.is_ok());
                None
            }
            Err(e) => Some(e),
        }
    };
    let formats = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff, ImageFormat::WebP];
    let drawn = image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]));
    let encoded = formats.map(|format| {
        let mut file = std::io::Cursor::new(Vec::new());
        drawn.write_to(&mut file, format).unwrap();
        file.into_inner()
    });
    fuzz("images", [files("search/tests/jpegs", ".jpg"), encoded.to_vec()].concat(), read);
}

#[test]
fn journals() {
    let journal = fs::read(here("reports/tests/v1/run/journal.jsonl")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let resumed = |data: &[u8]| {
        fs::write(dir.path().join(mobilenas_reports::JOURNAL), data).unwrap();
        Journal::open(dir.path()).err().map(|e| e.to_string())
    };
    fuzz("journals", vec![journal.clone()], resumed);
    let config = fs::read(here("reports/tests/v1/run/config.yaml")).unwrap();
    fs::write(dir.path().join("config.yaml"), config).unwrap();
    let reported = |data: &[u8]| {
        fs::write(dir.path().join(mobilenas_reports::JOURNAL), data).unwrap();
        mobilenas_reports::read(dir.path()).err().map(|e| e.to_string())
    };
    fuzz("reported-journals", vec![journal], reported);
}

#[test]
fn weights() {
    let read = |file: &Path| Weights::open(file, None).and_then(|mut weights| weights.read_all());
    let folder = "space/torch/tests/files";
    let safetensors = ["shard-00001-of-00002.safetensors", "shard-00002-of-00002.safetensors"];
    let sound = safetensors.map(|name| fs::read(here(folder).join(name)).unwrap()).to_vec();
    fuzz("safetensors", sound, in_a_file("w.safetensors", read));
    let pickles = ["plain.pt", "old.pth", "no_checksums.pt", "objects.pt", "averaged.pt"];
    let sound = pickles.map(|name| fs::read(here(folder).join(name)).unwrap()).to_vec();
    fuzz("pickles", sound, in_a_file("w.pt", read));
}

/// The file of a small network, whose larger tensors stand outside, so that mutations meet what is read.
fn onnx_file() -> Vec<u8> {
    let graph = families::plan("mobilevit_xxs", Some(64), 4).unwrap().lower().unwrap();
    let floats = graph.params().into_iter().filter(|p| !matches!(p.role, Role::Counter | Role::Index));
    let arrays = floats.map(|p| (p.name.clone(), vec![0.5; p.elements() as usize])).collect();
    let options = Options { batch: Batch::Dynamic, ..Options::default() };
    let mut model = mobilenas_onnx::model(&graph, &arrays, &options).unwrap();
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if tensor.raw_data.as_ref().is_some_and(|data| data.len() > 64) {
            let entry = Entry { key: Some("location".into()), value: Some("weights.bin".into()) };
            (tensor.external_data, tensor.raw_data, tensor.data_location) = (vec![entry], None, Some(1));
        }
    }
    model.encode_to_vec()
}

#[test]
fn onnx_files() {
    let read = |data: &[u8]| -> Result<(), String> {
        let model = proto::read(data).map_err(|e| e.to_string())?;
        let mut outside = |at: &Location| match usize::try_from(at.length) {
            Ok(length) if length < 1 << 24 => Ok(vec![0; length]),
            _ => Err(format!("{} bytes", at.length)),
        };
        file::facts(&model, &mut outside).map_err(|e| e.to_string())?;
        let graph = file::graph(&model).map_err(|e| e.to_string())?;
        let sizes = Sizes { dims: [("batch".to_string(), 1)].into(), ..Sizes::default() };
        let inputs = file::inputs(graph, &sizes).map_err(|e| e.to_string())?;
        file::macs(&model, &inputs);
        Ok(())
    };
    fuzz("onnx-files", vec![onnx_file()], |data| read(data).err());
}
