//! The plot of winners retrained from scratch: test top-1 against latency.
//!
//! Another split and other weights than in the plots of the search, so it has a plot and axes of its own.

use super::pareto::{drawable, provenance};
use super::{Report, Site};
use crate::plot::{Bars, Chart, Mark, Point, RETRAINED, Series, VARIANT};
use crate::winners::{self, Winner};
use crate::{Frame, ReportError};
use mobilenas_record::metric::name as metric;
use mobilenas_record::text;

/// Winners retrained from scratch.
pub struct Winners;

/// Name of the plot's files.
pub(super) const FILE: &str = "retrained_latency";

impl Report for Winners {
    fn name(&self) -> &str {
        "retrained"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        chart(f).iter().try_for_each(|chart| out.plot(FILE, chart))
    }
}

/// The chart, if a retrained winner has both numbers.
pub(super) fn chart(f: &Frame) -> Option<Chart> {
    let point = |w: &Winner| {
        let (trial, top1) = (f.trial(w.trial)?, w.top1?);
        let x = trial.metric(metric::LATENCY)?;
        let measured = trial.trial.latency.as_ref().map(|l| (l.p10_ms, l.p90_ms));
        let sound = |(low, high): &(f64, f64)| drawable(*low) && drawable(*high);
        let bars = Bars { x: measured.filter(sound), y: Some((top1.low, top1.high)).filter(sound) };
        (drawable(x) && drawable(top1.value)).then(|| Point {
            label: Some(trial.label()),
            bars,
            ..Point::at(x, top1.value)
        })
    };
    let published = |w: &Winner| f.trial(w.trial).is_some_and(|e| e.variant().is_some());
    let (variants, winners): (Vec<Winner>, Vec<Winner>) = winners::winners(f).into_iter().partition(published);
    let series = |name: &str, mark, color, rows: Vec<Winner>| Series {
        name: name.to_owned(),
        mark,
        color,
        points: rows.iter().filter_map(point).collect(),
        steps: None,
    };
    let chart = Chart {
        title: format!("{}: test top-1 against latency, retrained from scratch", f.run.name),
        x_label: format!("{} (ms)", f.latency_word()),
        y_label: "Top-1 on the test split, retrained from scratch (%)".to_owned(),
        caption: caption(f),
        series: vec![
            series("found by the search", Mark::Square, RETRAINED, winners),
            series("published variants under this protocol", Mark::Diamond, VARIANT, variants),
        ],
    };
    (!chart.is_empty()).then_some(chart)
}

fn caption(f: &Frame) -> Vec<String> {
    let images = text::thousands(f.run.dataset.test as u64);
    vec![
        format!(
            "Each network trained from scratch for {} and scored on the {images} test images, which the search never \
             saw. Not to be compared with the top-1 of the search, which is on another split with inherited weights.",
            epochs(f)
        ),
        format!("{} Error bars of latency: 10th to 90th percentile of one measurement.", winners::BARS),
        provenance(f),
    ]
}

/// The epochs of the retrainings: `30 epochs`, or `20 to 30 epochs` should they differ.
fn epochs(f: &Frame) -> String {
    let all = f.retrained.iter().map(|r| r.epochs);
    let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), e| (lo.min(e), hi.max(e)));
    if least == most { format!("{most} epochs") } else { format!("{least} to {most} epochs") }
}
