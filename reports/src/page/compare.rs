//! Several runs side by side: what they share on one axis, and what differs between them.
//!
//! Numbers share an axis only if they are comparable: accuracies on the same images, latencies on the same host and engine
//! by the same protocol, scores with the same constants as well.

mod differences;

use std::path::Path;

use mobilenas_record::metric::{LATENCY, MES};
use mobilenas_record::run::RunHeader;
use mobilenas_record::{MetricInfo, pareto, text};

use super::document::caveats;
use super::figure::{figures, interactive};
use super::folder::{OutputFolder, Written};
use super::html::{Cell, escape, paragraph, table};
use super::section::{Section, write_page};
use super::{progress, run, trials};
use crate::error::ReportError;
use crate::run_data::RunData;
use crate::{history, metrics};

/// The page's file.
const INDEX: &str = "index.html";

/// The sections of a page over several runs, in order.
pub static COMPARE_SECTIONS: &[Section<[RunData]>] = &[
    Section {
        name: "plots",
        heading: "Accuracy against cost",
        help: "the networks of all runs on common axes",
        render: plots,
    },
    Section {
        name: "summary",
        heading: "The runs in numbers",
        help: "best accuracy, hypervolume and share of the joint front",
        render: summary,
    },
    Section {
        name: "progress",
        heading: "How the searches went",
        help: "hypervolume and the best so far over trials",
        render: progress_of_all,
    },
    Section {
        name: "differences",
        heading: "What differs",
        help: "keys of headers and configs that are not the same in all runs",
        render: differences::render,
    },
];

/// Writes a page over several runs into `out`: `index.html` with its plots, and each run's own page in `1`, `2`, ...
///
/// # Errors
/// If a file cannot be made or written.
pub fn compare(runs: &[RunData], out: &Path) -> Result<Written, ReportError> {
    let mut files = Vec::new();
    for (i, r) in runs.iter().enumerate() {
        files.extend(run::render(r, &out.join((i + 1).to_string()))?.files);
    }
    let named = named(runs);
    let title = format!("{} runs side by side", runs.len());
    let header = header(&named) + &not_compared(&named);
    let sections: Vec<_> = COMPARE_SECTIONS.iter().collect();
    let page = write_page(named.as_slice(), &sections, &title, &header, INDEX, OutputFolder::flat(out))?;
    files.extend(page.files);
    Ok(Written { files, index: page.index })
}

/// The runs with unique names.
fn named(runs: &[RunData]) -> Vec<RunData> {
    let twice = |name: &str| runs.iter().filter(|r| r.header.name == name).count() > 1;
    let rename = |(i, r): (usize, &RunData)| {
        let mut r = r.clone();
        if twice(&r.header.name) {
            r.header.name = format!("{} ({})", r.header.name, i + 1);
        }
        r
    };
    runs.iter().enumerate().map(rename).collect()
}

/// Whether all runs have something in common.
fn all_same<T: PartialEq>(runs: &[RunData], of: impl Fn(&RunHeader) -> T) -> bool {
    runs.windows(2).all(|w| of(&w[0].header) == of(&w[1].header))
}

/// Whether a metric is comparable between all runs.
fn shared(runs: &[RunData], metric: &MetricInfo) -> bool {
    let latency = || all_same(runs, |r| (r.host.clone(), r.engine.clone()));
    match metric.name {
        name if name == LATENCY.name => latency(),
        name if name == MES.name => latency() && all_same(runs, |r| r.mes.clone()),
        name if name == metrics::judged(name)[0].name => all_same(runs, |r| (r.dataset.clone(), r.metric.clone())),
        _ => true,
    }
}

fn header(runs: &[RunData]) -> String {
    let row = |(i, r): (usize, &RunData)| {
        let link = format!("<a href=\"{}/report/index.html\">{}</a>", i + 1, escape(&r.header.name));
        let caveats = match r.caveats.len() {
            0 => String::new(),
            n => format!(", {} on its page", text::plural(n, "caveat")),
        };
        let end = if r.done.is_some() { "finished" } else { "not finished" };
        format!(
            "<li>{link}: {}, {}, seed {}, {}, {end}{}</li>\n",
            escape(&r.header.family),
            escape(&r.header.strategy),
            r.header.seed,
            text::plural(r.trials.len(), "trial"),
            escape(&caveats)
        )
    };
    format!("<ul>\n{}</ul>\n", runs.iter().enumerate().map(row).collect::<String>())
}

