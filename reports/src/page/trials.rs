//! The plot of one run's trials, or of several runs', that can be asked.

use std::collections::BTreeMap;

use super::pareto::drawable;
use super::view::{Axis, Group, Show, View, genomes, short};
use crate::plot::SERIES;
use crate::winners::{self, Winner};
use crate::{Entry, Frame};
use mobilenas_record::metric::name as metric;
use mobilenas_record::{score, text};

/// Groups of the points, by position.
const GROUPS: [(&str, &str, &str); 3] = [
    ("candidates", "speck", "candidate"),
    ("published variants under this protocol", "diamond", "variant"),
    ("retrained winners", "square", "winner"),
];

/// What the memory of a trial is.
pub(super) const MEMORY: &str = "Single-precision weights, batch norms folded, and the most activations that are \
    alive at one time when the graph runs in its order on one image. Counted on the graph, not measured: an engine may \
    need less or more.";

/// A point: the run and its trial.
struct Point<'a> {
    run: usize,
    entry: &'a Entry,
    winner: Option<usize>,
}

/// The view of the scored trials of one run or several; `may` says which metrics may lie on one axis.
pub(super) fn view(id: &'static str, frames: &[&Frame], may: &dyn Fn(&str) -> bool) -> View {
    let retrained: Vec<Vec<Winner>> = frames.iter().map(|f| winners::winners(f)).collect();
    let mut points = Vec::new();
    let mut genomes = Vec::new();
    let mut activations = Vec::new();
    for (run, f) in frames.iter().enumerate() {
        let first = points.len();
        let winner = |e: &Entry| retrained[run].iter().position(|w| w.trial == e.trial.id && w.top1.is_some());
        points.extend(f.trials.iter().filter(|e| e.is_scored()).map(|entry| Point {
            run,
            entry,
            winner: winner(entry),
        }));
        let entries: Vec<&Entry> = points[first..].iter().map(|p| p.entry).collect();
        let read = genomes::read(f, &entries, first);
        genomes.push(read.genomes);
        activations.extend(read.activations);
    }
    let mut axes = axes(frames, &points, activations, may);
    let y: Vec<usize> = tops(frames, &points, &retrained, may)
        .into_iter()
        .map(|axis| {
            axes.push(axis);
            axes.len() - 1
        })
        .collect();
    let names = points.iter().enumerate().filter_map(|(i, p)| Some((i, p.entry.variant()?.to_owned())));
    let several = frames.len() > 1;
    View {
        id,
        title: "Top-1 of the trials against what they cost".to_owned(),
        x: (0..axes.len() - y.len()).collect(),
        y,
        axes,
        groups: GROUPS.iter().map(|(n, mark, color)| group(n, mark, if several { "" } else { color })).collect(),
        group: points.iter().map(kind).collect(),
        filter: if several { "run" } else { "family" },
        families: frames.iter().map(|f| if several { f.run.name.clone() } else { f.run.family.clone() }).collect(),
        colors: if several { (0..frames.len()).map(|i| i % SERIES.len()).collect() } else { Vec::new() },
        family: points.iter().map(|p| p.run).collect(),
        ids: points.iter().map(|p| p.entry.trial.id).collect(),
        names: names.collect(),
        facts: BTreeMap::new(),
        genomes,
    }
}

fn group(name: &str, mark: &'static str, color: &'static str) -> Group {
    Group { name: name.to_owned(), mark, color }
}

fn kind(p: &Point) -> usize {
    match (p.entry.variant(), p.winner) {
        (Some(_), _) => 1,
        (None, Some(_)) => 2,
        (None, None) => 0,
    }
}

fn values(points: &[Point], metric: &str) -> Vec<Option<f64>> {
    let value = |p: &Point| p.entry.metric(metric).filter(|v| drawable(*v)).and_then(|v| short(v, 6));
    points.iter().map(value).collect()
}

