//! `index.html`: one file that says what a run found, on what, and how each number was made.
//!
//! It opens without a network: style, script, data and plots are inside. Without scripts it shows the static plots.

mod notes;
mod tables;

use super::html::{escape, facts, list, paragraph, section};
use super::{knobs, landscape, pareto, progress, retrained, script, trials, trust};
use crate::plot::{self, Chart, Dress, Size};
use crate::{Frame, ReportError, best, table};
use mobilenas_record::metric::name as metric;
use mobilenas_record::{score, text};

/// The page's path below the folder that is rendered into.
pub const FILE: &str = "report/index.html";

const STYLE: &str = include_str!("style.css");
/// Plots inside the page: one for wide screens, one for phones, px. The style shows one of them.
const WIDE: Size = Size { width: 960, height: 500 };
const NARROW: Size = Size { width: 400, height: 430 };

/// The page of one run.
///
/// # Errors
/// If a plot cannot be drawn.
pub(crate) fn page(f: &Frame) -> Result<String, ReportError> {
    let parts = [
        header(f),
        caveats(f),
        five_best(f),
        plots(f)?,
        winners(f)?,
        tables::variants(f),
        tables::front(f),
        progress::of_run(f)?,
        knobs::section_of(f),
        tables::left_out(f),
        trust::section_of(f)?,
        notes::how_made(f),
        notes::run(f),
        landscape::section_of(f)?,
        files(f),
    ];
    Ok(document(&f.run.name, &parts.concat()))
}

/// A whole page around its sections.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} – mobilenas</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n{}</body>\n</html>\n",
        script::policy(),
        escape(title),
        script::element()
    )
}

/// What this is, how far it came, and its size in numbers.
fn header(f: &Frame) -> String {
    let (run, counts) = (&f.run, f.counts());
    let range = |[lo, hi]: [u64; 2]| format!("{} to {}", text::count(lo as f64), text::count(hi as f64));
    let front = f.front();
    let top = front.first().and_then(|e| e.metric(metric::TOP1));
    let trials = format!(
        "{}: {} scored, {} infeasible, {} failed",
        text::plural(f.trials.len(), "trial"),
        text::thousands(counts.scored as u64),
        text::thousands(counts.infeasible as u64),
        text::thousands(counts.failed as u64),
    );
    let mut rows = vec![
        ("Status", notes::status(f)),
        ("Space", format!("{} genomes of the family {}", text::huge(run.space_size), run.family)),
        ("Parameters over the space", range(run.params_range)),
        ("MACs over the space", range(run.macs_range)),
        ("Trials", trials),
        ("Front (top-1 against latency)", format!("{} of {} scored trials", front.len(), counts.scored)),
    ];
    if let Some(top) = top {
        rows.push(("Best top-1 of the search", format!("{top:.2} % (search-validation split, inherited weights)")));
    }
    let what = format!(
        "A search for {} backbones by {} on {}: candidates take their weights from one supernet, and are scored on \
         images held out of the training set.",
        run.family, run.strategy, run.dataset.name
    );
    format!("<header>\n<h1>{}</h1>\n{}{}</header>\n", escape(&run.name), paragraph(&what), facts(&rows))
}

fn caveats(f: &Frame) -> String {
    if f.caveats.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"caveats\" class=\"caveats\">\n<h2>Caveats</h2>\n{}</section>\n",
        list(f.caveats.iter().map(|c| c.text.as_str()))
    )
}

fn five_best(f: &Frame) -> String {
    let best = best::five_best(f);
    if best.is_empty() {
        return section("best", "Five best", &paragraph("No trial has both a top-1 and a latency yet."));
    }
    let entries: Vec<_> = best.iter().filter_map(|b| f.trial(b.id)).collect();
    let note =
        "The trials of the front with the best top-1. Top-1 is on the search-validation split with inherited weights.";
    section("best", "Five best", &(paragraph(note) + &tables::table(f, &entries) + &formula(f)))
}

