//! Hover, click, keys, axes and filters, at the width of a desktop and of a phone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mobilenas_record::MetricInfo;
use mobilenas_record::metric::{LATENCY, MES, PARAMS};
use mobilenas_record::run::{JournalRow, Origin};
use mobilenas_reports::{RunData, compare, read, render};

use crate::devtools::Browser;
use crate::synthetic;

const DESKTOP: (u32, u32) = (1200, 900);
const PHONE: (u32, u32) = (390, 780);

fn run(dir: &Path, rows: &[JournalRow]) -> RunData {
    synthetic::write(dir, &synthetic::text(rows));
    std::fs::write(dir.join("config.yaml"), "name: made\nseed: 1\nspace:\n  family: mobilevit_v1\n  scale:\n    width: 0.25\n    divisor: 8\n  knobs: {}\ndata:\n  name: made\n").unwrap();
    read(dir).unwrap()
}

fn page(dir: &Path, rows: &[JournalRow]) -> (RunData, PathBuf) {
    let run = run(dir, rows);
    let index = render(&run, dir).unwrap().index;
    (run, index)
}

fn clean(b: &Browser) {
    assert!(b.complaints.is_empty(), "{:#?}", b.complaints);
}

/// Asserts that nothing is wider than the window, also no table within its run.
fn fits(b: &mut Browser) {
    let over = b.eval("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
    assert!(over <= 0, "the page is {over} px wider than the window");
    let cut = b.eval(
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1)\
         .map((e) => `${e.closest('section')?.id}: ${e.scrollWidth - e.clientWidth} px`)",
    );
    assert_eq!(cut.as_array().unwrap().len(), 0, "tables are cut off: {cut}");
}

/// The trials that a plot draws as its front.
fn front(b: &mut Browser, plot: &str) -> BTreeSet<u64> {
    let ids = b.eval(&format!(
        "(() => {{ const d = JSON.parse(document.getElementById('{plot}-data').textContent); \
         return [...document.querySelectorAll('#{plot} [data-front]')].map((e) => d.ids[e.dataset.i]); }})()"
    ));
    ids.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
}

fn front_of(f: &RunData, metric: &MetricInfo) -> BTreeSet<u64> {
    f.front_against(metric).into_iter().map(|i| f.trials[i].trial.id).collect()
}

fn choose(b: &mut Browser, plot: &str, which: &str, name: &str) {
    let select = format!("#{plot} select[data-choose={which}]");
    for _ in 0..40 {
        let now = b.eval(&format!("document.querySelector({select:?}).selectedOptions[0].textContent"));
        if now.as_str() == Some(name) {
            return;
        }
        b.press(&select, "ArrowDown");
    }
    panic!("{select} has no {name}");
}

#[test]
#[ignore = "needs Chromium"]
fn a_plot_is_interactive() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let (run, index) = page(dir.path(), &synthetic::real::rows("made", 5, 400));
    for (size, dark) in [(DESKTOP, false), (DESKTOP, true), (PHONE, false), (PHONE, true)] {
        let name = format!("run-{}-{}", size.0, if dark { "dark" } else { "light" });
        b.open(&index, size, dark);
        fits(&mut b);
        assert_eq!(front(&mut b, "trials"), front_of(&run, &LATENCY));
        b.hover("#trials [data-front]");
        assert!(b.text("#trials .axis-name").ends_with("(%)"), "the unit is never cut");
        assert!(b.text("#trials .tip").contains("latency") && b.text("#trials .tip").contains("resolution="));
        b.shot(&name);
        b.click("#trials [data-front]");
        let panel = b.text("#trials .inspect");
        for word in ["Genome", "Layers", "YAML", "nearest published variant", "family: mobilevit_v1", "width: 0.25"] {
            assert!(panel.contains(word), "{word}: {panel}");
        }
        assert!(b.count("#trials .layers tbody tr") > 8);
        assert!(!panel.contains("undefined") && !panel.contains("NaN") && !panel.contains("null"), "{panel}");
        b.hover("#trials .words");
        b.shot(&format!("{name}-inspect"));
        clean(&b);
    }
}

