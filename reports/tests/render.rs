//! Whole runs, from the journal to the files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod synthetic;

use std::path::Path;
use std::time::Instant;

use mobilenas_reports::record::{Outcome, Row};
use mobilenas_reports::{five_best, read, render};
use synthetic::Plan;

/// Every file below a folder with its bytes, by name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.push((path.strip_prefix(dir).unwrap().display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

fn rendered(journal: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), journal);
    let written = render(&read(dir.path()).unwrap(), dir.path()).unwrap();
    let page = std::fs::read_to_string(&written.index).unwrap();
    (dir, page)
}

/// Set `REPORTS_LOOK` to a folder to keep a rendered run there and look at it.
#[test]
fn a_run_is_rendered_whole() {
    let (dir, page) = rendered(&synthetic::text(&synthetic::rows(&Plan::default())));
    let names: Vec<String> = files(dir.path()).into_iter().map(|(name, _)| name).collect();
    insta::assert_snapshot!(names.join("\n"));
    assert!(!page.contains("http:") || page.matches("http:").count() == page.matches("xmlns=\"http:").count());
    assert!(!page.contains("https:") && !page.contains("<script"), "the page opens without a network");
    if let Some(look) = std::env::var_os("REPORTS_LOOK") {
        for (name, bytes) in files(dir.path()) {
            let path = Path::new(&look).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn the_same_journal_gives_the_same_bytes() {
    let journal = synthetic::text(&synthetic::rows(&Plan::default()));
    let (first, _) = rendered(&journal);
    let (second, _) = rendered(&journal);
    let (a, b) = (files(first.path()), files(second.path()));
    assert_eq!(a.len(), b.len());
    for ((name, x), (_, y)) in a.iter().zip(&b) {
        assert!(x == y, "{name} differs");
    }
    // Over what is there already, too.
    render(&read(first.path()).unwrap(), first.path()).unwrap();
    assert!(files(first.path()) == b);
}
