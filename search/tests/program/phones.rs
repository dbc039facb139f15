//! `mobilenas weights export --format coreml|executorch|litert`: what is refused, what does not hold, and files that the
//! runtimes run.

use std::fs;
use std::path::Path;
use std::process::Command;

use mobilenas_space::families::{self, FAMILIES, Family};
use mobilenas_torch::{Formula, weights};
use serde_json::{Value, json};

use crate::common::{output, program};
use crate::steady;

/// What the program finds the converters by.
const VARIABLE: &str = "MOBILENAS_PHONES_PYTHON";
const EXPORT: &str = "weights export --model mobilenetv3_small_100 --resolution 32 --classes 5";

fn run(mut c: Command, args: &str) -> (i32, String) {
    c.args(args.split(' '));
    let (code, out, err) = output(c);
    (code, format!("{out}{err}").trim().to_string())
}

/// The program with a stand-in for Python: a shell script that gets the job's folder as `$3`.
fn with_stand_in(dir: &Path, script: &str) -> Command {
    use std::os::unix::fs::PermissionsExt as _;
    let python = dir.join("stand-in");
    fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let mut c = program(dir);
    c.env(VARIABLE, &python);
    c
}

/// A stand-in that converts to `file`, a shell command's work in the job's folder, and reports a difference.
fn converts(file: &str, difference: &str) -> String {
    let report = json!({
        "converter": {"package": "stand-in", "version": "1"},
        "runtime": {"name": "Shell", "version": "2"},
        "highest_rank": 4,
        "comparison": {"images": 10, "difference": "DIFFERENCE"},
    });
    let report = report.to_string().replace("\"DIFFERENCE\"", difference);
    format!(
        "cp \"$3/job.json\" job.json; cd \"$3\" || exit 1; ls > \"$OLDPWD/listed\"; {file}\necho '{report}' > report.json"
    )
}

#[test]
fn without_the_converters_the_command_says_how_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let said = |variable: Option<&str>, args: &str| {
        let mut c = program(dir.path());
        match variable {
            Some(value) => c.env(VARIABLE, value),
            None => c.env_remove(VARIABLE),
        };
        let (code, said) = run(c, &format!("{EXPORT} {args}"));
        format!("{code} {said}")
    };
    insta::assert_snapshot!(said(None, "--out a.pte"), @"2 error: a.pte: MOBILENAS_PHONES_PYTHON is not set, expected the Python that has the converters; `cargo xtask setup --phones` makes it");
    insta::assert_snapshot!(said(Some(""), "--out a.tflite"), @"2 error: a.tflite: MOBILENAS_PHONES_PYTHON is not set, expected the Python that has the converters; `cargo xtask setup --phones` makes it");
    insta::assert_snapshot!(said(Some("/no/python"), "--format coreml --out a"), @"2 error: a: MOBILENAS_PHONES_PYTHON=/no/python is no file, expected the Python that has the converters; `cargo xtask setup --phones` makes it");
    insta::assert_snapshot!(said(Some("no-such-python"), "--out a.pte"), @"2 error: a.pte: MOBILENAS_PHONES_PYTHON=no-such-python: No such file or directory (os error 2), expected a Python with the converters");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn flags_and_places_that_do_not_fit_are_refused_before_anything_is_converted() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder.mlpackage")).unwrap();
    fs::create_dir(dir.path().join("folder.pte")).unwrap();
    let said = |args: &str| {
        let (code, said) = run(with_stand_in(dir.path(), "touch started"), &format!("{EXPORT} {args}"));
        format!("{code} {}", said.lines().next().unwrap_or_default())
    };
    insta::assert_snapshot!(said("--out a.tflite --float16"), @"2 error: a.tflite: --float16 with the format litert, expected --format onnx or coreml");
    insta::assert_snapshot!(said("--out a.pte --image-input"), @"2 error: a.pte: --image-input with the format executorch, expected --format coreml");
    insta::assert_snapshot!(said("--out a.mlpackage --dynamic-batch"), @"2 error: a.mlpackage: --dynamic-batch with the format coreml, expected --format onnx");
    insta::assert_snapshot!(said("--out a.pte --batch 2"), @"2 error: a.pte: --batch with the format executorch, expected --format onnx");
    insta::assert_snapshot!(said("--out - --format litert"), @"2 error: -: standard output, expected a name: a report is written beside the file");
    insta::assert_snapshot!(said("--out no/a.pte"), @"2 error: no/a.pte: its folder is not there, expected a place for the file");
    insta::assert_snapshot!(said("--out folder.pte"), @"2 error: folder.pte: a folder, expected a place for the file");
    insta::assert_snapshot!(said("--out folder.mlpackage"), @"2 error: folder.mlpackage: no package of Core ML, expected one to replace, or nothing");
    assert!(!dir.path().join("started").exists());
}

#[test]
fn a_converter_that_fails_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let failing = [
        (
            "echo Traceback >&2; echo 'ValueError: no conversion of x' >&2; echo >&2; exit 1",
            "ValueError: no conversion of x",
        ),
        ("exit 7", "exit status: 7"),
        ("kill -9 $$", "signal: 9 (SIGKILL)"),
    ];
    for (script, why) in failing {
        let (code, said) = run(with_stand_in(dir.path(), script), &format!("{EXPORT} --out a.pte"));
        assert_eq!((code, &*said), (1, &*format!("error: a.pte: the conversion failed: {why}; no file was written")));
    }
    let (code, said) = run(with_stand_in(dir.path(), "exit 0"), &format!("{EXPORT} --out a.pte"));
    assert_eq!(code, 1);
    assert!(said.starts_with("error: a.pte: the conversion ended without a report"), "{said}");
    assert!(!dir.path().join("a.pte").exists());
}

