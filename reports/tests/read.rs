//! Reading a run's folder: what a stopped or damaged run leaves behind is reported, and never fatal.

use crate::synthetic;

use std::collections::BTreeMap;

use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::dominates_by;
use mobilenas_record::run::{Caveat, JournalRow, Retrained, TrialOutcome};
use mobilenas_reports::{ReportError, RunData, RunTrial, five_best, read};
use synthetic::{Random, SyntheticRun};

fn try_read(journal: &str) -> Result<RunData, ReportError> {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), journal);
    read(dir.path())
}

fn whole() -> (Vec<JournalRow>, String) {
    let rows = synthetic::rows(&SyntheticRun::default());
    let text = synthetic::text(&rows);
    (rows, text)
}

fn caveats(run: &RunData) -> Vec<&str> {
    run.caveats.iter().map(|c| c.text.as_str()).collect()
}

#[test]
fn all_rows_find_their_place() {
    let (rows, text) = whole();
    let run = try_read(&text).unwrap();
    assert_eq!(run.header, synthetic::header());
    assert_eq!(run.trials.len(), 60);
    assert_eq!(run.retrained.len(), 3);
    assert_eq!(caveats(&run), ["The processor's clock could not be pinned."]);
    assert!(run.unit.is_some() && run.supernets.len() == 1 && run.done.is_some());
    let counts = run.counts();
    assert_eq!((counts.scored, counts.infeasible, counts.failed), (50, 5, 5));
    assert_eq!(rows.len(), 60 + 3 + 5);
}

#[test]
fn no_trial_dominates_the_front() {
    let run = try_read(&whole().1).unwrap();
    let goals = [Goal::Maximize, Goal::Minimize];
    let at = |e: &RunTrial| [metric::TOP1, metric::LATENCY].map(|m| e.metric(m).unwrap_or(f64::NAN));
    for entry in run.scored() {
        let dominated = run.scored().any(|other| dominates_by(&at(other), &at(entry), &goals));
        assert_eq!(entry.on_front, !dominated, "{}", entry.trial.id);
    }
    assert!(run.trials.iter().filter(|e| !e.is_scored()).all(|e| !e.on_front && e.mes.is_none()));
    let tops: Vec<f64> = run.front().iter().map(|e| e.metric(metric::TOP1).unwrap()).collect();
    assert!(tops.is_sorted_by(|a, b| a >= b));
}

#[test]
fn mes_needs_the_unit_and_follows_the_formula() {
    let (rows, text) = whole();
    let run = try_read(&text).unwrap();
    for entry in run.scored() {
        let of = |m| entry.metric(m).unwrap();
        let expected = 100.0 * (of(metric::PARAMS) / 3e6).powf(-0.5) / (of(metric::LATENCY) / (11.84 / 0.9));
        assert!((entry.mes.unwrap() - expected).abs() < 1e-9);
    }
    let without: Vec<JournalRow> = rows.into_iter().filter(|r| !matches!(r, JournalRow::Unit(_))).collect();
    let run = try_read(&synthetic::text(&without)).unwrap();
    assert!(run.trials.iter().all(|e| e.mes.is_none()) && run.unit_latency_ms().is_none());
    assert_eq!(five_best(&run).len(), 5, "the front needs no MES");
}

#[test]
fn a_journal_cut_anywhere_is_read() {
    let plan = SyntheticRun { trials: 14, retrained: 1, ..SyntheticRun::default() };
    let text = synthetic::text(&synthetic::rows(&plan));
    let first = text.find('\n').unwrap();
    let dir = tempfile::tempdir().unwrap();
    let near_break = |cut: &usize| text[cut.saturating_sub(2)..(*cut + 2).min(text.len())].contains('\n');
    for cut in (first + 1..text.len()).filter(|cut| cut % 29 == 0 || near_break(cut)) {
        synthetic::write(dir.path(), &text[..cut]);
        let run = read(dir.path()).unwrap();
        // A line without its line break is whole once its last brace is there.
        let is_whole = text[..cut].ends_with('\n') || text[cut..].starts_with('\n');
        assert_eq!(caveats(&run).iter().any(|c| c.contains("the last, is cut off")), !is_whole, "cut at {cut}");
        let told = caveats(&run).iter().filter(|c| c.contains("journal.jsonl")).count();
        assert_eq!(told, usize::from(!is_whole), "cut at {cut}");
    }
}

#[test]
fn damaged_lines_are_reported_with_their_numbers() {
    let (_, text) = whole();
    let mut lines: Vec<Vec<u8>> = text.lines().map(|l| l.as_bytes().to_vec()).collect();
    lines[9] = b"\xff\xfe not text".to_vec();
    lines[19] = b"{\"trial\": {\"id\": 3}}".to_vec();
    lines[29] = b"{\"hologram\": {}}".to_vec();
    lines[39] = lines[38].clone();
    lines[49] = lines[0].clone();
    lines.insert(55, Vec::new());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal.jsonl"), [lines.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
    let run = read(dir.path()).unwrap();
    assert_eq!(run.trials.len(), 55);
    insta::assert_snapshot!("damaged", caveats(&run).join("\n"));
}

