//! Several runs side by side: what they share on one axis, and what differs between them.
//!
//! Numbers share an axis only where they are of one kind: accuracies on the same images, latencies from the same host,
//! engine and protocol, scores with the same constants as well.

mod differences;

use std::path::Path;

use super::html::{self, Cell, escape, paragraph, section};
use super::index::{document, figure};
use super::{Site, progress, trials};
use crate::history;
use crate::{Frame, ReportError, Written};
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto;
use mobilenas_record::run::RunHeader;
use mobilenas_record::text;

/// The page's file.
const FILE: &str = "index.html";

/// Writes a page over several runs into `out`: `index.html` with its plots, and each run's own reports in `1`, `2`, ...
///
/// # Errors
/// If a file cannot be made or written.
pub fn compare(frames: &[Frame], out: &Path) -> Result<Written, ReportError> {
    let mut files = Vec::new();
    for (i, f) in frames.iter().enumerate() {
        files.extend(crate::render(f, &out.join((i + 1).to_string()))?.files);
    }
    let named = named(frames);
    let frames: Vec<&Frame> = named.iter().collect();
    let mut site = Site::flat(out);
    let names: Vec<String> = named.iter().map(|f| f.run.name.clone()).collect();
    let charts = progress::charts(&frames, &names, &|m| shared(&frames, m));
    site.plots(&charts)?;
    let mut progress = String::new();
    for (file, chart) in &charts {
        progress += &figure(file, chart)?;
    }
    let parts = [
        header(&frames),
        apart(&frames),
        plot(&frames),
        summary(&frames),
        if progress.is_empty() { progress } else { section("progress", "How the searches went", &progress) },
        differences::section_of(&frames),
    ];
    site.write(FILE, document(&format!("{} runs", frames.len()), &parts.concat()).as_bytes())?;
    files.extend(site.written().iter().cloned());
    Ok(Written { files, index: out.join(FILE) })
}

/// The runs, each with a name of its own.
fn named(frames: &[Frame]) -> Vec<Frame> {
    let twice = |name: &str| frames.iter().filter(|f| f.run.name == name).count() > 1;
    let rename = |(i, f): (usize, &Frame)| {
        let mut f = f.clone();
        if twice(&f.run.name) {
            f.run.name = format!("{} ({})", f.run.name, i + 1);
        }
        f
    };
    frames.iter().enumerate().map(rename).collect()
}

/// Whether all runs have something in common.
fn all_same<T: PartialEq>(frames: &[&Frame], of: impl Fn(&RunHeader) -> T) -> bool {
    frames.windows(2).all(|w| of(&w[0].run) == of(&w[1].run))
}

/// Whether a metric is of one kind in all runs.
fn shared(frames: &[&Frame], name: &str) -> bool {
    let latency = || all_same(frames, |r| (r.host.clone(), r.engine.clone()));
    match name {
        metric::LATENCY => latency(),
        metric::MES => latency() && all_same(frames, |r| r.mes.clone()),
        metric::TOP1 | metric::TEST_TOP1 => all_same(frames, |r| r.dataset.clone()),
        _ => true,
    }
}

fn header(frames: &[&Frame]) -> String {
    let row = |(i, f): (usize, &&Frame)| {
        let link = format!("<a href=\"{}/report/index.html\">{}</a>", i + 1, escape(&f.run.name));
        let caveats = match f.caveats.len() {
            0 => String::new(),
            n => format!(", {} on its page", text::plural(n, "caveat")),
        };
        let end = if f.done.is_some() { "finished" } else { "not finished" };
        format!(
            "<li>{link}: {}, {}, seed {}, {}, {end}{}</li>\n",
            escape(&f.run.family),
            escape(&f.run.strategy),
            f.run.seed,
            text::plural(f.trials.len(), "trial"),
            escape(&caveats)
        )
    };
    let list: String = frames.iter().enumerate().map(row).collect();
    format!("<header>\n<h1>{} runs side by side</h1>\n<ul>\n{list}</ul>\n</header>\n", frames.len())
}

