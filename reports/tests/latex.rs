//! The table for papers through a real LaTeX, with names that try to be commands. It needs pdflatex, so `cargo test`
//! ignores it; `cargo xtask test` runs it where pdflatex is or can be installed. `REPORTS_LOOK=folder` keeps the PDF.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod synthetic;

use std::path::Path;
use std::process::{Command, Stdio};

use mobilenas_record::run::{JournalRow, Origin};
use mobilenas_reports::{read, render};

fn compiled(dir: &Path, table: &str) -> String {
    let text = format!(
        "\\documentclass{{article}}\n\\usepackage[landscape,margin=5mm]{{geometry}}\n\\usepackage{{booktabs}}\n\
         \\begin{{document}}\n\\scriptsize\n{table}\\end{{document}}\n"
    );
    std::fs::write(dir.join("paper.tex"), text).unwrap();
    let run = Command::new("pdflatex")
        .args(["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success() && dir.join("paper.pdf").exists(), "{said}");
    said
}

#[test]
#[ignore = "needs pdflatex"]
fn the_table_compiles_whatever_the_names() {
    let evil = [
        "[5pt] \\input{/etc/passwd}",
        "*a & b \\\\ $x^2$ 50% #1 ~ _ {",
        "=cmd()|<script>'\"`\u{1}\n%",
        "τ é 漢 🦀 – … × ± \u{2028}",
        "-- --- ,, `` '' ?` !`",
    ];
    let mut rows = synthetic::rows(&synthetic::Plan { trials: 40, ..synthetic::Plan::default() });
    for row in &mut rows {
        match row {
            JournalRow::Run(run) => run.name = evil.concat(),
            JournalRow::Trial(t) if (t.id as usize) < evil.len() => {
                t.origin = Origin::Variant(evil[t.id as usize].to_owned())
            }
            _ => {}
        }
    }
    let dir = tempfile::tempdir().unwrap();
    synthetic::write(dir.path(), &synthetic::text(&rows));
    render(&read(dir.path()).unwrap(), dir.path()).unwrap();
    let table = std::fs::read_to_string(dir.path().join("report/table.tex")).unwrap();
    let said = compiled(dir.path(), &table);
    assert!(!said.contains("Missing character"), "{said}");
    if let Some(look) = std::env::var_os("REPORTS_LOOK") {
        std::fs::create_dir_all(&look).unwrap();
        std::fs::copy(dir.path().join("paper.pdf"), Path::new(&look).join("table.pdf")).unwrap();
    }
}
