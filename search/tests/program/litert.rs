//! .tflite files on LiteRT from the command line: guarded, measured, and what is said of wrong ones.

use std::fs;
use std::path::Path;
use std::process::Output;

use mobilenas_bench::profile::record::ProfileReport;

use crate::common::{program, ran, said};

const FILE: &[u8] = include_bytes!("../../../bench/file/tests/tiny.tflite");

fn run(dir: &Path, words: &str) -> Output {
    ran(program(dir).arg("bench").args(words.split(' ')))
}

#[test]
fn a_file_is_guarded_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("net.tflite"), FILE).unwrap();
    let out = run(at, "bless --baseline b.json --tflite net.tflite");
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let check = "check --baseline b.json --tflite net.tflite";
    let out = run(at, check);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    // The sign of a weight: the largest run of values in the file is that of the convolution.
    let blessed = fs::read_to_string(at.join("b.json")).unwrap();
    assert!(blessed.contains("CONV_2D") && blessed.contains("output_0"), "{blessed}");
    let weights = FILE.windows(4).position(|w| (0.01..0.2).contains(&f32::from_le_bytes(w.try_into().unwrap()).abs()));
    let (mut bytes, place) = (FILE.to_vec(), weights.unwrap());
    bytes[place + 3] ^= 0x80;
    fs::write(at.join("net.tflite"), &bytes).unwrap();
    let out = run(at, check);
    assert_eq!(out.status.code(), Some(3), "{}", said(&out));
    assert!(said(&out).contains("weights"), "{}", said(&out));
    let config = "\
files: [{file: net.tflite}]
window_ms: 20
warmup: {max_seconds: 0.2}
samples: {min: 5, max_seconds: 0.1}
processes: {min: 1, max: 1}
";
    fs::write(at.join("c.yaml"), config).unwrap();
    let out = run(at, "run c.yaml --json");
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let report: ProfileReport = serde_json::from_slice(&out.stdout).unwrap();
    let numbers = report.rows[0].measured().unwrap();
    assert_eq!(report.rows[0].case.to_string(), "net.tflite on litert, threads 1, batch 1");
    assert!(numbers.engine.starts_with("litert 2."), "{}", numbers.engine);
    let choices = &numbers.processes[0].ready.choices;
    for (at, choice) in [("threads", "1"), ("XNNPACK", "all operators")] {
        assert!(choices.contains(&(at.to_string(), choice.to_string())), "{choices:?}");
    }
}

#[test]
fn without_the_converter_a_network_is_a_row_that_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(dir.path());
    command.args(["bench", "run", "--models", "mobilenetv3_small_100", "--engines", "litert", "--out", "o"]);
    let out = command.env_remove("MOBILENAS_PHONES_PYTHON").output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let text = fs::read_to_string(dir.path().join("o/bench.json")).unwrap();
    let report: ProfileReport = serde_json::from_str(&text).unwrap();
    let why = report.rows[0].why().unwrap();
    let expected = "engine litert: MOBILENAS_PHONES_PYTHON is not set, expected the Python that has the converters; \
                    `cargo xtask setup --phones` makes it";
    assert!(why.contains(expected), "{why}");
}

#[test]
fn wrong_files_get_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("net.tflite"), FILE).unwrap();
    fs::write(at.join("half.tflite"), &FILE[..FILE.len() / 2]).unwrap();
    let check = |words: &str| {
        let out = run(at, &format!("check --baseline b.json {words}"));
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        said(&out).trim_end().to_string()
    };
    insta::assert_snapshot!(check("--tflite half.tflite"), @"error: half.tflite: found no .tflite file, or a part of one, expected a whole one");
    insta::assert_snapshot!(check("--tflite net.tflite --size args_0=1x3x9x9"), @"error: net.tflite: found the size 1x3x9x9 of input args_0, expected 1x3x8x8");
    insta::assert_snapshot!(check("--tflite net.tflite --size images=1x3x8x8"), @"error: net.tflite: found the input images, expected one of args_0");
    insta::assert_snapshot!(check("--tflite net.tflite --dim n=1"), @"error: net.tflite: found a size for axis n, expected none: axes have no names here");
    let mut command = program(at);
    command.args(["bench", "check", "--baseline", "b.json", "--tflite", "net.tflite"]);
    let out = command.env("MOBILENAS_LITERT", "/nowhere/libLiteRt.so").output().unwrap();
    assert!(
        said(&out).contains("engine litert: MOBILENAS_LITERT=/nowhere/libLiteRt.so: No such file"),
        "{}",
        said(&out)
    );
}
