//! The table for papers in a real LaTeX, with names that look like commands. `cargo test` ignores it for want of
//! pdflatex; `cargo xtask test` runs it where pdflatex is or can be installed. `REPORTS_LOOK=folder` keeps the PDF.

use crate::synthetic;

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
    let run = Command::new(std::env::var_os("PDFLATEX").unwrap_or_else(|| "pdflatex".into()))
        .args(["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("pdflatex does not start");
    let log = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success() && dir.join("paper.pdf").exists(), "{log}");
    log
}

#[test]
#[ignore = "needs pdflatex"]
fn pdflatex_compiles_the_table_whatever_the_names() {
    let evil = [
        "[5pt] \\input{/etc/passwd}",
        "*a & b \\\\ $x^2$ 50% #1 ~ _ {",
        "=cmd()|<script>'\"`\u{1}\n%",
        "τ é 漢 🦀 – … × ± \u{2028}",
        "-- --- ,, `` '' ?` !`",
    ];
    let mut rows = synthetic::rows(&synthetic::SyntheticRun { trials: 40, ..synthetic::SyntheticRun::default() });
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
    let log = compiled(dir.path(), &table);
    assert!(!log.contains("Missing character"), "{log}");
    if let Some(look) = std::env::var_os("REPORTS_LOOK") {
        std::fs::create_dir_all(&look).unwrap();
        std::fs::copy(dir.path().join("paper.pdf"), Path::new(&look).join("table.pdf")).unwrap();
    }
}
