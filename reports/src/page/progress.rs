//! How a search went: hypervolume and the best so far, trial by trial. For one run, or several on the same axes.

use mobilenas_record::metric::{LATENCY, MES};
use mobilenas_record::run::Done;
use mobilenas_record::{MetricInfo, score, text};

use super::about;
use super::figure::figures;
use super::folder::OutputFolder;
use super::html::paragraph;
use super::section::Section;
use crate::error::ReportError;
use crate::history::{self, Curve, History};
use crate::metrics;
use crate::plot::{Chart, FRONT, LineStyle, Mark, Point, SERIES, Series};
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "progress",
    heading: "How the search went",
    help: "hypervolume and the best so far over trials, and where the time went",
    render,
};

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    let charts = charts(&[run], &|_| true);
    if charts.is_empty() {
        return Ok(String::new());
    }
    let note = "Every trial of the journal counts, including the published variants, which are scored before the first \
                candidate of the search.";
    Ok(paragraph(note) + &figures(&charts, out)? + &paragraph(&times(run)))
}

/// One curve of a history.
struct Kind {
    file: String,
    title: String,
    y: String,
    metric: &'static MetricInfo,
    of: fn(&History) -> &Curve,
}

fn kinds(run: &RunData) -> [Kind; 3] {
    let accuracy = metrics::noun(run.accuracy());
    [
        Kind {
            file: HYPERVOLUME.to_owned(),
            title: "hypervolume of the front so far".to_owned(),
            y: format!("Hypervolume of {accuracy} and {} ({})", metrics::noun(&LATENCY), history::unit()),
            metric: &LATENCY,
            of: |h| &h.hypervolume,
        },
        Kind {
            file: format!("progress_{}", run.accuracy().name),
            title: format!("best {accuracy} so far"),
            y: format!("Best {accuracy}, search-validation split, inherited weights ({})", run.accuracy().unit),
            metric: run.accuracy(),
            of: |h| &h.accuracy,
        },
        Kind {
            file: format!("progress_{}", MES.name),
            title: "best mobile efficiency score so far".to_owned(),
            y: "Best mobile efficiency score".to_owned(),
            metric: &MES,
            of: |h| &h.mes,
        },
    ]
}

/// Name of the files of the hypervolume's chart.
const HYPERVOLUME: &str = "progress_hypervolume";

/// The charts that have a point, with the names of their files; `shared` says which metrics the runs share.
pub(super) fn charts(runs: &[&RunData], shared: &dyn Fn(&MetricInfo) -> bool) -> Vec<(String, Chart)> {
    let Some(reference) = history::reference(runs) else { return Vec::new() };
    let histories: Vec<History> = runs.iter().map(|r| history::history(r, reference)).collect();
    let first = runs.first().map(|run| (kinds(run), run.accuracy()));
    let Some((kinds, accuracy)) = first else { return Vec::new() };
    let allowed = kinds.into_iter().filter(|k| shared(accuracy) && shared(k.metric));
    let charts = allowed.map(|k| (k.file.clone(), chart(runs, &histories, &k, reference)));
    charts.filter(|(_, c)| !c.is_empty()).collect()
}

fn chart(runs: &[&RunData], histories: &[History], kind: &Kind, reference: [f64; 2]) -> Chart {
    let series = |(i, h): (usize, &History)| {
        let color = if runs.len() > 1 { SERIES[i % SERIES.len()] } else { FRONT };
        let points = (kind.of)(h).iter().map(|(at, y)| Point::at(*at as f64, *y)).collect();
        Series::new(runs[i].header.name.clone(), Mark::Small, color, points).joined(LineStyle::StepsPost)
    };
    let mut caption = Vec::new();
    if let (HYPERVOLUME, Some(run)) = (kind.file.as_str(), runs.first()) {
        caption.push(reference_words(run, reference));
    }
    if kind.metric.name == MES.name {
        // Each run has its own unit.
        let unit = |r: &RunData| r.unit_latency_ms().filter(|_| runs.len() == 1);
        caption.extend(runs.first().map(|r| score::formula(&r.header.mes, unit(r))));
    }
    caption.extend(runs.iter().map(|r| about::source(r)));
    let subject = if let [one] = runs { one.header.name.clone() } else { format!("{} runs", runs.len()) };
    Chart {
        title: format!("{subject}: {}", kind.title),
        x_label: "Trials, in the order of the journal".to_owned(),
        y_label: kind.y.clone(),
        caption,
        series: histories.iter().enumerate().map(series).collect(),
        ..Chart::default()
    }
}

/// The reference point in words.
pub(super) fn reference_words(run: &RunData, [accuracy, latency]: [f64; 2]) -> String {
    format!(
        "Hypervolume: the area of {noun} and latency that the front dominates, up to the reference point: {} % {noun}, the \
         accuracy of guessing, and {} ms, the latency of the slowest scored trial.",
        text::significant(accuracy, 3),
        text::significant(latency, 4),
        noun = metrics::noun(run.accuracy()),
    )
}

/// Where the time went.
fn times(run: &RunData) -> String {
    let scoring: f64 = run.trials.iter().map(|t| t.trial.seconds).filter(|s| s.is_finite()).sum();
    let each = text::duration(scoring / run.trials.len().max(1) as f64);
    let mut words = format!("Scoring took {} in all, {each} a trial.", text::duration(scoring));
    let supernets: f64 = run.supernets.iter().map(|s| s.seconds).sum();
    match run.supernets.len() {
        0 => {}
        1 => words += &format!(" Training the supernet took {}.", text::duration(supernets)),
        n => words += &format!(" Training the {n} supernets took {}.", text::duration(supernets)),
    }
    let retraining: f64 = run.retrained.iter().map(|r| r.seconds).sum();
    if !run.retrained.is_empty() {
        let all = text::plural(run.retrained.len(), "training");
        words += &format!(" {all} of single networks took {}.", text::duration(retraining));
    }
    if let Some(Done { seconds }) = &run.done {
        words += &format!(" The whole run took {} of work.", text::duration(seconds.values().sum()));
    }
    words
}
