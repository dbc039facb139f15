//! Studies on workers and on several ranks. Scores, and trainings on workers, are those of one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{assert_same_rows, comparable, kill_at, program_with_data, rows, said, start_on_ranks, succeed};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/configs/study/tiny.yaml");

/// A short study, with what it says of workers.
fn config(dir: &Path, workers: &str) {
    let text = fs::read_to_string(TINY).unwrap().replace("threads: 2", "threads: 1");
    let text = text.replace("\n  seeds: 2\n  retrain_seeds: 2", "\n  seeds: 1\n  retrain_seeds: 0");
    let text = text.replace("subnet_seeds: 2", "subnet_seeds: 1");
    fs::write(dir.join("study.yaml"), format!("{text}{workers}\n")).unwrap();
}

fn study(dir: &Path) -> (Command, PathBuf) {
    let (mut c, out) = (program_with_data(dir), dir.join("a/study"));
    c.args(["study", "study.yaml", "--out"]).arg(&out).args(out.exists().then_some("--resume"));
    (c, out)
}

#[test]
#[ignore = "four studies take minutes"]
fn cluster_studies_on_workers_and_ranks_score_as_one_process() {
    let dirs: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    config(dirs[0].path(), "");
    let (c, alone) = study(dirs[0].path());
    succeed(c);
    // Killed while its networks are scored, then while they are trained.
    config(dirs[1].path(), "workers: {count: 2, launch: [env]}");
    let (c, on_workers) = study(dirs[1].path());
    let count =
        |file: &str, kind: &str| rows(&on_workers.join(file)).iter().filter(|row| row.get(kind).is_some()).count();
    kill_at(c, || count("study.jsonl", "inherited") >= 3);
    kill_at(study(dirs[1].path()).0, || count("study.jsonl", "retrained") >= 2);
    kill_at(study(dirs[1].path()).0, || count("scores.jsonl", "digest") >= 2);
    succeed(study(dirs[1].path()).0);
    for file in ["study.jsonl", "scores.jsonl"] {
        assert_same_rows(&on_workers.join(file), &alone.join(file), &[], file);
    }
    on_ranks(dirs[2].path(), &alone);
}

/// Goes on from the supernets of a study: trainings by several ranks are others than by one, scores are not.
fn on_ranks(dir: &Path, alone: &Path) {
    config(dir, "");
    let out = dir.join("a/study");
    fs::create_dir_all(&out).unwrap();
    for file in ["config.yaml", "supernet-sandwich.safetensors", "supernet-uniform.safetensors"] {
        fs::copy(alone.join(file), out.join(file)).unwrap();
    }
    let journal = fs::read_to_string(alone.join("study.jsonl")).unwrap();
    let before: String = journal.split_inclusive('\n').take_while(|l| !l.starts_with("{\"inherited\"")).collect();
    fs::write(out.join("study.jsonl"), before).unwrap();
    for (rank, child) in start_on_ranks(2, || study(dir).0).into_iter().enumerate() {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "rank {rank}: {}", said(&ended));
    }
    let scored = |study: &Path| {
        let mut all = comparable(&study.join("study.jsonl"), &[]);
        let steps = |row: &serde_json::Value| row["inherited"]["condition"]["finetune_steps"].as_u64().unwrap_or(0);
        all.retain(|row| (row.get("inherited").is_some() && steps(row) == 0) || row.get("search").is_some());
        all
    };
    assert!(scored(&out).len() > 16 && scored(&out) == scored(alone), "{:#?}\n{:#?}", scored(&out), scored(alone));
    assert_same_rows(&out.join("scores.jsonl"), &alone.join("scores.jsonl"), &[], "ranks");
}