#[test]
fn many_damaged_lines_do_not_flood_the_caveats() {
    let (_, text) = whole();
    let run = try_read(&(text + &"nonsense\n".repeat(500))).unwrap();
    assert_eq!(run.caveats.len(), 1 + 20 + 1);
    assert_eq!(run.caveats[21], Caveat { text: "journal.jsonl: 480 more damaged lines, left out".to_owned() });
}

#[test]
fn errors_say_which_file_what_and_what_was_expected() {
    let (_, text) = whole();
    let rest = text.split_once('\n').unwrap().1;
    let other = text.replacen("\"format\":1", "\"format\":2", 1);
    // Another format may have other fields: the format is checked first.
    let changed = "{\"run\":{\"format\":\"seven\",\"title\":\"x\"}}\n";
    let damaged = "{\"run\":{\"format\":1}}\n";
    let journals = ["", "\n\n", rest, &text[..200], &other, changed, damaged, "{\"run\":{}}\n"];
    let mut messages = String::new();
    for journal in journals {
        let error = try_read(journal).unwrap_err().to_string();
        let (_, from_name) = error.split_once("journal.jsonl").unwrap();
        messages += &format!("journal.jsonl{from_name}\n");
    }
    insta::assert_snapshot!("errors", messages);
    let missing = read(std::path::Path::new("/nowhere/at/all")).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/at/all/journal.jsonl: could not be read"), "{missing}");
}

#[test]
fn runs_without_a_score_are_read_too() {
    let header = JournalRow::Run(Box::new(synthetic::header()));
    let empty = try_read(&synthetic::text(std::slice::from_ref(&header))).unwrap();
    assert!(empty.trials.is_empty() && empty.front().is_empty() && five_best(&empty).is_empty());

    let mut rows = vec![header, synthetic::unit()];
    rows.extend((0..9).map(|id| {
        let mut trial = synthetic::trial(id, None, &mut Random(id));
        trial.outcome = TrialOutcome::Failed { why: "no memory".to_owned() };
        JournalRow::Trial(trial)
    }));
    let failed = try_read(&synthetic::text(&rows)).unwrap();
    assert_eq!(failed.counts().failed, 9);
    assert!(failed.front().is_empty() && five_best(&failed).is_empty());
}

#[test]
fn the_five_best_are_of_the_front_by_top1() {
    let run = try_read(&whole().1).unwrap();
    let best = five_best(&run);
    insta::assert_snapshot!("five_best", best.join("\n"));
    let ids: Vec<String> = run.front().iter().take(5).map(|t| format!("#{} ", t.trial.id)).collect();
    assert!(best.iter().zip(&ids).all(|(line, id)| line.trim_start().starts_with(id.as_str())), "{best:?}");
}

#[test]
fn retrainings_are_averaged_and_may_lack_their_trial() {
    let (mut rows, _) = whole();
    let of = |trial, top1: f64| {
        let metrics = BTreeMap::from([(metric::TEST_TOP1.to_owned(), top1)]);
        JournalRow::Retrained(Retrained {
            trial,
            digest: "d".to_owned(),
            seed: 1,
            epochs: 2.0,
            metrics,
            seconds: 3.0,
            inherited: false,
        })
    };
    rows.extend([of(4, 80.0), of(4, 81.0), of(999, 50.0)]);
    let run = try_read(&synthetic::text(&rows)).unwrap();
    assert_eq!(run.test_accuracy(4), Some(80.5));
    assert_eq!(run.test_accuracy(999), Some(50.0));
    assert_eq!(run.test_accuracy(5), None);
    assert!(run.trial(999).is_none());
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/v1").join(name)
}

/// The quickstart's run as a program wrote it before metrics had their table: a journal of format 1.
#[test]
fn a_run_of_format_1_is_read() {
    let run = read(&fixture("run")).unwrap();
    assert_eq!(run.header.format, 1);
    assert_eq!((run.trials.len(), run.retrained.len(), run.caveats.len()), (43, 2, 4));
    assert!(run.done.is_some() && run.unit.is_some() && run.supernets.len() == 1);
    // What that program's own table says.
    let front: Vec<_> = run.front().iter().map(|t| (t.trial.id, t.metric(metric::TOP1).unwrap())).collect();
    assert_eq!(
        front,
        [
            (2, 84.42),
            (27, 80.88),
            (12, 80.44),
            (21, 80.24),
            (39, 79.2),
            (15, 78.6),
            (42, 78.2),
            (18, 78.06),
            (14, 77.24),
            (37, 76.6)
        ]
    );
    assert_eq!((run.test_accuracy(12), run.test_accuracy(32)), (Some(88.8), Some(89.15)));
    let answer = mobilenas_reports::answer::answer(&run);
    let dominates = "#32 (81.14 %, 2.11 M MACs) dominates mobilevit_xs (80.54 %, 2.23 M MACs)";
    assert!(answer.sentence.contains(dominates), "{answer:?}");
    for words in ["dominates mobilevit_s (84.42 %, 4.01 M MACs)", "#32 reaches 89.15 % ("] {
        assert!(answer.details.contains(words), "{answer:?}");
    }
}

