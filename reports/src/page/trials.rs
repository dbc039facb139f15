//! The plot of one run's trials, or of several runs'.

use std::borrow::Cow;

use mobilenas_record::metric::{LATENCY, MACS, MEMORY, MES, PARAMS};
use mobilenas_record::run::TrialOutcome;
use mobilenas_record::{Goal, MetricInfo, score, text};

use super::about;
use super::figure::interactive;
use super::folder::OutputFolder;
use super::genomes::{self, Genomes};
use super::html::paragraph;
use super::section::Section;
use crate::answer::objectives;
use crate::error::ReportError;
use crate::metrics;
use crate::plot::{Axis, Group, InteractivePlot, NumberFormat, SERIES};
use crate::retrained::{RetrainedNetwork, error_bars, retrained_networks};
use crate::run_data::{RunData, RunTrial};

/// Accuracy against what networks cost.
pub(super) const SECTION: Section<RunData> = Section {
    name: "plots",
    heading: "Accuracy against cost",
    help: "every scored network, with a choice of axes; a click shows its genome, layers and config",
    render,
};

/// What the memory of a trial is.
pub(super) const MEMORY_NOTE: &str = "float32 weights with folded batch norms, plus the most activations alive at one \
    time when the graph runs in its order on one image. Counted on the graph, not measured: an engine may need less or more.";

/// Horizontal axes: metric, label, name of the chart's files.
const AXES: [(MetricInfo, &str, &str); 8] = [
    (LATENCY, "Median latency (ms)", "pareto_latency"),
    (PARAMS, "Learnable parameters", "pareto_params"),
    (MACS, "Multiply-accumulates of one image", "pareto_macs"),
    (MEMORY, "Peak memory of one image (bytes)", "pareto_memory"),
    (MES, "Mobile efficiency score", "pareto_mes"),
    (metrics::INT8[0][0], "Top-1 of the int8 file, inherited weights (%)", "pareto_top1_int8"),
    (metrics::INT8[1][0], "mAP of the int8 file, inherited weights (%)", "pareto_map_int8"),
    (metrics::INT8[2][0], "mIoU of the int8 file, inherited weights (%)", "pareto_miou_int8"),
];

/// A point: its place among `families`, its trial, and the trial's retraining.
struct Candidate<'a> {
    family: usize,
    trial: &'a RunTrial,
    retrained: Option<&'a RetrainedNetwork>,
}

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    let (mut plot, genomes) = plot("trials", &[run], &|_| true);
    if run.scored().next().is_none() || plot.is_empty() {
        return Ok(paragraph("No trial was scored yet, so there is nothing to plot."));
    }
    // What the search optimised is shown first.
    let cost = objectives(run)[1].noun();
    plot.x.sort_by_key(|x| plot.axes[*x].name != cost);
    interactive(&plot, &plot.element(&genomes), &about::source(run), out)
}

/// The scored trials of one run or several, and their genomes; `shared` says which metrics may be on one axis.
pub(super) fn plot(
    id: &'static str,
    runs: &[&RunData],
    shared: &dyn Fn(&MetricInfo) -> bool,
) -> (InteractivePlot, Vec<Genomes>) {
    let spaces: Vec<Vec<Cow<'_, RunData>>> = runs.iter().map(|r| r.by_space()).collect();
    let retrained: Vec<Vec<RetrainedNetwork>> = runs.iter().map(|r| retrained_networks(r)).collect();
    let (mut points, mut genomes, mut activations) = (Vec::new(), Vec::new(), Vec::new());
    // A run's points stand space by space: each space has knobs of its own.
    for (run, spaces) in spaces.iter().enumerate() {
        for (space, data) in spaces.iter().enumerate() {
            let (first, family) = (points.len(), if runs.len() > 1 { run } else { space });
            let trained = |t: &RunTrial| retrained[run].iter().find(|n| n.trial == t.trial.id && n.accuracy.is_some());
            points.extend(data.scored().map(|trial| Candidate { family, trial, retrained: trained(trial) }));
            let trials: Vec<&RunTrial> = points[first..].iter().map(|p| p.trial).collect();
            let read = genomes::read(data, &trials, first);
            genomes.push(read.genomes);
            activations.extend(read.activations);
        }
    }
    let mut axes = cost_axes(runs, &points, activations, shared);
    let x = (0..axes.len()).collect();
    if runs.first().is_some_and(|run| shared(run.accuracy())) {
        axes.extend(accuracy_axes(runs, &points));
    }
    let (filter, families): (_, Vec<String>) = match runs {
        [one] if !one.header.spaces.is_empty() => ("space", one.header.spaces.iter().map(|s| s.name.clone()).collect()),
        [one] => ("family", vec![one.header.family.clone()]),
        several => ("run", several.iter().map(|r| r.header.name.clone()).collect()),
    };
    // Each run or space has its colour; the first one is that of the spaces' common front.
    let (several, first) = (filter != "family", usize::from(filter == "space"));
    let group = |g: Group| Group { color: if several { "" } else { g.color }, ..g };
    let names = points.iter().enumerate().filter_map(|(i, p)| Some((i, p.trial.variant()?.to_owned())));
    let plot = InteractivePlot {
        id,
        subject: if runs.len() == 1 { runs[0].header.name.clone() } else { format!("{} runs", runs.len()) },
        title: "Accuracy of the trials against their cost".to_owned(),
        y: (Vec::len(&x)..axes.len()).collect(),
        x,
        axes,
        groups: [Group::CANDIDATES, Group::VARIANTS, Group::RETRAINED].map(group).to_vec(),
        group: points.iter().map(kind).collect(),
        filter,
        colors: if several { (0..families.len()).map(|i| (i + first) % SERIES.len()).collect() } else { Vec::new() },
        families,
        family: points.iter().map(|p| p.family).collect(),
        ids: points.iter().map(|p| p.trial.trial.id).collect(),
        names: names.collect(),
        ..InteractivePlot::default()
    };
    (plot, genomes)
}

