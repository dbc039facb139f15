//! `mobilenas report`: what it writes of a run that goes on, and what it says of what is no run.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::common::{output, program};

/// The first rows of a run: its header, a caveat, and a row that is being written.
const BEGUN: &str = r#"{"run":{"format":1,"name":"begun","program":"0.1.0","started_unix":1,"config_digest":"d","seed":3,"family":"mobilevit_v1","strategy":"random","space_size":9.0,"params_range":[1,2],"macs_range":[3,4],"dataset":{"name":"made","train":10,"search_val":5,"test":5,"classes":10},"host":{"cpu":"a","cores":2,"memory":1,"os":"b"},"engine":{"name":"libtorch","version":"2","precision":"float32","threads":1,"batch":1,"protocol":"p"},"mes":{"score":100.0,"unit_params":3000000.0,"alpha_params":0.5,"alpha_latency":1.0,"reference_units":0.9}}}
{"caveat":{"text":"A caveat."}}
{"trial":{"id":0,"orig"#;

fn report(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = program(dir);
    command.arg("report").args(args);
    output(command)
}

#[test]
fn a_run_that_goes_on_has_its_report() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("a/journal.jsonl"), BEGUN).unwrap();
    let (code, said, _) = report(dir.path(), &["a"]);
    assert_eq!((code, said.lines().next()), (0, Some("report: a/report/index.html")));
    let page = fs::read_to_string(dir.path().join("a/report/index.html")).unwrap();
    assert!(page.contains("A caveat.") && page.contains("is cut off") && page.contains("not finished"));
    // Elsewhere, and with itself: two runs of one name.
    let (code, ..) = report(dir.path(), &["a", "--out", "b"]);
    assert!(code == 0 && dir.path().join("b/report/index.html").exists());
    let (code, said, _) = report(dir.path(), &["a", "a", "--out", "both"]);
    assert_eq!((code, said.lines().next()), (0, Some("report: both/index.html")));
    assert!(fs::read_to_string(dir.path().join("both/index.html")).unwrap().contains("begun (2)"));
    assert_eq!(fs::read_to_string(dir.path().join("a/journal.jsonl")).unwrap(), BEGUN, "the journal is left alone");
}

#[test]
fn what_is_no_run_is_told() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("a/journal.jsonl"), BEGUN).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("empty/journal.jsonl"), "").unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut told = String::new();
    for args in [&["none"][..], &["empty"], &["a", "a"], &["a", "--out", "file"]] {
        let (code, said, why) = report(dir.path(), args);
        assert!(said.is_empty(), "{said}");
        told += &format!("{} -> {code}: {why}", args.join(" "));
    }
    insta::assert_snapshot!(told, @r#"
    none -> 2: error: none/journal.jsonl: could not be read: No such file or directory (os error 2); expected the journal of a run
    empty -> 2: error: empty/journal.jsonl:1: the journal is empty; expected the first line to be the row {"run": {...}}
    a a -> 2: error: --out: not given, expected the folder to write the page over 2 runs into
    a --out file -> 1: error: file: could not be written: File exists (os error 17); expected a folder that can be written to
    "#);
}
