//! `index.html`: one file that says what a run found, on what, and how each number was made.
//!
//! It opens without a network: style and plots are inside, and there are no scripts.

mod notes;
mod trials;

use super::html::{escape, facts, list, paragraph, section};
use super::{Report, Site, pareto, retrained};
use crate::plot::{self, Chart, Dress, Size};
use crate::record::metric;
use crate::{Frame, ReportError, best, score, table, text};

/// The page.
pub struct Index;

/// The page's path below the folder that is rendered into.
pub const FILE: &str = "report/index.html";

const STYLE: &str = include_str!("style.css");
/// Plots inside the page: one for wide screens, one for phones, px. The style shows one of them.
const WIDE: Size = Size { width: 960, height: 500 };
const NARROW: Size = Size { width: 400, height: 430 };

impl Report for Index {
    fn name(&self) -> &str {
        "index"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        out.write(FILE, page(f)?.as_bytes())
    }
}

fn page(f: &Frame) -> Result<String, ReportError> {
    let parts = [
        header(f),
        caveats(f),
        five_best(f),
        plots(f)?,
        winners(f)?,
        trials::variants(f),
        trials::front(f),
        trials::left_out(f),
        notes::how_made(f),
        notes::run(f),
        files(f),
    ];
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} – mobilenas</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        escape(&f.run.name),
        parts.concat()
    ))
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
    section("best", "Five best", &(paragraph(note) + &trials::table(f, &entries) + &formula(f)))
}

/// The formula of the score, which stands beside every table that shows it.
fn formula(f: &Frame) -> String {
    let text = score::formula(&f.run.mes, f.unit_latency_ms());
    format!("<p class=\"small\">{}</p>\n", escape(&text))
}

fn plots(f: &Frame) -> Result<String, ReportError> {
    let mut body = String::new();
    for (file, chart) in pareto::charts(f) {
        body += &figure(file, &chart)?;
    }
    if body.is_empty() {
        body = paragraph("No trial was scored yet, so there is nothing to plot.");
    }
    Ok(section("plots", "What top-1 costs", &body))
}

fn winners(f: &Frame) -> Result<String, ReportError> {
    let plot = retrained::chart(f).map(|chart| figure(retrained::FILE, &chart)).transpose()?;
    Ok(trials::retrained(f, &plot.unwrap_or_default()))
}

/// A chart in both sizes, with its caption and links to its files.
fn figure(file: &str, chart: &Chart) -> Result<String, ReportError> {
    let draw = |size, class: &str| {
        plot::svg(&chart.picture(size, Dress::Bare), &chart.title)
            .map(|svg| format!("<div class=\"{class}\">\n{svg}</div>\n"))
            .map_err(|why| ReportError::Plot { name: file.to_owned(), why })
    };
    let heading = chart.title.rsplit_once(": ").map_or(chart.title.as_str(), |(_, heading)| heading);
    let heading: String = heading.chars().take(1).flat_map(char::to_uppercase).chain(heading.chars().skip(1)).collect();
    let links: Vec<String> = [("svg", "SVG"), ("png", "PNG")]
        .iter()
        .map(|(extension, name)| format!("<a href=\"{file}.{extension}\">{name}</a>"))
        .chain([format!("<a href=\"{file}@2x.png\">PNG, double size</a>")])
        .collect();
    Ok(format!(
        "<figure>\n<h3>{}</h3>\n{}{}<figcaption>{} {}</figcaption>\n</figure>\n",
        escape(&heading),
        draw(WIDE, "wide")?,
        draw(NARROW, "narrow")?,
        chart.caption.iter().map(|c| escape(c)).collect::<Vec<_>>().join("<br>"),
        links.join(" · "),
    ))
}

fn files(f: &Frame) -> String {
    let note = format!("All {}, with every knob of every genome:", text::plural(f.trials.len(), "trial"));
    let link = |name: &str| format!("<li><a href=\"../{name}\">{name}</a></li>\n");
    let links = [table::CSV, table::PARQUET, crate::JOURNAL].map(link).concat();
    section("files", "Files", &format!("{}<ul>\n{links}</ul>\n", paragraph(&note)))
}