/// What the runs do not share, and is therefore not on one axis.
fn not_compared(runs: &[RunData]) -> String {
    let mut why = Vec::new();
    if !shared(runs, runs[0].accuracy()) {
        why.push(
            "The runs use different data or splits: their accuracies are not on one axis, and no plot overlays them.",
        );
    } else if !all_same(runs, |r| r.seed) {
        why.push(
            "The runs have different seeds, so different images were held out of the training set for scoring: small \
             differences in accuracy are within that noise.",
        );
    }
    if !shared(runs, &LATENCY) {
        why.push("The runs were timed on different hosts, engines or protocols: their latencies are not on one axis.");
    } else if !shared(runs, &MES) {
        why.push("The runs have different constants of the score: their scores are not on one axis.");
    }
    caveats("What is not compared", why.into_iter())
}

fn plots(runs: &[RunData], out: &mut OutputFolder) -> Result<String, ReportError> {
    let all: Vec<&RunData> = runs.iter().collect();
    let (plot, genomes) = trials::plot("runs", &all, &|m| shared(runs, m));
    if plot.is_empty() {
        return Ok(paragraph("The runs share nothing on one axis."));
    }
    interactive(&plot, &plot.element(&genomes), "", out)
}

fn progress_of_all(runs: &[RunData], out: &mut OutputFolder) -> Result<String, ReportError> {
    let all: Vec<&RunData> = runs.iter().collect();
    figures(&progress::charts(&all, &|m| shared(runs, m)), out)
}

/// One line a run: its best, its front, its hypervolume from one reference point, its part in the joint front.
fn summary(runs: &[RunData], _: &mut OutputFolder) -> Result<String, ReportError> {
    let comparable = shared(runs, runs[0].accuracy()) && shared(runs, &LATENCY);
    let reference = history::reference(&runs.iter().collect::<Vec<_>>()).filter(|_| comparable);
    let points: Vec<(usize, [f64; 2])> = runs
        .iter()
        .enumerate()
        .flat_map(|(i, r)| r.front().into_iter().filter_map(move |t| Some((i, t.values(history::objectives_of(r))?))))
        .collect();
    let joint = pareto::front(&points.iter().map(|(_, p)| *p).collect::<Vec<_>>(), &history::GOALS);
    let row = |(i, r): (usize, &RunData)| {
        let best = r.front().first().and_then(|t| t.metric(r.accuracy().name));
        let mes = r.trials.iter().filter_map(|t| t.mes).reduce(f64::max);
        let volume = reference.map(|reference| {
            let own: Vec<[f64; 2]> = points.iter().filter(|(run, _)| *run == i).map(|(_, p)| *p).collect();
            pareto::hypervolume(&own, &reference, &history::GOALS)
        });
        let part = joint.iter().filter(|k| points[**k].0 == i).count();
        vec![
            Cell::Text(r.header.name.clone()),
            Cell::Number(text::thousands(r.counts().scored as u64)),
            Cell::number(best, |v| format!("{v:.2}")),
            Cell::number(mes.filter(|_| shared(runs, &MES)), |v| format!("{v:.1}")),
            Cell::Number(r.front().len().to_string()),
            Cell::number(volume, |v| text::significant(v, 5)),
            if comparable { Cell::Share { part, whole: joint.len() } } else { Cell::Number("–".to_owned()) },
        ]
    };
    let rows: Vec<Vec<Cell>> = runs.iter().enumerate().map(row).collect();
    let best = format!("Best {} ({})", metrics::noun(runs[0].accuracy()), metrics::ACCURACY.unit);
    let volume = format!("Hypervolume ({})", history::unit());
    let heads = ["Run", "Scored", &best, "Best MES", "Front", &volume, "Of the joint front"];
    let note = reference.map_or_else(
        || "The runs share no reference point, so their hypervolumes are not compared.".to_owned(),
        |r| format!("{} It is the same for all runs.", progress::reference_words(&runs[0], r)),
    );
    Ok(table(&heads, &rows) + &paragraph(&note))
}