/// What a network costs: the metrics that every run has, what its graph says, and whatever else the journal has.
fn axes(frames: &[&Frame], points: &[Point], activations: Vec<Option<f64>>, may: &dyn Fn(&str) -> bool) -> Vec<Axis> {
    let axis = |name: &str, label: &str, unit, show, metric: &str| Axis {
        name: name.to_owned(),
        label: label.to_owned(),
        unit,
        show,
        values: values(points, metric),
        ..Axis::default()
    };
    let mut all = Vec::new();
    if may(metric::LATENCY) {
        let predicted = frames.iter().any(|f| f.predicted_latency());
        let word = if predicted { "Latency predicted by a table (ms)" } else { "Median latency (ms)" };
        let mut latency = axis("latency", word, "ms", Show::Plain, metric::LATENCY);
        for (i, p) in points.iter().enumerate() {
            // Of the many, the page shows the median alone.
            if let Some(l) = p.entry.trial.latency.as_ref().filter(|_| kind(p) > 0 || p.entry.on_front) {
                latency.low.extend(short(l.p10_ms, 4).map(|v| (i, v)));
                latency.high.extend(short(l.p90_ms, 4).map(|v| (i, v)));
            }
        }
        latency.note = "Error bars of latency: 10th to 90th percentile of one measurement.".to_owned();
        all.push(latency);
    }
    all.push(axis("parameters", "Learnable parameters", "", Show::Count, metric::PARAMS));
    all.push(axis("MACs", "Multiply-accumulates of one image", "", Show::Count, metric::MACS));
    let mut memory = axis("memory", "Peak memory of one image (bytes)", "", Show::Bytes, metric::MEMORY);
    memory.note = format!("Memory: {MEMORY}");
    all.push(memory);
    all.push(Axis {
        name: "activations".to_owned(),
        label: "Elements written for one image".to_owned(),
        show: Show::Count,
        values: activations,
        note: "Elements that convolutions, linear layers and products write for one image, counted on the graph: what \
               a network asks of memory traffic."
            .to_owned(),
        ..Axis::default()
    });
    if may(metric::MES) {
        let mut mes = axis("MES", "Mobile efficiency score", "", Show::Score, metric::MES);
        mes.larger = true;
        // Each run measured its own unit.
        let unit = |f: &Frame| f.unit_latency_ms().filter(|_| frames.len() == 1);
        mes.note = frames.first().map(|f| format!("{}.", score::formula(&f.run.mes, unit(f)))).unwrap_or_default();
        all.push(mes);
    }
    all.extend(others(points).into_iter().map(|m| axis(&m, &m, "", Show::Plain, &m)));
    all.retain(|a| a.values.iter().any(Option::is_some));
    all
}

/// Metrics of the journal that this page has no words for.
fn others(points: &[Point]) -> Vec<String> {
    use mobilenas_record::run::TrialOutcome;
    let known =
        [metric::LATENCY, metric::PARAMS, metric::MACS, metric::MEMORY, metric::MES, metric::TOP1, metric::TEST_TOP1];
    let mut names: Vec<String> = Vec::new();
    for p in points {
        if let TrialOutcome::Scored(metrics) = &p.entry.trial.outcome {
            let new = |n: &&String| !known.contains(&n.as_str()) && !names.contains(n);
            let found: Vec<String> = metrics.keys().filter(new).cloned().collect();
            names.extend(found);
        }
    }
    names.sort();
    names
}

/// The two top-1s, which never share an axis.
fn tops(frames: &[&Frame], points: &[Point], retrained: &[Vec<Winner>], may: &dyn Fn(&str) -> bool) -> Vec<Axis> {
    if !may(metric::TOP1) {
        return Vec::new();
    }
    let of = |n: fn(&Frame) -> usize| {
        let all: Vec<String> = frames.iter().map(|f| text::thousands(n(f) as u64)).collect();
        if all.windows(2).all(|w| w[0] == w[1]) { all[0].clone() } else { all.join(" or ") }
    };
    let search = Axis {
        name: "top-1 (search)".to_owned(),
        label: "Top-1, search-validation split, inherited weights (%)".to_owned(),
        unit: "%",
        show: Show::Percent,
        larger: true,
        values: values(points, metric::TOP1),
        note: format!(
            "Top-1 on {} images held out of the training set, with weights inherited from the supernet: it ranks \
             candidates and is not what a network reaches when trained on its own.",
            of(|f| f.run.dataset.scoring_images())
        ),
        ..Axis::default()
    };
    let mut test = Axis {
        name: "test top-1 (retrained)".to_owned(),
        label: "Top-1, test split, retrained from scratch (%)".to_owned(),
        unit: "%",
        show: Show::Percent,
        larger: true,
        values: vec![None; points.len()],
        note: format!("Top-1 on the {} test images. {}", of(|f| f.run.dataset.test), winners::BARS),
        ..Axis::default()
    };
    for (i, p) in points.iter().enumerate() {
        let top1 = p.winner.and_then(|w| retrained[p.run].get(w)).and_then(|w| w.top1);
        if let Some(top1) = top1 {
            test.values[i] = short(top1.value, 6);
            test.low.extend(short(top1.low, 5).map(|v| (i, v)));
            test.high.extend(short(top1.high, 5).map(|v| (i, v)));
        }
    }
    [search, test].into_iter().filter(|a| a.values.iter().any(Option::is_some)).collect()
}
