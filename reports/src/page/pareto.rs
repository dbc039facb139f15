//! Plots of top-1 on the search-validation split, inherited weights, against what a network costs.
//!
//! One plot an axis. All points of a plot have the same host, engine, data and weights. Published accuracies and the
//! test top-1 of retrained winners are other quantities and are not here.

use super::{Report, Site};
use crate::plot::{CANDIDATE, Chart, FRONT, Mark, Point, Series, Steps, VARIANT};
use crate::{Entry, Frame, ReportError};
use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;
use mobilenas_record::{score, text};

/// Top-1 against each of the axes.
pub struct Pareto;

/// What a network costs, as the horizontal axis of a plot.
struct Axis {
    /// The metric's name.
    metric: &'static str,
    /// Name of the plot's files.
    file: &'static str,
    /// What the headline calls it.
    title: &'static str,
    /// What it is.
    what: &'static str,
    /// Its unit; none for a plain number, and for counts, which get theirs by their size.
    unit: &'static str,
    /// Which way it is better.
    goal: Goal,
}

const AXES: &[Axis] = &[
    Axis {
        metric: metric::LATENCY,
        file: "pareto_latency",
        title: "latency",
        what: "Median latency",
        unit: "ms",
        goal: Goal::Minimize,
    },
    Axis {
        metric: metric::PARAMS,
        file: "pareto_params",
        title: "parameters",
        what: "Parameters",
        unit: "",
        goal: Goal::Minimize,
    },
    Axis {
        metric: metric::MACS,
        file: "pareto_macs",
        title: "multiply-accumulates",
        what: "Multiply-accumulates of one image",
        unit: "",
        goal: Goal::Minimize,
    },
    Axis {
        metric: metric::MEMORY,
        file: "pareto_memory",
        title: "peak memory",
        what: "Peak memory of one image: weights and live activations",
        unit: "",
        goal: Goal::Minimize,
    },
    Axis {
        metric: metric::MES,
        file: "pareto_mes",
        title: "mobile efficiency score",
        what: "Mobile efficiency score (larger is better)",
        unit: "",
        goal: Goal::Maximize,
    },
];

impl Report for Pareto {
    fn name(&self) -> &str {
        "pareto"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        out.plots(&charts(f))
    }
}

/// The charts that have a point, with the names of their files.
pub(super) fn charts(f: &Frame) -> Vec<(&'static str, Chart)> {
    AXES.iter().map(|axis| (axis.file, chart(f, axis))).filter(|(_, chart)| !chart.is_empty()).collect()
}

/// What every plot of a run says below itself: where its numbers come from.
pub(super) fn provenance(f: &Frame) -> String {
    let run = &f.run;
    let table = f.latency_table.as_ref().filter(|_| f.predicted_latency());
    let predicted = table.map_or_else(String::new, |t| {
        format!(
            " Latencies are sums over a table measured on {} with {} {}.",
            t.device, t.engine.name, t.engine.version
        )
    });
    format!(
        "Host {}; engine {} {}, {}, {}, batch {}.{predicted} Data set {} ({} classes). Family {}, strategy {}, seed {}.",
        run.host.caption(),
        run.engine.name,
        run.engine.version,
        run.engine.precision,
        text::plural(run.engine.threads, "thread"),
        run.engine.batch,
        run.dataset.name,
        run.dataset.classes,
        run.family,
        run.strategy,
        run.seed,
    )
}

/// A value that can be drawn: beyond this, a number is a mistake and would leave no room for the others.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() < 1e15
}

fn chart(f: &Frame, axis: &Axis) -> Chart {
    let at = |e: &Entry| {
        let (x, y) = (e.metric(axis.metric)?, e.metric(metric::TOP1)?);
        (e.is_scored() && drawable(x) && drawable(y)).then_some((x, y))
    };
    let largest = f.trials.iter().filter_map(at).map(|(x, _)| x).fold(0.0, f64::max);
    let (divisor, unit) = match axis.metric {
        metric::MEMORY => match text::si(largest) {
            (divisor, "G") => (divisor, "GB"),
            (divisor, "M") => (divisor, "MB"),
            (divisor, "k") => (divisor, "kB"),
            (divisor, _) => (divisor, "bytes"),
        },
        metric::PARAMS | metric::MACS => match text::si(largest) {
            (divisor, "G") => (divisor, "billions"),
            (divisor, "M") => (divisor, "millions"),
            (divisor, "k") => (divisor, "thousands"),
            (divisor, _) => (divisor, ""),
        },
        _ => (1.0, axis.unit),
    };
    let what = if axis.metric == metric::LATENCY { f.latency_word() } else { axis.what };
    let point = |e: &Entry, label: Option<String>| at(e).map(|(x, y)| Point { label, ..Point::at(x / divisor, y) });
    let rest = f.trials.iter().filter(|e| e.variant().is_none());
    let variants = f.trials.iter().filter(|e| e.variant().is_some());
    let on_front = f.front_against(axis.metric, axis.goal);
    let label = |e: &Entry| e.variant().is_none().then(|| e.label());
    let mut front: Vec<Point> = on_front.iter().filter_map(|i| point(&f.trials[*i], label(&f.trials[*i]))).collect();
    front.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let steps = if axis.goal == Goal::Minimize { Steps::AcrossFirst } else { Steps::DownFirst };
    let series = |name: &str, mark, color, steps, points| Series { name: name.to_owned(), mark, color, points, steps };
    Chart {
        title: format!("{}: top-1 against {}", f.run.name, axis.title),
        x_label: if unit.is_empty() { what.to_owned() } else { format!("{what} ({unit})") },
        y_label: "Top-1 on the search-validation split, inherited weights (%)".to_owned(),
        caption: caption(f, axis),
        series: vec![
            series("candidates", Mark::Speck, CANDIDATE, None, rest.filter_map(|e| point(e, None)).collect()),
            series("front", Mark::Dot, FRONT, Some(steps), front),
            series(
                "published variants under this protocol",
                Mark::Diamond,
                VARIANT,
                None,
                variants.filter_map(|e| point(e, Some(e.label()))).collect(),
            ),
        ],
    }
}

fn caption(f: &Frame, axis: &Axis) -> Vec<String> {
    let images = text::thousands(f.run.dataset.scoring_images() as u64);
    let mut caption = vec![
        format!(
            "Top-1 on {images} images held out of the training set, with weights inherited from the supernet: it ranks \
             candidates and is not what a network reaches when trained on its own."
        ),
        provenance(f),
    ];
    if axis.metric == metric::MES {
        caption.push(score::formula(&f.run.mes, f.unit_latency_ms()));
    }
    caption
}