/// Index of the point's group.
fn kind(p: &Candidate) -> usize {
    match (p.trial.variant(), p.retrained) {
        (Some(_), _) => 1,
        (None, Some(_)) => 2,
        (None, None) => 0,
    }
}

fn values(points: &[Candidate], name: &str) -> Vec<Option<f64>> {
    points.iter().map(|p| p.trial.metric(name)).collect()
}

/// Known metrics, what the graphs tell, and whatever else the journals have.
fn cost_axes(
    runs: &[&RunData],
    points: &[Candidate],
    activations: Vec<Option<f64>>,
    shared: &dyn Fn(&MetricInfo) -> bool,
) -> Vec<Axis> {
    let mut all = Vec::new();
    for (metric, label, file) in AXES.iter().filter(|(metric, ..)| shared(metric)) {
        let mut axis = metrics::axis(metric, label, file, values(points, metric.name));
        match metric.name {
            name if name == LATENCY.name => latency_details(runs, points, &mut axis),
            name if name == MEMORY.name => axis.note = format!("Memory: {MEMORY_NOTE}"),
            name if name == MES.name => axis.note = format!("{}.", mes_formula(runs)),
            _ => {}
        }
        all.push(axis);
    }
    let written = Axis {
        name: "activations".to_owned(),
        label: "Elements written for one image".to_owned(),
        format: NumberFormat::Count,
        values: activations,
        note: "Elements that convolutions, linear layers and products write for one image, counted on the graph: a measure \
               of memory traffic."
            .to_owned(),
        ..Axis::default()
    };
    let before_mes = all.iter().position(|a| a.file == "pareto_mes").unwrap_or(all.len());
    all.insert(before_mes, written);
    let other = |name: String| Axis { values: values(points, &name), label: name.clone(), name, ..Axis::default() };
    all.extend(unknown_metrics(points).into_iter().map(other));
    all.retain(|a| a.values.iter().any(Option::is_some));
    all
}

fn latency_details(runs: &[&RunData], points: &[Candidate], axis: &mut Axis) {
    if runs.iter().any(|r| r.predicted_latency()) {
        axis.label = "Latency predicted by a table (ms)".to_owned();
    }
    for (i, p) in points.iter().enumerate() {
        // The page shows the spread of networks that matter, and the median of the others.
        if let Some(l) = p.trial.trial.latency.as_ref().filter(|_| kind(p) > 0 || p.trial.on_front) {
            axis.low.insert(i, l.p10_ms);
            axis.high.insert(i, l.p90_ms);
        }
    }
    axis.note = "Error bars of latency: 10th to 90th percentile of one measurement.".to_owned();
}

/// The formula of the score; each run has its own unit.
fn mes_formula(runs: &[&RunData]) -> String {
    match runs {
        [one] => one.mes_formula(),
        several => several.first().map(|r| score::formula(&r.header.mes, None)).unwrap_or_default(),
    }
}

/// Metrics of the journals that reports do not know, by name.
fn unknown_metrics(points: &[Candidate]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for p in points {
        if let TrialOutcome::Scored(all) = &p.trial.trial.outcome {
            let new = |n: &&String| metrics::known(n).is_none() && !names.contains(n);
            let found: Vec<String> = all.keys().filter(new).cloned().collect();
            names.extend(found);
        }
    }
    names.sort();
    names
}

/// The accuracy of the search and that after retraining, which never share an axis.
fn accuracy_axes(runs: &[&RunData], points: &[Candidate]) -> impl Iterator<Item = Axis> {
    let images = |n: fn(&RunData) -> usize| {
        let mut all: Vec<String> = runs.iter().map(|r| text::thousands(n(r) as u64)).collect();
        all.dedup();
        all.join(" or ")
    };
    let judged = runs[0].accuracy();
    let label = judged.label;
    let axis = |kind: &str, what: &str, values, note| Axis {
        name: kind.to_owned(),
        label: format!("{label}, {what} (%)"),
        unit: "%",
        format: metrics::format(judged),
        goal: Goal::Maximize,
        values,
        note,
        ..Axis::default()
    };
    let noun = metrics::noun(judged);
    let search = axis(
        &format!("{noun} (search)"),
        "search-validation split, inherited weights",
        values(points, judged.name),
        format!(
            "{label} on {} images held out of the training set, with weights inherited from the supernet: it ranks \
             candidates, and is not what a network reaches when it is trained on its own.",
            images(|r| r.header.dataset.scoring_images())
        ),
    );
    let trained = |p: &Candidate| p.retrained.and_then(|n| n.accuracy);
    let mut test = axis(
        &format!("test {noun} (retrained)"),
        &format!("test split, {}", runs[0].retraining()),
        points.iter().map(|p| trained(p).map(|a| a.value)).collect(),
        format!("{label} on the {} test images. {}", images(|r| r.header.dataset.test), error_bars(runs[0])),
    );
    for (i, accuracy) in points.iter().enumerate().filter_map(|(i, p)| Some((i, trained(p)?))) {
        test.low.insert(i, accuracy.low);
        test.high.insert(i, accuracy.high);
    }
    [search, test].into_iter().filter(|a| a.values.iter().any(Option::is_some))
}
