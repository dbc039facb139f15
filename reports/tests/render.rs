//! Whole runs, from the journal to the files.

use crate::synthetic;

use std::time::Instant;

use mobilenas_record::run::{Caveat, JournalRow, Origin, SpaceHeader, TrialOutcome};
use mobilenas_reports::{compare, page, read, render};
use synthetic::{Random, SyntheticRun, files, keep};

fn rendered(rows: &[JournalRow]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(rows));
    let written = render(&read(dir.path()).unwrap(), dir.path()).unwrap();
    let page = std::fs::read_to_string(&written.index).unwrap();
    (dir, page)
}

/// The page's words: without style and plots, a line for each row of a table.
fn words(page: &str) -> String {
    let mut rest = page.to_owned();
    for (open, close) in
        [("<style", "</style>"), ("<noscript", "</noscript>"), ("<script", "</script>"), ("<svg", "</svg>")]
    {
        while let Some(start) = rest.find(open) {
            let end = start + rest[start..].find(close).unwrap() + close.len();
            rest.replace_range(start..end, "");
        }
    }
    let rest = rest.replace("</td>", " | ").replace("</th>", " | ").replace("</dt>", ": ").replace("<br>", "\n");
    let mut out = String::new();
    let mut inside = false;
    for c in rest.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The page without its published landscape, which is the same on every page.
fn without_landscape(page: &str) -> String {
    let (before, rest) = page.split_once("<section id=\"published\">").unwrap();
    before.to_owned() + rest.split_once("</section>").unwrap().1
}

/// A synthetic run over two spaces: every other trial is of the second. The published variants are of the first, and the
/// last of them of both.
fn rows_of_two_spaces() -> Vec<JournalRow> {
    let mut rows = synthetic::rows(&SyntheticRun::default());
    let spaces = ["narrow", "wide"].map(str::to_owned);
    let mut variants = Vec::new();
    for row in &mut rows {
        match row {
            JournalRow::Run(run) => {
                let space = |name: &String| SpaceHeader {
                    name: name.clone(),
                    family: run.family.clone(),
                    size: 1e6,
                    params_range: run.params_range,
                    macs_range: run.macs_range,
                    table: None,
                };
                run.spaces = spaces.iter().map(space).collect();
            }
            JournalRow::Supernet(supernet) => supernet.space = Some(spaces[0].clone()),
            JournalRow::Trial(t) => {
                let second = t.origin == Origin::Search && t.id % 2 == 1;
                t.space = Some(spaces[usize::from(second)].clone());
                if let Origin::Variant(name) = &t.origin {
                    variants.push((t.id, name.clone()));
                }
                if t.id == 21 {
                    (t.origin, t.space) =
                        (Origin::Variant(variants.last().unwrap().1.clone()), Some(spaces[1].clone()));
                }
            }
            _ => {}
        }
    }
    rows
}

#[test]
fn two_spaces_are_told_apart() {
    let (dir, page) = rendered(&rows_of_two_spaces());
    keep(dir.path(), "spaces");
    let run = read(dir.path()).unwrap();
    let each = run.by_space();
    assert_eq!(each.iter().map(|own| own.trials.len()).sum::<usize>(), run.trials.len());
    assert!(each.iter().all(
        |own| !own.trials.is_empty() && own.trials.iter().all(|t| t.trial.space.as_ref() == Some(&own.header.name))
    ));
    let title = |id: u64| run.title(run.trial(id).unwrap());
    assert_eq!((title(12), title(13)), ("#12 of narrow".to_owned(), "#13 of wide".to_owned()));
    let variants: Vec<String> = run.trials.iter().filter(|t| t.variant().is_some()).map(|t| run.title(t)).collect();
    // The one that both spaces hold is told apart; the others need no space.
    let twins = variants.iter().filter(|name| name.contains(" of ")).count();
    assert!(twins == 2 && variants.len() > 2, "{variants:?}");
    // The page: one plot with a colour for each space, tables of knobs for each, and what was searched.
    let said = words(&page);
    for expected in [
        "A search over 2 spaces (narrow with ",
        "Space narrow",
        "Space wide",
        "narrow: 12 epochs",
        "Spaces narrow, wide",
    ] {
        assert!(said.contains(expected), "{expected}");
    }
    assert!(
        page.contains("\"filter\":\"space\",\"families\":[\"narrow\",\"wide\"],\"colors\":[1,2]"),
        "no plot by space"
    );
    let csv = std::fs::read_to_string(dir.path().join("trials.csv")).unwrap();
    let column = csv.lines().next().unwrap().split(',').position(|name| name == "space").unwrap();
    let of = |space: &str| csv.lines().skip(1).filter(|l| l.split(',').nth(column) == Some(space)).count();
    assert_eq!([of("narrow"), of("wide")], [each[0].trials.len(), each[1].trials.len()]);
}

#[test]
fn a_whole_run() {
    let (dir, page) = rendered(&synthetic::rows(&SyntheticRun::default()));
    keep(dir.path(), "whole");
    let names: Vec<String> = files(dir.path()).into_iter().map(|(name, _)| name).collect();
    insta::assert_snapshot!("files", names.join("\n"));
    insta::assert_snapshot!("page", words(&page));
    insta::assert_snapshot!(
        "svg",
        String::from_utf8(std::fs::read(dir.path().join("report/retrained_latency.svg")).unwrap()).unwrap()
    );
    let names = page.matches("xmlns=\"http://").count() + page.matches("\"http://www.w3.org/2000/svg\";").count();
    assert_eq!(page.matches("://").count(), names, "the page opens without a network");
    assert!(!page.contains("<script src") && !page.contains("<link") && !page.contains("url("));
    assert!(page.contains("default-src 'none'") && page.contains("script-src 'sha256-"));
}

#[test]
fn a_run_that_just_began() {
    let (dir, page) = rendered(&[JournalRow::Run(Box::new(synthetic::header()))]);
    keep(dir.path(), "empty");
    insta::assert_snapshot!("page_empty", words(&without_landscape(&page)));
    assert!(
        page.contains("nothing to plot")
            && page.contains("scored no network yet")
            && !page.contains("id=\"trials\"")
            && !dir.path().join("report/pareto_latency.png").exists()
    );
}

#[test]
fn a_run_with_failed_trials_only() {
    let mut rows = vec![JournalRow::Run(Box::new(synthetic::header())), synthetic::unit()];
    rows.extend((0..9).map(|id| {
        let mut trial = synthetic::trial(id, None, &mut Random(id));
        trial.outcome = TrialOutcome::Failed { why: format!("no memory for {} GiB", id % 2) };
        JournalRow::Trial(trial)
    }));
    let (dir, page) = rendered(&rows);
    keep(dir.path(), "failed");
    insta::assert_snapshot!("page_failed", words(&without_landscape(&page)));
}

#[test]
fn one_scored_trial_and_one_absurd_number() {
    let mut rows = vec![JournalRow::Run(Box::new(synthetic::header())), synthetic::unit()];
    rows.push(JournalRow::Trial(synthetic::trial(0, None, &mut Random(3))));
    let mut absurd = synthetic::trial(1, Some("mobilevit_s"), &mut Random(4));
    if let TrialOutcome::Scored(metrics) = &mut absurd.outcome {
        metrics.insert("latency_ms".to_owned(), 1e300);
        metrics.insert("params".to_owned(), f64::MIN_POSITIVE);
    }
    rows.push(JournalRow::Trial(absurd));
    let (dir, page) = rendered(&rows);
    keep(dir.path(), "one");
    assert!(page.contains("<svg") && page.contains("1.00e300") && !page.contains("00000000000"));
}

#[test]
fn names_with_markup_do_no_harm() {
    let evil = "<script>alert('x')</script>\"onload=\"&amp;";
    let mut rows = synthetic::rows(&SyntheticRun::default());
    for row in &mut rows {
        match row {
            JournalRow::Run(run) => {
                for text in
                    [&mut run.name, &mut run.family, &mut run.strategy, &mut run.dataset.name, &mut run.host.cpu]
                {
                    *text = evil.to_owned();
                }
                run.host.os = evil.to_owned();
                run.engine.protocol = evil.to_owned();
                run.config_digest = evil.to_owned();
            }
            JournalRow::Trial(t) => {
                if t.id == 1 {
                    t.origin = Origin::Variant(evil.to_owned());
                }
                t.genome.insert(format!("k.{evil}"), 1);
                if let TrialOutcome::Failed { why } | TrialOutcome::Infeasible { why, .. } = &mut t.outcome {
                    *why = evil.to_owned();
                }
            }
            JournalRow::Caveat(c) => *c = Caveat { text: evil.to_owned() },
            _ => {}
        }
    }
    let (dir, page) = rendered(&rows);
    keep(dir.path(), "markup");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let (markdown, latex) = (read("report/table.md"), read("report/table.tex"));
    assert!(!markdown.contains("<script") && markdown.contains("&lt;script&gt;"), "{markdown}");
    assert!(latex.contains("\\&amp;") && !latex.contains(" & amp;"), "{latex}");
    // The landscape's data and the script; those of the trials stand in the first.
    assert_eq!(page.matches("<script").count(), 3);
    assert!(!page.contains("<script>alert") && !page.contains("\"onload=\""));
    for (name, bytes) in files(dir.path()).iter().filter(|(n, _)| n.ends_with(".svg")) {
        let svg = String::from_utf8(bytes.clone()).unwrap();
        assert!(!svg.contains("<script") && !svg.contains("\"onload=\""), "{name}");
    }
}

#[test]
fn the_same_journal_gives_the_same_bytes() {
    let rows = synthetic::rows(&SyntheticRun::default());
    let (first, _) = rendered(&rows);
    let (second, _) = rendered(&rows);
    let (a, b) = (files(first.path()), files(second.path()));
    assert_eq!(a.len(), b.len());
    for ((name, x), (_, y)) in a.iter().zip(&b) {
        assert!(x == y, "{name} differs");
    }
    // Over what is there already, too.
    render(&read(first.path()).unwrap(), first.path()).unwrap();
    assert!(files(first.path()) == b);
}

/// The registries of sections: a new section shows up here.
#[test]
fn sections_have_names_and_help() {
    let run = page::SECTIONS.iter().map(|s| ("run", s.name, s.heading, s.help));
    let study = page::STUDY_SECTIONS.iter().map(|s| ("study", s.name, s.heading, s.help));
    let several = page::COMPARE_SECTIONS.iter().map(|s| ("runs", s.name, s.heading, s.help));
    let all: Vec<_> = run.chain(study).chain(several).collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(|(page, name, ..)| (page, name)).collect();
    assert_eq!(names.len(), all.len());
    let lines: Vec<String> =
        all.iter().map(|(page, name, heading, help)| format!("{page} {name}: {heading}: {help}")).collect();
    insta::assert_snapshot!("sections", lines.join("\n"));
}

#[test]
fn candidates_scored_on_a_part_of_their_split_say_so() {
    let mut rows = synthetic::rows(&SyntheticRun { trials: 12, ..SyntheticRun::default() });
    if let JournalRow::Run(run) = &mut rows[0] {
        run.dataset.scored_on = Some(1234);
    }
    let (_, page) = rendered(&rows);
    assert!(page.contains("Top-1 on 1,234 images") && !page.contains("Top-1 on 5,000 images"));
    assert!(words(&page).contains("5,000 for search validation"));
}

#[test]
fn the_table_for_papers() {
    let rows = synthetic::rows(&SyntheticRun { trials: 20, retrained: 2, ..SyntheticRun::default() });
    let (dir, _) = rendered(&rows);
    let read = |name: &str| std::fs::read_to_string(dir.path().join("report").join(name)).unwrap();
    insta::assert_snapshot!("table_md", read("table.md"));
    insta::assert_snapshot!("table_tex", read("table.tex"));
}

/// A stopped, killed or damaged run has a page, which says so.
#[test]
fn damaged_journals_have_pages_that_say_so() {
    let whole = synthetic::text(&synthetic::rows(&SyntheticRun { done: false, ..SyntheticRun::default() }));
    let (cut, _) = whole.split_at(whole.len() - 40);
    let damaged = whole.replacen("\"macs\"", "macs", 3).replace("\"epochs\":12.0", "\"epochs\":NaN");
    for (journal, says) in
        [(cut, "is cut off"), (damaged.as_str(), "could not be read"), (whole.as_str(), "not finished")]
    {
        let dir = tempfile::tempdir().unwrap();
        synthetic::write(dir.path(), journal);
        let written = render(&read(dir.path()).unwrap(), dir.path()).unwrap();
        keep(dir.path(), &format!("damaged-{}", says.replace(' ', "-")));
        let page = std::fs::read_to_string(written.index).unwrap();
        assert!(words(&page).contains(says), "{says}");
    }
}

#[test]
fn runs_share_an_axis_only_where_their_numbers_are_comparable() {
    let run = |change: fn(&mut mobilenas_record::run::RunHeader)| {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = synthetic::rows(&SyntheticRun { trials: 20, ..SyntheticRun::default() });
        if let JournalRow::Run(run) = &mut rows[0] {
            change(run);
        }
        synthetic::write(dir.path(), &synthetic::text(&rows));
        read(dir.path()).unwrap()
    };
    let page = |runs: &[mobilenas_reports::RunData]| {
        let dir = tempfile::tempdir().unwrap();
        let written = compare(runs, dir.path()).unwrap();
        assert!(dir.path().join("2/report/index.html").exists());
        std::fs::read_to_string(written.index).unwrap()
    };
    let base = run(|_| {});
    let same = page(&[base.clone(), run(|r| r.seed = 18)]);
    assert!(same.contains("Median latency") && same.contains("progress_hypervolume"));
    insta::assert_snapshot!("compare", words(&same));
    let other = page(&[base.clone(), run(|r| r.host.cpu = "another".to_owned())]);
    assert!(
        !other.contains("Median latency")
            && !other.contains("progress_hypervolume")
            && !other.contains("\"name\":\"MES\"")
    );
    assert!(words(&other).contains("their latencies are not on one axis"));
    let data = page(&[base, run(|r| r.dataset.name = "another".to_owned())]);
    assert!(!data.contains("id=\"runs\"") && words(&data).contains("their accuracies are not on one axis"));
}

/// Prints how long 20,000 trials take; asserts only that the files keep a size that opens.
#[test]
fn twenty_thousand_trials() {
    let dir = tempfile::tempdir().unwrap();
    let plan = SyntheticRun { trials: 20_000, ..SyntheticRun::default() };
    synthetic::write(dir.path(), &synthetic::text(&synthetic::rows(&plan)));
    let start = Instant::now();
    let run = read(dir.path()).unwrap();
    let read_in = start.elapsed();
    let written = render(&run, dir.path()).unwrap();
    println!("20,000 trials: read in {read_in:.2?}, read and rendered in {:.2?}", start.elapsed());
    keep(dir.path(), "many");
    let bytes = std::fs::metadata(&written.index).unwrap().len();
    println!("index.html: {bytes} bytes; front: {}", run.front().len());
    assert!(bytes <= 5_000_000, "{bytes}");
}
