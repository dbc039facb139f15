//! The table on a terminal, the same as Markdown, and the reasons.

use std::fmt::Write as _;

use crate::regression::exact::percent;
use crate::regression::finding::{Finding, RegressionReport, Verdict};

const HEAD: [&str; 7] = ["verdict", "tier", "model", "metric", "change", "interval", "seen"];

fn cells(f: &Finding) -> [String; 7] {
    let interval = f.interval.map(|[low, high]| format!("{} to {}", percent(low), percent(high)));
    [
        f.verdict.to_string(),
        f.tier.to_string(),
        f.model.clone(),
        f.metric.clone(),
        f.change.map(percent).unwrap_or_default(),
        interval.unwrap_or_default(),
        f.words.clone(),
    ]
}

/// Rows that are shown: all that did not pass, every timed one, and for each model one line for the rest that passed.
fn rows(report: &RegressionReport) -> Vec<[String; 7]> {
    let quiet = |f: &&Finding| f.verdict == Verdict::Pass && f.interval.is_none() && f.words == "unchanged";
    let mut rows: Vec<[String; 7]> = report.sorted().into_iter().filter(|f| !quiet(f)).map(cells).collect();
    let mut models: Vec<(&str, usize)> = Vec::new();
    for f in report.findings.iter().filter(quiet) {
        match models.iter_mut().find(|(m, _)| *m == f.model) {
            Some((_, n)) => *n += 1,
            None => models.push((&f.model, 1)),
        }
    }
    let unchanged = |(model, n): (&str, usize)| {
        let text = |t: &str| t.to_string();
        [
            text("pass"),
            text("0 exact"),
            text(model),
            format!("{n} metrics"),
            String::new(),
            String::new(),
            text("unchanged"),
        ]
    };
    rows.extend(models.into_iter().map(unchanged));
    rows
}

/// The table for a terminal, with the summary as its last line.
pub fn table(report: &RegressionReport) -> String {
    let rows = rows(report);
    let mut wide = HEAD.map(|h| h.chars().count());
    for row in &rows {
        for (w, cell) in wide.iter_mut().zip(row) {
            *w = (*w).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 7]| {
        let padded: Vec<String> = row.iter().zip(wide).map(|(cell, w)| format!("{cell:<w$}")).collect();
        padded.join("  ").trim_end().to_string() + "\n"
    };
    let mut out = line(&HEAD.map(String::from));
    rows.iter().for_each(|row| out += &line(row));
    if let Some(why) = &report.not_comparable {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "baseline: not comparable: {why}");
    }
    out + &report.summary() + "\n"
}

/// The reasons of every verdict but plain passes of the exact tier, two sentences each.
pub fn why(report: &RegressionReport) -> String {
    let worth = |f: &&Finding| f.verdict != Verdict::Pass || f.interval.is_some() || f.words != "unchanged";
    let told = report.sorted().into_iter().filter(worth);
    let mut out: String = told.map(|f| format!("{}: {} {}: {}\n", f.verdict, f.model, f.metric, f.why)).collect();
    let passed = report.findings.iter().filter(|f| !worth(f)).count();
    if passed > 0 {
        let _ = writeln!(
            out,
            "pass: {passed} exact metrics: They are as in the baseline. They follow from the networks alone."
        );
    }
    out
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}

fn lines(rows: &[[String; 7]]) -> String {
    let mut out = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.each_ref().map(|c| escaped(c)).join(" | "));
    }
    out
}

/// The table as Markdown for a job's summary: what did not pass first, the rest folded.
pub fn markdown(report: &RegressionReport) -> String {
    let (passed, other): (Vec<_>, Vec<_>) = rows(report).into_iter().partition(|r| r[0] == "pass");
    let mut out = format!("### {}\n\n", report.summary());
    if let Some(why) = &report.not_comparable {
        let _ = writeln!(out, "Baseline not comparable: {}.\n", escaped(why));
    }
    if !other.is_empty() {
        out += &lines(&other);
        out += "\n";
    }
    if !passed.is_empty() {
        let _ = write!(out, "<details><summary>passed</summary>\n\n{}\n</details>\n\n", lines(&passed));
    }
    let host = &report.host.machine;
    let (cpu, os) = (escaped(&host.cpu), escaped(&host.os));
    let _ = writeln!(out, "{}; {cpu}, {} cores, {os}", report.program, host.cores);
    out
}
