//! Batch norms of a supernet kept apart by width: trained, scored with their own statistics or recalibrated ones.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{program_with_data, ran, rows_of};

/// The tiny search with batch norms per width, nothing retrained, one kind of statistics.
fn config(statistics: &str) -> String {
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/tiny.yaml");
    let text = fs::read_to_string(tiny).unwrap();
    let text = text.replace("supernet: {", "supernet: {batch_norms: per_width, ");
    let text = text.replace("scoring: {", &format!("scoring: {{statistics: {statistics}, "));
    text.replace("epochs: 1", "epochs: 0.5")
        .replace("resolution: [16, 24]", "resolution: [16]")
        .replace("retrain: {best: 2", "retrain: {best: 0")
        .replace("trials: 8", "trials: 4")
}

fn search(dir: &Path, name: &str, text: &str) -> Output {
    let file = format!("{name}.yaml");
    fs::write(dir.join(&file), text).unwrap();
    ran(program_with_data(dir).args(["search", &file, "--out", name]))
}

fn top1(run: &Path) -> Vec<f64> {
    rows_of(run, "trial").iter().filter_map(|t| t.pointer("/outcome/scored/top1").and_then(Value::as_f64)).collect()
}

#[test]
fn candidates_are_scored_with_statistics_of_their_widths_or_recalibrated_ones() {
    let dir = tempfile::tempdir().unwrap();
    let done = |statistics: &str| {
        let out = search(dir.path(), statistics, &config(statistics));
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        (
            fs::read(dir.path().join(statistics).join("supernet.safetensors")).unwrap(),
            top1(&dir.path().join(statistics)),
        )
    };
    let (trained, recalibrated) = (done("trained"), done("recalibrated"));
    let tensors = String::from_utf8_lossy(&trained.0[..200_000]).into_owned();
    assert!(tensors.contains("bn.running_mean@"), "no statistics of a width");
    assert!(trained.1.len() >= 4 && trained.1.len() == recalibrated.1.len(), "{:?} {:?}", trained.1, recalibrated.1);
    // The same networks and weights, other statistics.
    assert_ne!(trained.1, recalibrated.1);
    assert!(trained.1.iter().all(|t| (0.0..=100.0).contains(t)));
}

#[test]
fn statistics_of_training_need_batch_norms_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let out = search(dir.path(), "c", &config("trained").replace("batch_norms: per_width, ", ""));
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let words = "scoring.statistics: found trained, expected recalibrated unless supernet.batch_norms is per_width";
    assert!(said.contains(words), "{said}");
}
