//! How a search went: hypervolume and the best so far, trial by trial. For one run, or several on the same axes.

use super::html::{paragraph, section};
use super::index::figure;
use super::pareto::provenance;
use super::{Report, Site};
use crate::history::{self, Curve, History};
use crate::plot::{Chart, FRONT, Mark, Point, SERIES, Series, Steps};
use crate::{Frame, ReportError};
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::Done;
use mobilenas_record::{score, text};

/// The curves of one run.
pub struct Progress;

impl Report for Progress {
    fn name(&self) -> &str {
        "progress"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        out.plots(&charts(&[f], std::slice::from_ref(&f.run.name), &|_| true))
    }
}

/// One curve of a history.
struct Kind {
    file: &'static str,
    title: &'static str,
    y: &'static str,
    metric: &'static str,
    of: fn(&History) -> &Curve,
}

const KINDS: [Kind; 3] = [
    Kind {
        file: "progress_hypervolume",
        title: "hypervolume of the front so far",
        y: "Hypervolume of top-1 and latency (% · ms)",
        metric: metric::LATENCY,
        of: |h| &h.volume,
    },
    Kind {
        file: "progress_top1",
        title: "best top-1 so far",
        y: "Best top-1, search-validation split, inherited weights (%)",
        metric: metric::TOP1,
        of: |h| &h.top1,
    },
    Kind {
        file: "progress_mes",
        title: "best mobile efficiency score so far",
        y: "Best mobile efficiency score",
        metric: metric::MES,
        of: |h| &h.mes,
    },
];

/// The charts that have a point, with the names of their files; `may` says which metrics the runs can share.
pub(super) fn charts(frames: &[&Frame], names: &[String], may: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Chart)> {
    let Some(reference) = history::reference(frames) else { return Vec::new() };
    let histories: Vec<History> = frames.iter().map(|f| history::history(f, reference)).collect();
    let allowed = |k: &&Kind| may(metric::TOP1) && may(k.metric);
    KINDS
        .iter()
        .filter(allowed)
        .map(|k| (k.file, chart(frames, names, &histories, k, reference)))
        .filter(|(_, c)| !c.is_empty())
        .collect()
}

fn chart(frames: &[&Frame], names: &[String], histories: &[History], kind: &Kind, reference: [f64; 2]) -> Chart {
    let series = |(i, h): (usize, &History)| Series {
        name: names.get(i).cloned().unwrap_or_default(),
        mark: Mark::Speck,
        color: if frames.len() > 1 { SERIES[i % SERIES.len()] } else { FRONT },
        points: (kind.of)(h).iter().map(|(at, y)| Point::at(*at as f64, *y)).collect(),
        steps: Some(Steps::AcrossFirst),
    };
    let mut caption = Vec::new();
    if kind.file == KINDS[0].file {
        caption.push(reference_words(reference));
    }
    if kind.metric == metric::MES {
        // Each run measured its own unit.
        let unit = |f: &Frame| f.unit_latency_ms().filter(|_| frames.len() == 1);
        caption.extend(frames.first().map(|f| score::formula(&f.run.mes, unit(f))));
    }
    caption.extend(frames.iter().map(|f| provenance(f)));
    let whose = if frames.len() > 1 { format!("{} runs", frames.len()) } else { names.concat() };
    Chart {
        title: format!("{whose}: {}", kind.title),
        x_label: "Trials, in the order of the journal".to_owned(),
        y_label: kind.y.to_owned(),
        caption,
        series: histories.iter().enumerate().map(series).collect(),
    }
}

/// The reference point in words.
pub(super) fn reference_words([top1, latency]: [f64; 2]) -> String {
    format!(
        "Hypervolume: the area of top-1 and latency that the front dominates, up to the reference point: {} % top-1, \
         as by guessing, and {} ms, the slowest scored trial.",
        text::significant(top1, 3),
        text::significant(latency, 4)
    )
}

/// The section of one run's page.
pub(super) fn of_run(f: &Frame) -> Result<String, ReportError> {
    let charts = charts(&[f], std::slice::from_ref(&f.run.name), &|_| true);
    if charts.is_empty() {
        return Ok(String::new());
    }
    let mut body = paragraph(
        "Every trial of the journal counts, the published variants among them, which are scored before the search \
         asks for its first candidate.",
    );
    for (file, chart) in &charts {
        body += &figure(file, chart)?;
    }
    Ok(section("progress", "How the search went", &(body + &paragraph(&times(f)))))
}

/// Where the time went.
fn times(f: &Frame) -> String {
    let scoring: f64 = f.trials.iter().map(|e| e.trial.seconds).filter(|s| s.is_finite()).sum();
    let each = text::duration(scoring / f.trials.len().max(1) as f64);
    let mut words = format!("Scoring took {} in all, {each} a trial.", text::duration(scoring));
    if let Some(s) = &f.supernet {
        words += &format!(" Training the supernet took {}.", text::duration(s.seconds));
    }
    let retraining: f64 = f.retrained.iter().map(|r| r.seconds).sum();
    if !f.retrained.is_empty() {
        let all = text::plural(f.retrained.len(), "retraining");
        words += &format!(" {all} took {}.", text::duration(retraining));
    }
    if let Some(Done { seconds }) = &f.done {
        words += &format!(" The whole run worked for {}.", text::duration(seconds.values().sum()));
    }
    words
}