#[test]
fn a_file_with_other_logits_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a.tflite"), "older").unwrap();
    // 1e-4 of the spread is the bound in float32, 1e-2 in float16; what is no number stands as 1e30.
    let cases = [("a.tflite", "0.21"), ("a.tflite", "1.01e-4"), ("b.mlpackage --float16", "0.0101"), ("c.pte", "1e30")];
    for (out, difference) in cases {
        let script =
            converts("mkdir made.mlpackage; touch made.mlpackage/Manifest.json; echo new > made.tflite", difference);
        let (code, said) = run(with_stand_in(dir.path(), &script), &format!("{EXPORT} --out {out}"));
        assert_eq!(code, 1, "{said}");
        let (what, bound) = ("the logits of the file differ from PyTorch's by", "no file was written");
        assert!(said.contains(what) && said.contains("on Shell 2") && said.ends_with(bound), "{said}");
        let name = out.split(' ').next().unwrap();
        assert!(!at(&format!("{name}.json")).exists() && !at("b.mlpackage").exists() && !at("c.pte").exists());
    }
    assert_eq!(fs::read_to_string(at("a.tflite")).unwrap(), "older");
}

#[test]
fn a_file_that_holds_is_written_with_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let script = converts("echo new > made.tflite", "1e-4");
    let (code, said) = run(with_stand_in(dir.path(), &script), &format!("{EXPORT} --out a.tflite"));
    insta::assert_snapshot!(format!("{code} {said}"), @"0 mobilenetv3_small_100 at 32 px, 5 classes, untrained, batch norms folded: float32, 4 bytes written to a.tflite by stand-in 1; on Shell 2 its logits differ from PyTorch's by 1.0e-4 of their spread on 10 images, a.tflite.json");
    assert_eq!(fs::read_to_string(at("a.tflite")).unwrap(), "new\n");
    let listed = fs::read_to_string(at("listed")).unwrap();
    for file in ["convert.py", "to_litert.py", "mobilenetv3_small_100.py", "mobilenetv3_small_100.safetensors"] {
        assert!(listed.lines().any(|l| l == file), "{listed}");
    }
    let read = |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(at(name)).unwrap()).unwrap() };
    let report = read("a.tflite.json");
    assert_eq!(
        (&report["format"], &report["bytes"], &report["precision"]),
        (&json!("litert"), &json!(4), &json!("float32"))
    );
    assert_eq!((&report["highest_rank"], &report["comparison"]["tolerance"]), (&json!(4), &json!(1e-4)));
    assert_eq!(report["input"]["shape"], json!([1, 3, 32, 32]));
    let job = read("job.json");
    assert_eq!((&job["side"], &job["classes"], &job["float16"]), (&json!([32, 32]), &json!(5), &json!(false)));

    // A package replaces one; float16 may differ by more.
    for text in ["old", "new"] {
        let script = converts(
            &format!(
                "mkdir -p made.mlpackage/Data; echo {text} > made.mlpackage/Data/{text}; echo {{}} > made.mlpackage/Manifest.json"
            ),
            "9e-3",
        );
        let (code, said) =
            run(with_stand_in(dir.path(), &script), &format!("{EXPORT} --out b.mlpackage --float16 --image-input"));
        assert_eq!(code, 0, "{said}");
    }
    assert!(at("b.mlpackage/Data/new").exists() && !at("b.mlpackage/Data/old").exists());
    assert_eq!(read("b.mlpackage.json")["input"]["name"], json!("image"));
    assert_eq!((&read("job.json")["image"], &read("job.json")["mean"]), (&json!(true), &json!([0.485, 0.456, 0.406])));
    let hidden =
        fs::read_dir(dir.path()).unwrap().filter(|e| e.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
    assert_eq!(hidden.count(), 0, "what was prepared beside the package is gone");
}

/// A network of each family by one route. Weights of a network as it begins would let a comparison see little, since
/// layer scales begin near 0.
fn convert_every_family(ending: &str, flags: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    for family in FAMILIES {
        let id = smallest(*family);
        let graph = families::plan(id, None, 1000).unwrap().lower().unwrap();
        let net = steady::network(&graph.into(), &Formula::of(id)).unwrap();
        weights::save(&dir.path().join("w.safetensors"), &net.named(), &Default::default()).unwrap();
        let out = format!("{id}.{ending}");
        let args = format!("weights export --model {id} --weights w.safetensors --out {out}{flags}");
        let (code, said) = run(program(dir.path()), &args);
        println!("{said}");
        if code != 0 {
            failed.push(said);
            continue;
        }
        let text = fs::read_to_string(dir.path().join(format!("{out}.json"))).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert!(report["highest_rank"].as_u64().is_some_and(|rank| rank <= 4), "{id}: {report:#}");
        assert!(report["comparison"]["between_images"].as_f64().is_some_and(|b| b > 0.01), "{id}: {report:#}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The variant with the fewest parameters.
fn smallest(family: &dyn Family) -> &'static str {
    let graph = |id: &str| families::plan(id, None, 1000).unwrap().lower().unwrap();
    let parameters = |id: &&str| graph(id).params().iter().map(|p| p.elements()).sum::<u64>();
    family.variants().iter().map(|v| v.id).min_by_key(parameters).unwrap()
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_coreml_of_every_family() {
    convert_every_family("mlpackage", "");
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_coreml_in_float16_of_images_of_every_family() {
    convert_every_family("mlpackage", " --float16 --image-input");
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_executorch_of_every_family() {
    convert_every_family("pte", "");
}

#[test]
#[ignore = "needs the converters that `cargo xtask setup --phones` fetches"]
fn phones_python_litert_of_every_family() {
    convert_every_family("tflite", "");
}