/// Labels of a plot that cover a front, an error bar, a mark or another label, by the boxes that the browser gives; and the
/// number of labels.
const LABELS: &str = "((id) => { const s = document.querySelector(`#${id} .stage`); \
    const box = (e) => e.getBoundingClientRect(); const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && \
    a.top < b.bottom - 1 && b.top < a.bottom - 1; \
    const tight = (e) => { const b = box(e); \
      return { left: b.left, right: b.right, top: b.top, bottom: b.bottom, text: e.textContent }; }; \
    const labels = [...s.querySelectorAll('.label')].map(tight); const bad = []; \
    const words = [...s.querySelectorAll('.tick, .axis-name')].map(box); \
    const marks = [...s.querySelectorAll('.mark')].map(box); \
    const lines = []; const o = box(s.querySelector('svg')); \
    for (const e of s.querySelectorAll('.steps')) { let x = 0, y = 0; \
      for (const [, c, rest] of e.getAttribute('d').matchAll(/([MHV])([^MHV]*)/g)) { const v = rest.trim().split(/[ ,]+/).map(Number); \
        const [nx, ny] = c === 'M' ? v : c === 'H' ? [v[0], y] : [x, v[0]]; \
        if (c !== 'M') lines.push({ left: o.left + Math.min(x, nx) - 1, right: o.left + Math.max(x, nx) + 1, \
          top: o.top + Math.min(y, ny) - 1, bottom: o.top + Math.max(y, ny) + 1 }); [x, y] = [nx, ny]; } } \
    for (const e of s.querySelectorAll('.bar')) { const b = box(e); \
      lines.push({ left: b.left - 1, right: b.right + 1, top: b.top - 1, bottom: b.bottom + 1 }); } \
    labels.forEach((l, i) => { if (lines.some((b) => meet(l, b))) bad.push(`${l.text} on a line`); \
      if (marks.some((b) => meet(l, b))) bad.push(`${l.text} on a mark`); \
      if (words.some((b) => meet(l, b))) bad.push(`${l.text} on a word of the axes`); \
      if (labels.some((b, k) => k > i && meet(l, b))) bad.push(`${l.text} on a label`); }); \
    return { labels: labels.length, lines: lines.length, bad }; })";

/// Asserts that no label of a plot covers anything, and returns how many labels and lines there are.
fn labels_are_free(b: &mut Browser, plot: &str) -> (u64, u64) {
    let found = b.eval(&format!("{LABELS}({plot:?})"));
    assert_eq!(found["bad"].as_array().unwrap().len(), 0, "{plot}: {found}");
    (found["labels"].as_u64().unwrap(), found["lines"].as_u64().unwrap())
}

