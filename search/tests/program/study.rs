//! A whole study on tiny data: its rows, the same after being killed, and what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use mobilenas_reports::study::{Condition, NetworkOrigin, Study, fidelities};
use serde_json::Value;

use crate::common::{assert_same_rows, kill_at, program_with_data, ran, rows, signal, succeed, wait_for};

const TINY: &str = "tests/configs/study/tiny.yaml";

fn study(out: &Path, resume: bool) -> Command {
    of(Path::new(TINY), out, resume)
}

fn of(config: &Path, out: &Path, resume: bool) -> Command {
    let mut c = program_with_data(Path::new(env!("CARGO_MANIFEST_DIR")));
    c.arg("study").arg(config).arg("--out").arg(out).args(resume.then_some("--resume"));
    c
}

/// Rows of a kind so far.
fn count(file: &Path, kind: &str) -> usize {
    rows(file).iter().filter(|r| r.get(kind).is_some()).count()
}

/// Every part of the tiny study is there, once.
fn check_rows(s: &Study) {
    let of = |o: NetworkOrigin| s.networks.iter().filter(|n| n.origin == o).count();
    let variants = of(NetworkOrigin::Published);
    assert_eq!((of(NetworkOrigin::Drawn), of(NetworkOrigin::Found)), (4, 1));
    assert!(variants >= 1);
    let digests: BTreeSet<&str> =
        s.networks.iter().filter(|n| n.origin == NetworkOrigin::Drawn).map(|n| n.digest.as_str()).collect();
    assert_eq!(digests.len(), 4, "drawn networks differ");
    let compared = s.networks.iter().filter(|n| n.origin != NetworkOrigin::Drawn);
    assert!(compared.clone().all(|n| n.latency.as_ref().is_some_and(|l| l.median_ms > 0.0 && l.samples == 3)));
    // Two rules, with batch norms recalibrated, not recalibrated, and fine-tuned.
    assert_eq!(s.inherited.len(), 4 * 2 * 3);
    let of_condition = fidelities(s);
    assert_eq!(of_condition.len(), 6);
    assert!(of_condition.iter().all(|f| f.pairs.len() == 4));
    // Statistics make a difference: else recalibrating would not have happened, or tracking not.
    for rule in ["sandwich", "uniform"] {
        let tops = |recalibrated: bool| -> Vec<f64> {
            let is = |c: &Condition| c.rule == rule && c.recalibrated == recalibrated && c.finetune_steps == 0;
            let own = s.inherited.iter().filter(|i| is(&i.condition));
            own.filter_map(|i| i.metric("top1")).collect()
        };
        assert_ne!(tops(true), tops(false), "{rule}");
        let finetuned = s.inherited.iter().filter(|i| i.condition.rule == rule && i.condition.finetune_steps == 2);
        assert!(finetuned.clone().all(|i| i.seconds.is_some_and(|s| s > 0.0)));
        let tuned: Vec<f64> = finetuned.filter_map(|i| i.metric("top1")).collect();
        assert_eq!(tuned.len(), 4);
        assert_ne!(tops(true), tuned, "{rule}: two steps change the weights");
    }
    assert_eq!(s.retrained.len(), 4 * 2 + (1 + variants) * 2);
    assert!(s.retrained.iter().all(|r| r.seconds > 0.0 && (0.0..=100.0).contains(&r.metric("test_top1").unwrap())));
    let mut searches: Vec<(&str, u64)> = s.searches.iter().map(|s| (s.strategy.as_str(), s.seed)).collect();
    searches.sort_unstable();
    let strategies = ["mes_slimming", "mes_slimming(macs)", "random", "regularized_evolution"];
    assert_eq!(searches, strategies.iter().flat_map(|n| [(*n, 3), (*n, 4)]).collect::<Vec<_>>());
    for search in &s.searches {
        assert_eq!(search.volume.last().unwrap().0, 8, "{}", search.strategy);
        assert_eq!(search.cost.len(), search.volume.len());
        assert!(search.cost.is_sorted() && search.cost.last() == Some(&search.seconds), "{:?}", search.cost);
        assert!(search.volume.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{:?}", search.volume);
    }
    assert!(s.done.is_some());
}

#[test]
fn a_study_answers_and_killed_and_resumed_it_is_as_if_never_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let said = succeed(study(&whole, false));
    for part in [
        "rank fidelity, sandwich, recalibrated: Kendall's tau",
        "rank fidelity, uniform, not recalibrated: Kendall's tau",
        "rank fidelity, sandwich, fine-tuned for 2 steps: Kendall's tau",
        "rank fidelity, by size: Kendall's tau of MACs alone ",
        "trainings with 2 seeds of 4 networks: standard deviation ",
        "against random search, regularized_evolution: median hypervolume",
        "against random search, mes_slimming(macs): median hypervolume",
        "s of scoring, regularized_evolution: median hypervolume",
        "trained alike, found 1: test top-1",
        "report: ",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let read = Study::read(&whole).unwrap();
    assert!(read.caveats.iter().all(|c| !c.text.contains("line ")), "{:?}", read.caveats);
    check_rows(&read);
    let page = fs::read_to_string(whole.join("study/index.html")).unwrap();
    assert!(page.contains("Rank fidelity") && page.contains("Strategies against random search"));
    // A network is scored once, whoever asks for it.
    let scores = fs::read_to_string(whole.join("scores.jsonl")).unwrap();
    let digests: Vec<Value> =
        scores.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["digest"].clone()).collect();
    let distinct: BTreeSet<String> = digests.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), digests.len());
    assert!(digests.len() < 3 * 2 * 8, "strategies share scores: {}", digests.len());

    let (journal, scores) = (killed.join("study.jsonl"), killed.join("scores.jsonl"));
    kill_at(study(&killed, false), || killed.join("supernet-sandwich.checkpoint.safetensors").exists());
    kill_at(study(&killed, true), || count(&scores, "digest") >= 3);
    kill_at(study(&killed, true), || count(&journal, "retrained") >= 6);
    let again = ran(&mut study(&killed, false));
    assert_eq!(again.status.code(), Some(2), "a folder that is there is not written over");
    succeed(study(&killed, true));
    assert_same_rows(&journal, &whole.join("study.jsonl"), &[], "killed");
    // Done is done.
    let before = fs::read(&journal).unwrap();
    succeed(study(&killed, true));
    assert_eq!(fs::read(&journal).unwrap(), before);
}

