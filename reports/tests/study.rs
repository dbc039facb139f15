//! Studies and tables of latencies, from their rows to the pages.

use crate::synthetic;

use std::path::Path;

use mobilenas_record::latency_table::{LatencyTable, Pair, Source};
use mobilenas_record::run::JournalRow as RunRow;
use mobilenas_reports::study::{
    self, Study, StudyRow as Row, bands, by_size, compared_networks, corrected, fidelities, pairs_won, seed_agreement,
};
use mobilenas_reports::{read, render, render_study};

use synthetic::keep;

fn of(rows: &[Row]) -> (tempfile::TempDir, Study) {
    let dir = tempfile::tempdir().unwrap();
    synthetic::study::write(dir.path(), rows);
    let study = Study::read(dir.path()).unwrap();
    (dir, study)
}

fn rendered(rows: &[Row]) -> (tempfile::TempDir, String) {
    let (dir, study) = of(rows);
    let page = std::fs::read_to_string(render_study(&study, dir.path()).unwrap().index).unwrap();
    (dir, page)
}

#[test]
fn a_whole_study_has_its_page() {
    let (dir, page) = rendered(&synthetic::study::rows("made", "found A"));
    keep(&dir.path().join("study"), "study");
    for word in ["Rank fidelity", "against random search", "Found networks against", "sandwich", "A small study."] {
        assert!(page.contains(word), "{word}");
    }
    for file in [
        "rank_fidelity",
        "rank_fidelity_4",
        "hypervolume",
        "baselines_latency",
        "baselines_params",
        "baselines_macs",
        "baselines_memory",
    ] {
        for end in [".svg", ".png", "@2x.png"] {
            assert!(dir.path().join("study").join(format!("{file}{end}")).exists(), "{file}{end}");
        }
    }
    let csv = std::fs::read_to_string(dir.path().join("study/networks.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 24 + 6);
    assert!(csv.lines().next().unwrap().ends_with("latency_ms,test_top1.1,test_top1.2,test_top1.3"), "{csv}");
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

/// A study as a program wrote it before its rows held metrics by name: a file of format 1.
#[test]
fn a_study_of_format_1_is_read() {
    let study = Study::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/v1/study")).unwrap();
    assert_eq!(study.header.format, 1);
    let damage: Vec<&str> = study.caveats.iter().map(|c| c.text.as_str()).filter(|t| t.contains("line ")).collect();
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!((study.networks.len(), study.inherited.len(), study.searches.len()), (10, 24, 6));
    assert_eq!(study.test_accuracies(0), [11.2, 9.2]);
    assert_eq!(study.inherited[0].metric("top1"), Some(8.4));
    let dir = tempfile::tempdir().unwrap();
    render_study(&study, dir.path()).unwrap();
}

#[test]
fn the_same_study_gives_the_same_bytes() {
    let rows = synthetic::study::rows("made", "found A");
    let (a, b) = (rendered(&rows), rendered(&rows));
    assert_eq!(a.1, b.1);
    let png = |dir: &tempfile::TempDir| std::fs::read(dir.path().join("study/hypervolume.png")).unwrap();
    assert!(png(&a.0) == png(&b.0));
}

#[test]
fn landmarks_correct_what_they_explain() {
    let mut rows = synthetic::study::rows("made", "found A");
    // Parameters that do not follow MACs, and scores that are wrong by a multiple of their logarithm.
    let params = |id: u64| 100_000 + (id * 7 % 31) * 10_000;
    for row in &mut rows {
        match row {
            Row::Network(n) if n.origin == study::NetworkOrigin::Drawn => n.params = params(n.id),
            Row::Inherited(i) => {
                let wrong = 4.0 * (params(i.network) as f64).ln();
                i.metrics.values_mut().for_each(|v| *v -= wrong);
            }
            _ => {}
        }
    }
    let (_, study) = of(&rows);
    let all = corrected(&study);
    // 24 networks: 6 or 12 of them are landmarks.
    let counts: Vec<(usize, usize)> = all.iter().map(|c| (c.landmarks, c.networks)).collect();
    assert_eq!(counts, [(6, 18), (12, 12)].repeat(4));
    let recalibrated = all.iter().find(|c| c.condition.recalibrated && c.landmarks == 12).unwrap();
    let [before, after] = [recalibrated.before, recalibrated.tau].map(|t| t.unwrap().value);
    assert!(after > before + 0.2, "{before} to {after}");
    assert!(recalibrated.left_out < 1.0);
    assert!(rendered(&rows).1.contains("Corrected by landmarks"));
}

#[test]
fn fidelity_joins_both_top1s_of_a_network() {
    let mut rows = synthetic::study::rows("made", "found A");
    let all = fidelities(&of(&rows).1);
    let names: Vec<String> = all.iter().map(|f| f.condition.to_string()).collect();
    assert_eq!(
        names,
        ["sandwich, not recalibrated", "sandwich, recalibrated", "uniform, not recalibrated", "uniform, recalibrated"]
    );
    for f in &all {
        let (tau, rho) = (f.tau.unwrap(), f.rho.unwrap());
        assert_eq!(f.pairs.len(), 24);
        assert!(tau.low <= tau.value && tau.value <= tau.high && rho.low <= rho.value && rho.value <= rho.high);
    }
    assert!(all[1].tau.unwrap().value > all[0].tau.unwrap().value + 0.2);
    // The synthetic networks' params and MACs rise with one size, which their top-1 follows.
    let [macs, params] = by_size(&of(&rows).1).unwrap();
    assert_eq!(macs, params);
    assert!(0.5 < macs.low && macs.low < macs.value && macs.value < 1.0, "{macs:?}");
    // MACs order them as parameters do, so nothing is left to be given; other parameters are.
    assert!(all.iter().all(|f| f.partial.is_none() && f.within.unwrap().value < f.tau.unwrap().value));
    for (i, network) in rows.iter_mut().filter_map(|r| if let Row::Network(n) = r { Some(n) } else { None }).enumerate()
    {
        network.params = (i as u64 * 7) % 31 + 1;
    }
    let given = fidelities(&of(&rows).1);
    assert!(given.iter().all(|f| f.partial.is_some_and(|p| p.low <= p.value && p.value < f.tau.unwrap().value)));
    assert!(rendered(&rows).1.contains("; given MACs and parameters "));
    // A network that was not trained from scratch is left out.
    rows.retain(|r| !matches!(r, Row::Retrained(r) if r.network == 5));
    let fewer = fidelities(&of(&rows).1);
    assert!(fewer.iter().all(|f| f.pairs.len() == 23 && f.pairs.iter().all(|p| p.0 != 5)));
}

#[test]
fn trainings_with_several_seeds_are_compared() {
    let mut rows = synthetic::study::rows("made", "found A");
    assert_eq!(seed_agreement(&of(&rows).1), None, "one seed says nothing");
    rows.retain(|r| !matches!(r, Row::Retrained(r) if r.network < 100 && r.network > 3));
    let mut add = |network, seed, test_top1| {
        let row = study::TrainedNetwork {
            network,
            seed,
            epochs: 3.0,
            metrics: [("test_top1".to_owned(), test_top1)].into(),
            seconds: 1.0,
        };
        rows.retain(|r| !matches!(r, Row::Retrained(r) if (r.network, r.seed) == (network, seed)));
        rows.push(Row::Retrained(row));
    };
    for (network, first, second) in [(0, 80.0, 82.0), (1, 81.0, 81.0), (2, 82.0, 84.0)] {
        add(network, 1, first);
        add(network, 2, second);
    }
    // Of the three pairs of networks one is turned round: (2 - 1) / 3. Variances 2, 0 and 2. Network 3 has one seed only.
    let found = seed_agreement(&of(&rows).1).unwrap();
    assert_eq!((found.networks, found.seeds), (3, 2));
    assert!((found.tau.value - 1.0 / 3.0).abs() < 1e-12, "{found:?}");
    assert!((found.deviation - (4.0f64 / 3.0).sqrt()).abs() < 1e-12, "{found:?}");
    assert!(rendered(&rows).1.contains("standard deviation of 1.15 points"));
}

#[test]
fn bands_are_numpys_quartiles() {
    let search = |strategy: &str, seed, volume: &[(u64, f64)]| {
        let (strategy, volume) = (strategy.to_owned(), volume.to_vec());
        Row::Search(study::SearchRun { strategy, seed, volume, cost: Vec::new(), front: Vec::new(), seconds: 1.0 })
    };
    let mut rows = synthetic::study::rows("made", "a");
    rows.truncate(1);
    rows.extend([
        search("random", 1, &[(1, 1.0), (10, 1.0)]),
        search("random", 2, &[(1, 2.0), (4, 6.0), (12, 9.0)]),
        search("nsga2", 1, &[(1, 4.0), (10, 4.0)]),
        search("nsga2", 2, &[(2, 10.0), (10, 10.0)]),
        search("nsga2", 3, &[(1, 1.0), (10, 1.0)]),
    ]);
    let all = bands(&of(&rows).1);
    assert_eq!((all[0].strategy.as_str(), all[1].strategy.as_str()), ("nsga2", "random"));
    // Up to trial 10, where the shortest ends. numpy.percentile([0, 1, 4], [25, 50, 75]), then of [1, 4, 10].
    assert_eq!(all[0].points, [(1, 0.5, 1.0, 2.5), (2, 2.5, 4.0, 7.0), (10, 2.5, 4.0, 7.0)]);
    assert_eq!(all[1].points, [(1, 1.25, 1.5, 1.75), (4, 2.25, 3.5, 4.75), (10, 2.25, 3.5, 4.75)]);
    // (4, 10, 1) against (1, 6): 4 > 1, 10 > 1, 10 > 6, and 1 = 1 for half.
    assert_eq!(pairs_won(&all[0], &all[1]), (3.5, 6));
}

#[test]
fn compared_networks_are_found_or_published() {
    let (_dir, study) = of(&synthetic::study::rows("made", "found A"));
    let all = compared_networks(&study);
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by(|a, b| a.accuracy.value >= b.accuracy.value));
    for s in &all {
        let mean = s.accuracies.iter().sum::<f64>() / 3.0;
        assert!((s.accuracy.value - mean).abs() < 1e-9 && s.accuracies.len() == 3);
    }
}

#[test]
fn hostile_names_do_no_harm() {
    let evil = "=cmd()<script>alert(1)</script>\"'|,{x}\n\u{1}";
    let mut rows = synthetic::study::rows(evil, evil);
    for row in &mut rows {
        match row {
            Row::Study(h) => {
                for text in [&mut h.family, &mut h.host.cpu, &mut h.dataset.name, &mut h.engine.protocol] {
                    *text = evil.to_owned();
                }
                h.volume =
                    Some(study::Volume { of: evil.to_owned(), unit: evil.to_owned(), reference: evil.to_owned() });
            }
            Row::Inherited(i) => i.condition.rule = format!("{evil}{}", i.condition.rule),
            Row::Search(s) => s.strategy = format!("{evil}{}", s.strategy),
            Row::Network(n) => {
                n.genome.insert(format!("k.{evil}"), 1);
            }
            _ => {}
        }
    }
    let (dir, page) = rendered(&rows);
    keep(&dir.path().join("study"), "study-evil");
    assert!(!page.contains("<script>alert") && page.matches("<script").count() == 2);
    for file in std::fs::read_dir(dir.path().join("study")).unwrap().map(|e| e.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "svg") {
            assert!(!std::fs::read_to_string(&file).unwrap().contains("<script"), "{}", file.display());
        }
    }
    let csv = std::fs::read_to_string(dir.path().join("study/networks.csv")).unwrap();
    assert!(csv.contains("'=cmd()") && !csv.contains(",=cmd") && !csv.contains(",\"=cmd"), "{csv}");
}

#[test]
fn a_study_that_stopped_anywhere_has_a_page_that_says_so() {
    let text: String =
        synthetic::study::rows("made", "a").iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
    let first = text.find('\n').unwrap() + 1;
    for cut in [first, first + 30, text.len() / 3, text.len() / 2, text.len() - 70] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(study::FILE), &text[..cut]).unwrap();
        let study = Study::read(dir.path()).unwrap();
        assert_eq!(study.caveats.iter().any(|c| c.text.contains("cut off")), !text[..cut].ends_with('\n'));
        let page = std::fs::read_to_string(render_study(&study, dir.path()).unwrap().index).unwrap();
        assert!(page.contains("not finished"), "cut at {cut}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(study::FILE), text.replacen("\"format\":1", "\"format\":7", 1)).unwrap();
    let error = Study::read(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("study.jsonl: the journal has format 7; expected format 1 or older"), "{error}");
    std::fs::write(dir.path().join(study::FILE), "").unwrap();
    let error = Study::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("expected the first line to be the row {\"study\": {...}}"), "{error}");
}

