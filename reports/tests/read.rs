//! Reading a run's folder: what a stopped or damaged run leaves behind is told, never hidden and never fatal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod synthetic;

use std::collections::BTreeMap;

use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::dominates_by;
use mobilenas_record::run::{Caveat, JournalRow, Retrained, TrialOutcome};
use mobilenas_reports::{Frame, ReportError, five_best, read};
use synthetic::{Plan, Random};

fn try_read(journal: &str) -> Result<Frame, ReportError> {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), journal);
    read(dir.path())
}

fn whole() -> (Vec<JournalRow>, String) {
    let rows = synthetic::rows(&Plan::default());
    let text = synthetic::text(&rows);
    (rows, text)
}

fn caveats(frame: &Frame) -> Vec<&str> {
    frame.caveats.iter().map(|c| c.text.as_str()).collect()
}

#[test]
fn all_rows_find_their_place() {
    let (rows, text) = whole();
    let frame = try_read(&text).unwrap();
    assert_eq!(frame.run, synthetic::header());
    assert_eq!(frame.trials.len(), 60);
    assert_eq!(frame.retrained.len(), 3);
    assert_eq!(caveats(&frame), ["The processor's clock could not be pinned."]);
    assert!(frame.unit.is_some() && frame.supernet.is_some() && frame.done.is_some());
    let counts = frame.counts();
    assert_eq!((counts.scored, counts.infeasible, counts.failed), (50, 5, 5));
    assert_eq!(rows.len(), 60 + 3 + 5);
}

#[test]
fn the_front_is_what_nothing_beats() {
    let frame = try_read(&whole().1).unwrap();
    let goals = [Goal::Maximize, Goal::Minimize];
    let at = |e: &mobilenas_reports::Entry| [metric::TOP1, metric::LATENCY].map(|m| e.metric(m).unwrap_or(f64::NAN));
    for entry in frame.trials.iter().filter(|e| e.is_scored()) {
        let beaten = frame.trials.iter().any(|other| other.is_scored() && dominates_by(&at(other), &at(entry), &goals));
        assert_eq!(entry.on_front, !beaten, "{}", entry.trial.id);
    }
    assert!(frame.trials.iter().filter(|e| !e.is_scored()).all(|e| !e.on_front && e.mes.is_none()));
    let tops: Vec<f64> = frame.front().iter().map(|e| e.metric(metric::TOP1).unwrap()).collect();
    assert!(tops.is_sorted_by(|a, b| a >= b));
}

#[test]
fn mes_needs_the_unit_and_follows_the_formula() {
    let (rows, text) = whole();
    let frame = try_read(&text).unwrap();
    for entry in frame.trials.iter().filter(|e| e.is_scored()) {
        let of = |m| entry.metric(m).unwrap();
        let expected = 100.0 * (of(metric::PARAMS) / 3e6).powf(-0.5) / (of(metric::LATENCY) / (11.84 / 0.9));
        assert!((entry.mes.unwrap() - expected).abs() < 1e-9);
    }
    let without: Vec<JournalRow> = rows.into_iter().filter(|r| !matches!(r, JournalRow::Unit(_))).collect();
    let frame = try_read(&synthetic::text(&without)).unwrap();
    assert!(frame.trials.iter().all(|e| e.mes.is_none()) && frame.unit_latency_ms().is_none());
    assert_eq!(five_best(&frame).len(), 5, "the front needs no MES");
}

#[test]
fn a_journal_cut_anywhere_is_read() {
    let plan = Plan { trials: 14, retrained: 1, ..Plan::default() };
    let text = synthetic::text(&synthetic::rows(&plan));
    let first = text.find('\n').unwrap();
    let dir = tempfile::tempdir().unwrap();
    let near_break = |cut: &usize| text[cut.saturating_sub(2)..(*cut + 2).min(text.len())].contains('\n');
    for cut in (first + 1..text.len()).filter(|cut| cut % 29 == 0 || near_break(cut)) {
        synthetic::write(dir.path(), &text[..cut]);
        let frame = read(dir.path()).unwrap();
        // A line without its line break is whole once its last brace is there.
        let is_whole = text[..cut].ends_with('\n') || text[cut..].starts_with('\n');
        assert_eq!(caveats(&frame).iter().any(|c| c.contains("the last, is cut off")), !is_whole, "cut at {cut}");
        let told = caveats(&frame).iter().filter(|c| c.contains("journal.jsonl")).count();
        assert_eq!(told, usize::from(!is_whole), "cut at {cut}");
    }
}

#[test]
fn damaged_lines_are_told_with_their_numbers() {
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
    let frame = read(dir.path()).unwrap();
    assert_eq!(frame.trials.len(), 55);
    insta::assert_snapshot!("damaged", caveats(&frame).join("\n"));
}

#[test]
fn many_damaged_lines_do_not_flood_the_caveats() {
    let (_, text) = whole();
    let frame = try_read(&(text + &"nonsense\n".repeat(500))).unwrap();
    assert_eq!(frame.caveats.len(), 1 + 20 + 1);
    assert_eq!(frame.caveats[21], Caveat { text: "journal.jsonl: 480 more damaged lines, left out".to_owned() });
}

#[test]
fn errors_say_which_file_what_and_what_was_expected() {
    let (_, text) = whole();
    let rest = text.split_once('\n').unwrap().1;
    let other = text.replacen("\"format\":1", "\"format\":2", 1);
    // Another format may have other fields: that must not come first.
    let changed = "{\"run\":{\"format\":\"seven\",\"title\":\"x\"}}\n";
    let damaged = "{\"run\":{\"format\":1}}\n";
    let journals = ["", "\n\n", rest, &text[..200], &other, changed, damaged, "{\"run\":{}}\n"];
    let mut told = String::new();
    for journal in journals {
        let error = try_read(journal).unwrap_err().to_string();
        let (_, from_name) = error.split_once("journal.jsonl").unwrap();
        told += &format!("journal.jsonl{from_name}\n");
    }
    insta::assert_snapshot!("errors", told);
    let missing = read(std::path::Path::new("/nowhere/at/all")).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/at/all/journal.jsonl: could not be read"), "{missing}");
}

#[test]
fn runs_without_a_score_are_frames_too() {
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
    let frame = try_read(&whole().1).unwrap();
    let best = five_best(&frame);
    assert!(best.is_sorted_by(|a, b| a.top1 >= b.top1));
    assert!(best.iter().all(|b| frame.trial(b.id).unwrap().on_front));
    let lines: Vec<String> = best.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("five_best", lines.join("\n"));
}

#[test]
fn retrainings_are_averaged_and_may_lack_their_trial() {
    let (mut rows, _) = whole();
    let of = |trial, top1: f64| {
        let metrics = BTreeMap::from([(metric::TEST_TOP1.to_owned(), top1)]);
        JournalRow::Retrained(Retrained { trial, digest: "d".to_owned(), seed: 1, epochs: 2.0, metrics, seconds: 3.0 })
    };
    rows.extend([of(4, 80.0), of(4, 81.0), of(999, 50.0)]);
    let frame = try_read(&synthetic::text(&rows)).unwrap();
    assert_eq!(frame.retrained_test_top1(4), Some(80.5));
    assert_eq!(frame.retrained_test_top1(999), Some(50.0));
    assert_eq!(frame.retrained_test_top1(5), None);
    assert!(frame.trial(999).is_none());
}