/// The formula of the score, which stands beside every table that shows it.
fn formula(f: &Frame) -> String {
    let text = score::formula(&f.run.mes, f.unit_latency_ms());
    format!("<p class=\"small\">{}</p>\n", escape(&text))
}

/// The plot that can be asked, and the static ones: in the page for those without scripts, and as files.
fn plots(f: &Frame) -> Result<String, ReportError> {
    let charts = pareto::charts(f);
    if charts.is_empty() {
        return Ok(section(
            "plots",
            "What top-1 costs",
            &paragraph("No trial was scored yet, so there is nothing to plot."),
        ));
    }
    let (mut statics, mut files) = (String::new(), Vec::new());
    for (file, chart) in &charts {
        statics += &fallback(file, chart)?;
        files.push(format!("{} ({file})", links(file)));
    }
    let body = [
        trials::view("trials", &[f], &|_| true).element(),
        format!("<noscript>\n{statics}</noscript>\n"),
        format!("<p class=\"small\">{}</p>\n", escape(&pareto::provenance(f))),
        format!("<p class=\"small\">{}</p>\n", files.join("; ")),
    ];
    Ok(section("plots", "What top-1 costs", &body.concat()))
}

fn winners(f: &Frame) -> Result<String, ReportError> {
    let plot = retrained::chart(f).map(|chart| figure(retrained::FILE, &chart)).transpose()?;
    Ok(tables::retrained(f, &plot.unwrap_or_default()))
}

/// A chart in both sizes, with its caption and links to its files.
pub(super) fn figure(file: &str, chart: &Chart) -> Result<String, ReportError> {
    Ok(format!(
        "<figure>\n<h3>{}</h3>\n<div class=\"wide\">\n{}</div>\n<div class=\"narrow\">\n{}</div>\n\
         <figcaption>{} {}</figcaption>\n</figure>\n",
        escape(&heading(chart)),
        drawn(file, chart, WIDE)?,
        drawn(file, chart, NARROW)?,
        chart.caption.iter().map(|c| escape(c)).collect::<Vec<_>>().join("<br>"),
        links(file),
    ))
}

/// A chart for readers without scripts, in one size.
pub(super) fn fallback(file: &str, chart: &Chart) -> Result<String, ReportError> {
    let (heading, svg) = (escape(&heading(chart)), drawn(file, &chart.thinned(), WIDE)?);
    Ok(format!("<figure>\n<h3>{heading}</h3>\n{svg}</figure>\n"))
}

fn drawn(file: &str, chart: &Chart, size: Size) -> Result<String, ReportError> {
    plot::svg(&chart.picture(size, Dress::Bare), &chart.title)
        .map_err(|why| ReportError::Plot { name: file.to_owned(), why })
}

/// The chart's title without the name of its run.
fn heading(chart: &Chart) -> String {
    let heading = chart.title.rsplit_once(": ").map_or(chart.title.as_str(), |(_, heading)| heading);
    heading.chars().take(1).flat_map(char::to_uppercase).chain(heading.chars().skip(1)).collect()
}

/// Links to a chart's files.
pub(super) fn links(file: &str) -> String {
    let one = |extension: &str, name: &str| format!("<a href=\"{file}{extension}\">{name}</a>");
    [one(".svg", "SVG"), one(".png", "PNG"), one("@2x.png", "PNG, double size")].join(" · ")
}

fn files(f: &Frame) -> String {
    let note = format!("All {}, with every knob of every genome:", text::plural(f.trials.len(), "trial"));
    let link = |name: &str| format!("<li><a href=\"../{name}\">{name}</a></li>\n");
    let mut links = [table::CSV, table::PARQUET, crate::JOURNAL].map(link).concat();
    for (name, what) in [("table.md", "Markdown"), ("table.tex", "LaTeX")] {
        links += &format!("<li><a href=\"{name}\">{name}</a>: winners, front and published variants in {what}</li>\n");
    }
    links += "<li><a href=\"predictors.csv\">predictors.csv</a>: how well parameters, MACs and proxies order the trials by top-1</li>\n";
    section("files", "Files", &format!("{}<ul>\n{links}</ul>\n", paragraph(&note)))
}