fn table(source: Source, pairs: usize) -> RunRow {
    let mut r = synthetic::Random(9);
    let pair = |i| {
        let measured_ms = 1.0 + 0.4 * i as f64;
        Pair { name: format!("n{i}"), predicted_ms: measured_ms * (0.93 + 0.16 * r.unit()), measured_ms }
    };
    RunRow::LatencyTable(LatencyTable {
        source,
        device: "Example CPU <b>".to_owned(),
        engine: synthetic::header().engine,
        entries: 812,
        pairs: (0..pairs).map(pair).collect(),
    })
}

#[test]
fn a_run_states_the_error_of_its_latency_table() {
    let page = |row: RunRow| {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = synthetic::rows(&synthetic::SyntheticRun::default());
        rows.insert(2, row);
        synthetic::write(dir.path(), &synthetic::text(&rows));
        let written = render(&read(dir.path()).unwrap(), dir.path()).unwrap();
        (std::fs::read_to_string(written.index).unwrap(), dir)
    };
    let (predicted, dir) = page(table(Source::Table, 30));
    keep(&dir.path().join("report"), "table");
    assert!(predicted.contains("Latency predicted by a table (ms)") && !predicted.contains("\"Median latency (ms)\""));
    assert!(predicted.contains("30 measured networks") && predicted.contains("within 5 %"));
    assert!(dir.path().join("report/latency_table.png").exists());
    let (measured, _) = page(table(Source::Measured, 30));
    assert!(measured.contains("Median latency (ms)") && measured.contains("Each trial was measured"));
    let (unknown, dir) = page(table(Source::Imported, 0));
    assert!(unknown.contains("its error is not known") && !dir.path().join("report/latency_table.png").exists());
}

#[test]
fn a_study_in_a_runs_folder_is_on_its_page() {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(&synthetic::rows(&synthetic::SyntheticRun::default())));
    synthetic::study::write(dir.path(), &synthetic::study::rows("made", "found A"));
    let written = render(&read(dir.path()).unwrap(), dir.path()).unwrap();
    let page = std::fs::read_to_string(written.index).unwrap();
    assert!(page.contains("sandwich, recalibrated: 0.") && page.contains("href=\"../study/index.html\""));
    // One that cannot be read is a caveat of the run.
    std::fs::write(dir.path().join(study::FILE), "nonsense").unwrap();
    let run = read(dir.path()).unwrap();
    assert!(run.study.is_none() && run.caveats.iter().any(|c| c.text.starts_with("study.jsonl has no header")));
}