#[test]
#[ignore = "needs Chromium"]
fn labels_cover_nothing() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    for (seed, trials) in [(21, 43), (22, 200), (23, 2000)] {
        let (_, index) = page(&dir.path().join(seed.to_string()), &synthetic::real::rows("made", seed, trials));
        for size in [DESKTOP, PHONE] {
            b.open(&index, size, false);
            for x in ["latency", "parameters", "MACs", "peak memory", "activations", "MES"] {
                choose(&mut b, "trials", "x", x);
                let (labels, lines) = labels_are_free(&mut b, "trials");
                assert!(labels >= 3 && lines >= 4, "{x}: {labels} labels, {lines} lines");
            }
            b.click("#trials [data-tick=log]");
            labels_are_free(&mut b, "trials");
            choose(&mut b, "trials", "y", "test top-1 (retrained)");
            assert_eq!(labels_are_free(&mut b, "trials").0, 3, "every retrained network has its name");
            b.middle("#trials .stage");
            b.shot(&format!("labels-{seed}-{}", size.0));
            b.eval("document.querySelector('#landscape .filters').open = true");
            b.click("#landscape [data-tick=frontPerFamily]");
            labels_are_free(&mut b, "landscape");
            b.middle("#landscape .stage");
            b.shot(&format!("labels-landscape-{seed}-{}", size.0));
        }
        clean(&b);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_study_is_readable_everywhere() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    synthetic::study::write(dir.path(), &synthetic::study::rows("made", "found A"));
    let study = mobilenas_reports::study::Study::read(dir.path()).unwrap();
    let index = mobilenas_reports::render_study(&study, dir.path()).unwrap().index;
    for (size, dark) in [(DESKTOP, false), (DESKTOP, true), (PHONE, false), (PHONE, true)] {
        b.open(&index, size, dark);
        fits(&mut b);
        for id in ["rank_fidelity", "vs_random", "baselines"] {
            b.eval(&format!("document.getElementById({id:?}).scrollIntoView()"));
            b.shot(&format!("study-{id}-{}-{}", size.0, if dark { "dark" } else { "light" }));
        }
        clean(&b);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn axes_scales_and_keys() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let (run, index) = page(dir.path(), &synthetic::real::rows("made", 6, 300));
    for size in [DESKTOP, PHONE] {
        b.open(&index, size, false);
        choose(&mut b, "trials", "x", "parameters");
        assert!(b.text("#trials .axis-name ~ .axis-name").starts_with("Learnable parameters"), "axis");
        assert_eq!(front(&mut b, "trials"), front_of(&run, &PARAMS));
        let before = b.eval("document.querySelector('#trials [data-front]').getAttribute('cx')");
        b.click("#trials [data-tick=log]");
        assert_ne!(b.eval("document.querySelector('#trials [data-front]').getAttribute('cx')"), before);
        choose(&mut b, "trials", "x", "MES");
        assert_eq!(front(&mut b, "trials"), front_of(&run, &MES));
        assert!(b.text("#trials .note").contains("MES = 100"));
        choose(&mut b, "trials", "y", "test top-1 (retrained)");
        // One mark for each of the three retrained networks, with bars, and nothing else.
        assert_eq!(b.count("#trials .mark[data-i]"), 3);
        assert!(b.count("#trials .stage .bar") >= 3);
        b.press("#trials .stage", "ArrowRight");
        assert!(b.text("#trials .live").contains("test top-1"), "{}", b.text("#trials .live"));
        b.press("#trials .stage", "Enter");
        assert!(b.text("#trials .inspect").contains("Genome"));
        b.press("#trials .stage", "Escape");
        assert_eq!(b.text("#trials .live"), "");
        clean(&b);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_landscape_shows_one_source_at_a_time() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let (_, index) = page(dir.path(), &synthetic::real::rows("made", 7, 30));
    for (size, dark) in [(DESKTOP, false), (PHONE, true)] {
        b.open(&index, size, dark);
        let all = b.count("#landscape .mark[data-i]");
        assert!(all > 60, "{all}");
        choose(
            &mut b,
            "landscape",
            "x",
            "latency, iPhone 12, Core ML (Neural Engine); EfficientFormerV2, arXiv 2212.08059",
        );
        assert_eq!(b.count("#landscape .mark[data-i]"), 21);
        assert!(b.count("#landscape .mark.uncertain[data-i]") >= 10, "figures read off a plot are marked");
        b.hover("#landscape .mark.uncertain[data-i]");
        assert!(b.text("#landscape .tip").contains("read off a figure"), "{}", b.text("#landscape .tip"));
        assert!(!b.text("#landscape").contains("null") && !b.text("#landscape").contains("undefined"));
        b.shot(&format!("landscape-{}", size.0));
        b.eval("document.querySelector('#landscape .filters').open = true");
        b.click("#landscape [data-family=efficientformer_v2]");
        assert_eq!(b.count("#landscape .mark[data-i]"), 17);
        b.click("#landscape [data-tick=frontPerFamily]");
        assert!(b.count("#landscape .stage .steps") > 3);
        clean(&b);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn runs_side_by_side() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let runs: Vec<RunData> = [("first", 8), ("second", 9)]
        .map(|(name, seed)| run(&dir.path().join(name), &synthetic::real::rows(name, seed, 200)))
        .into();
    let index = compare(&runs, &dir.path().join("both")).unwrap().index;
    for (size, dark) in [(DESKTOP, false), (PHONE, true)] {
        b.open(&index, size, dark);
        fits(&mut b);
        assert_eq!(b.count("#runs .stage .steps"), 2);
        b.hover("#runs [data-front]");
        b.shot(&format!("compare-{}", size.0));
        b.click("#runs [data-family=second]");
        let own = front_of(&runs[0], &LATENCY);
        assert_eq!(front(&mut b, "runs"), own);
        b.click("#runs [data-front]");
        assert!(b.text("#runs .inspect").contains("first"));
        clean(&b);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn names_with_markup_stay_names() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let evil = "</script><img src=x onerror=alert(1)><b onmouseover=alert(2)>=cmd(),'\"";
    let mut rows = synthetic::real::rows(evil, 10, 40);
    for row in &mut rows {
        match row {
            JournalRow::Run(run) => run.host.cpu = evil.to_owned(),
            JournalRow::Trial(t) if t.id == 1 => t.origin = Origin::Variant(evil.to_owned()),
            JournalRow::Trial(t) => {
                t.genome.insert(format!("k.{evil}"), 1);
            }
            _ => {}
        }
    }
    let (_, index) = page(dir.path(), &rows);
    b.open(&index, DESKTOP, false);
    b.hover("#trials [data-front]");
    b.click("#trials [data-front]");
    assert!(b.text("#trials .inspect").contains(evil), "{}", b.text("#trials .inspect"));
    assert_eq!(b.count("img, #trials b[onmouseover]"), 0);
    clean(&b);
}

/// Prints how long a page of 20,000 trials takes to open and to answer the mouse on this machine.
#[test]
#[ignore = "needs Chromium"]
fn twenty_thousand_trials_open_smoothly() {
    let mut b = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(&synthetic::real::rows("made", 11, 20_000)));
    let start = Instant::now();
    let index = render(&read(dir.path()).unwrap(), dir.path()).unwrap().index;
    if let Some(look) = std::env::var_os("REPORTS_LOOK") {
        std::fs::create_dir_all(&look).unwrap();
        std::fs::copy(dir.path().join("journal.jsonl"), Path::new(&look).join("many.jsonl")).unwrap();
    }
    println!("20,000 trials of a real space: read and rendered in {:.2?}", start.elapsed());
    let bytes = std::fs::metadata(&index).unwrap().len();
    println!("index.html: {bytes} bytes");
    assert!(bytes <= 5_000_000, "{bytes}");
    let start = Instant::now();
    b.open(&index, DESKTOP, false);
    println!("opened in {:.2?}", start.elapsed());
    b.hover("#trials [data-front]");
    let took = b.eval(
        "(() => { const s = document.querySelector('#trials .stage'), r = s.getBoundingClientRect(); \
         const t = performance.now(); for (let k = 0; k < 100; k++) s.dispatchEvent(new PointerEvent('pointermove', \
         { pointerType: 'mouse', clientX: r.x + 80 + k * 5, clientY: r.y + 200 })); return (performance.now() - t) / 100; })()",
    );
    println!("a move of the mouse: {:.2} ms", took.as_f64().unwrap());
    let took = b.eval(
        "(() => { const box = document.querySelector('#trials [data-tick=log]'); const t = performance.now(); box.click(); \
         return performance.now() - t; })()",
    );
    println!("drawn anew in {:.0} ms", took.as_f64().unwrap());
    b.shot("many");
    clean(&b);
}