/// What the runs do not share, and is therefore not on one axis.
fn apart(frames: &[&Frame]) -> String {
    let mut why = Vec::new();
    if !shared(frames, metric::TOP1) {
        why.push(
            "The runs have other data or splits: their accuracies are not on one axis, and no plot overlays them.",
        );
    } else if !all_same(frames, |r| r.seed) {
        why.push(
            "The runs have other seeds, so that other images were held out of the training set for scoring: small \
             differences in top-1 are within that noise.",
        );
    }
    if !shared(frames, metric::LATENCY) {
        why.push("The runs were timed on other hosts, engines or protocols: their latencies are not on one axis.");
    } else if !shared(frames, metric::MES) {
        why.push("The runs have other constants of the score: their scores are not on one axis.");
    }
    if why.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"apart\" class=\"caveats\">\n<h2>What is not compared</h2>\n{}</section>\n",
        html::list(why.into_iter())
    )
}

fn plot(frames: &[&Frame]) -> String {
    let view = trials::view("runs", frames, &|m| shared(frames, m));
    if view.y.is_empty() || view.x.is_empty() {
        return section("plots", "What top-1 costs", &paragraph("There is nothing that the runs share on one axis."));
    }
    section("plots", "What top-1 costs", &view.element())
}

/// One line a run: its best, its front, its hypervolume from one reference point, its part in the joint front.
fn summary(frames: &[&Frame]) -> String {
    let comparable = shared(frames, metric::TOP1) && shared(frames, metric::LATENCY);
    let reference = history::reference(frames).filter(|_| comparable);
    let points: Vec<(usize, [f64; 2])> = frames
        .iter()
        .enumerate()
        .flat_map(|(i, f)| f.front().into_iter().filter_map(move |e| Some((i, both(e)?))))
        .collect();
    let joint = pareto::front(&points.iter().map(|(_, p)| *p).collect::<Vec<_>>(), &history::GOALS);
    let row = |(i, f): (usize, &&Frame)| {
        let best = f.front().first().and_then(|e| e.metric(metric::TOP1));
        let mes = f.trials.iter().filter_map(|e| e.mes).reduce(f64::max);
        let volume = reference.map(|r| {
            let own: Vec<[f64; 2]> = points.iter().filter(|(run, _)| *run == i).map(|(_, p)| *p).collect();
            pareto::hypervolume(&own, &r, &history::GOALS)
        });
        let part = joint.iter().filter(|k| points[**k].0 == i).count();
        vec![
            Cell::Text(f.run.name.clone()),
            Cell::Number(text::thousands(f.counts().scored as u64)),
            Cell::number(best, |v| format!("{v:.2}")),
            Cell::number(mes.filter(|_| shared(frames, metric::MES)), |v| format!("{v:.1}")),
            Cell::Number(f.front().len().to_string()),
            Cell::number(volume, |v| text::significant(v, 5)),
            if comparable { Cell::Share { part, whole: joint.len() } } else { Cell::Number("–".to_owned()) },
        ]
    };
    let rows: Vec<Vec<Cell>> = frames.iter().enumerate().map(row).collect();
    let heads = ["Run", "Scored", "Best top-1 (%)", "Best MES", "Front", "Hypervolume (% · ms)", "Of the joint front"];
    let note = reference.map_or_else(
        || "There is no hypervolume, since the runs share no reference point.".to_owned(),
        |r| format!("{} One point for all runs.", progress::reference_words(r)),
    );
    section("summary", "The runs in numbers", &(html::table(&heads, &rows) + &paragraph(&note)))
}

fn both(e: &crate::Entry) -> Option<[f64; 2]> {
    Some([e.metric(metric::TOP1)?, e.metric(metric::LATENCY)?])
}