/// A run with these networks, each with its inherited top-1, latency in ms, and the test top-1 of its trainings.
fn answer_of(networks: &[(Option<&str>, f64, f64, &[f64])]) -> mobilenas_reports::answer::Answer {
    let mut rows = vec![JournalRow::Run(Box::new(synthetic::header()))];
    let mut random = Random(3);
    let mut trainings = Vec::new();
    for (id, (variant, top1, latency, trained)) in (0u64..).zip(networks) {
        let mut trial = synthetic::trial(id, *variant, &mut random);
        let metrics = [(metric::TOP1, *top1), (metric::LATENCY, *latency)].map(|(k, v)| (k.to_owned(), v));
        trial.outcome = TrialOutcome::Scored(BTreeMap::from(metrics));
        trainings.extend(trained.iter().map(|top1| {
            let metrics = BTreeMap::from([(metric::TEST_TOP1.to_owned(), *top1)]);
            let digest = trial.digest.clone();
            JournalRow::Retrained(Retrained {
                trial: id,
                digest,
                seed: 1,
                epochs: 2.0,
                metrics,
                seconds: 3.0,
                inherited: false,
            })
        }));
        rows.push(JournalRow::Trial(trial));
    }
    rows.extend(trainings);
    mobilenas_reports::answer::answer(&try_read(&synthetic::text(&rows)).unwrap())
}

#[test]
fn the_answer_is_which_variant_a_network_dominates_when_both_are_trained_alike() {
    let (s, xs) = (Some("mobilevit_s"), Some("mobilevit_xs"));
    // #3 is ahead of both variants and cheaper; #2 costs more than either.
    let found: [(Option<&str>, f64, f64, &[f64]); 2] =
        [(None, 83.0, 9.0, &[95.0, 95.2]), (None, 79.0, 3.0, &[91.0, 91.4])];
    let both = answer_of(&[(s, 80.0, 6.0, &[90.0, 90.2]), (xs, 78.0, 4.0, &[89.0, 89.2]), found[0], found[1]]);
    assert_eq!(
        both.sentence,
        "Trained alike, #3 (91.20 % (90.92 to 91.48), 3.00 ms) dominates mobilevit_s (90.10 % (89.96 to 90.24), \
         6.00 ms) in test top-1 outside the error bars; 2 of 2 variants are dominated."
    );
    assert!(both.details.starts_with("With inherited weights: found networks dominate 1 of 2 "), "{both:?}");
    let one = answer_of(&[(s, 80.0, 6.0, &[91.2, 91.4]), (xs, 78.0, 4.0, &[89.0, 89.2]), found[0], found[1]]);
    assert_eq!(
        one.sentence,
        "Trained alike, #3 (91.20 % (90.92 to 91.48), 3.00 ms) dominates mobilevit_xs (89.10 % (88.96 to 89.24), \
         4.00 ms) in test top-1 outside the error bars."
    );
    // Ahead, but the error bars touch.
    let none = answer_of(&[(s, 80.0, 6.0, &[91.0, 91.2]), (xs, 78.0, 4.0, &[91.2, 91.4]), found[0], found[1]]);
    assert_eq!(
        none.sentence,
        "Trained alike, no found network dominates any of the 2 published variants in test top-1 outside the error \
         bars: #3 (91.20 % (90.92 to 91.48), 3.00 ms) stands against mobilevit_s (91.10 % (90.96 to 91.24), 6.00 ms)."
    );
    // The only network that was trained costs more than the only variant.
    let dear = answer_of(&[(s, 80.0, 6.0, &[90.0, 90.2]), found[0]]);
    assert_eq!(
        dear.sentence,
        "Trained alike, no found network dominates mobilevit_s in test top-1 outside the error bars: the most \
         accurate one, #1 (95.10 % (94.96 to 95.24), 9.00 ms), costs more."
    );
    // No variant was trained: inherited weights are the answer.
    let found_only = answer_of(&[(s, 80.0, 6.0, &[]), found[1]]);
    assert!(found_only.sentence.starts_with("No found network dominates a published variant in "), "{found_only:?}");
    assert!(found_only.details.ends_with("#1 reaches 91.20 % (90.92 to 91.48) test top-1, trained from scratch."));
}