/// Trainings side by side give the same rows in the same order, also where the study is stopped in the midst of them. A study of
/// two spaces is killed there.
#[test]
fn trainings_side_by_side_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY)).unwrap();
    let text = text.replace("  seeds: 2\n", "  seeds: 0\n");
    let text = text.replace("{rule: sandwich}, ", "").replace("rounds: 3", "rounds: 3\n  threads: 1");
    // Long enough to be stopped in their midst.
    let text = text.replace("subnet_epochs: 0.5", "subnet_epochs: 2").replace("retrain_seeds: 2", "retrain_seeds: 1");
    let config = |workers: usize| {
        // A study's name is its config's.
        let path = dir.path().join(workers.to_string()).join("side.yaml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("rounds: 3", &format!("rounds: 3\n  workers: {workers}"))).unwrap();
        path
    };
    let (one, several) = (dir.path().join("one"), dir.path().join("several"));
    succeed(of(&config(1), &one, false));
    let three = config(3);
    let begun = || {
        let files = fs::read_dir(several.join("training")).into_iter().flatten().flatten();
        files.filter(|f| f.file_name().to_string_lossy().contains(".checkpoint.")).count()
    };
    let journal = several.join("study.jsonl");
    let mut child = of(&three, &several, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut child, || begun() >= 2 && count(&journal, "retrained") < 4);
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begun() >= 1, "what was begun is kept");
    // Another number may go on.
    succeed(of(&config(2), &several, true));
    assert_same_rows(&journal, &one.join("study.jsonl"), &[], "side by side");
    let left: Vec<_> = fs::read_dir(several.join("training")).unwrap().flatten().map(|f| f.file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("outcome")), "{left:?}");
}
