//! Journals whose rows are odd or damaged: a report never panics, and its pages and plots stay readable.
//!
//! `REPORTS_FUZZ=1000` tries so many journals instead of a few.

use crate::synthetic;

use std::path::Path;

use mobilenas_reports::study::{self, Study};
use mobilenas_reports::{compare, five_best, read, render, render_study};
use serde_json::{Value, json};
use synthetic::{Random, SyntheticRun, files};

/// What no program writes on purpose.
fn odd_value(r: &mut Random) -> Value {
    let all_controls: String =
        (0..0xa0).filter_map(char::from_u32).chain(['\u{fffe}', '\u{ffff}', '\u{2028}']).collect();
    let all = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!(""),
        json!("</script><b onload='x'>&amp;]]>"),
        json!(all_controls),
        json!("x".repeat(3000)),
        json!([]),
        json!({}),
        json!({ "": -0.0, "top1": 1e300, "latency_ms": 0, "stages.99999999999999999999.depth": 7 }),
    ];
    all[(r.next() % all.len() as u64) as usize].clone()
}

/// Changes one value, or the name of one key, somewhere inside.
fn distort(value: &mut Value, r: &mut Random) {
    let inside = match value {
        Value::Object(map) if !map.is_empty() && !r.next().is_multiple_of(4) => {
            let key = map.keys().nth((r.next() % map.len() as u64) as usize).unwrap().clone();
            match r.next() % 12 {
                0 => drop(map.remove(&key)),
                1 => {
                    let value = map.remove(&key).unwrap();
                    map.insert(format!("{key}\u{0}\u{ffff}<"), value);
                }
                _ => distort(map.get_mut(&key).unwrap(), r),
            }
            true
        }
        Value::Array(list) if !list.is_empty() && !r.next().is_multiple_of(4) => {
            let at = (r.next() % list.len() as u64) as usize;
            distort(&mut list[at], r);
            true
        }
        _ => false,
    };
    if !inside {
        *value = odd_value(r);
    }
}

/// The text with a third of its rows changed: in a value, in a byte, cut, twice, or away. The header changes only if asked.
fn distorted(text: &str, r: &mut Random, header: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let mut bytes = line.as_bytes().to_vec();
        if r.next().is_multiple_of(3) && (i > 0 || header) {
            let at = (r.next() % bytes.len() as u64) as usize;
            match r.next() % 12 {
                0 => bytes[at] = r.next() as u8,
                1 => bytes.truncate(at),
                2 if i > 0 => bytes.clear(),
                3 if i > 0 => bytes = [bytes.as_slice(), b"\n", bytes.as_slice()].concat(),
                _ => {
                    let mut row: Value = serde_json::from_slice(&bytes).unwrap();
                    // The kind of the row stays, so that most rows are read.
                    distort(row.as_object_mut().unwrap().values_mut().next().unwrap(), r);
                    bytes = serde_json::to_vec(&row).unwrap();
                }
            }
        }
        out.extend(bytes);
        out.push(b'\n');
    }
    out
}

/// Asserts that every SVG and page holds only what XML allows.
fn check(dir: &Path, case: u64) {
    for (name, bytes) in files(dir) {
        if !name.ends_with(".svg") && !name.ends_with(".html") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        let forbidden = |c: &char| (c.is_control() && !"\n\t".contains(*c)) || ['\u{fffe}', '\u{ffff}'].contains(c);
        assert_eq!(text.chars().find(forbidden), None, "case {case}: {name}");
    }
}

#[test]
fn no_journal_makes_the_report_panic() {
    let cases = std::env::var("REPORTS_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let run = synthetic::text(&synthetic::rows(&SyntheticRun { trials: 30, ..SyntheticRun::default() }));
    let study: String =
        synthetic::study::rows("made", "found A").iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
    let mut rendered = 0;
    for case in 0..cases {
        let r = &mut Random(case);
        let dir = tempfile::tempdir().unwrap();
        let header = case % 3 == 2;
        std::fs::write(dir.path().join(mobilenas_reports::JOURNAL), distorted(&run, r, header)).unwrap();
        std::fs::write(dir.path().join(study::FILE), distorted(&study, r, header)).unwrap();
        std::fs::write(dir.path().join("config.yaml"), &distorted(&run, r, true)[..999]).unwrap();
        if let Ok(study) = Study::read(dir.path()) {
            render_study(&study, dir.path()).unwrap();
        }
        if let Ok(run) = read(dir.path()) {
            five_best(&run);
            if case % 3 == 1 {
                compare(&[run.clone(), run], dir.path()).unwrap();
            } else {
                render(&run, dir.path()).unwrap();
            }
            rendered += 1;
        }
        check(dir.path(), case);
    }
    assert!(rendered > cases / 2, "{rendered} of {cases} journals were read");
}
