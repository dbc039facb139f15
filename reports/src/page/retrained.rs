//! The plot of winners retrained from scratch: test top-1 against latency.
//!
//! Another split and other weights than in the plots of the search, so it has a plot and axes of its own.

use super::pareto::{drawable, provenance};
use super::{Report, Site};
use crate::plot::{Chart, Mark, Point, RETRAINED, Series, VARIANT};
use crate::record::{Retrained, metric};
use crate::{Frame, ReportError, text};

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
    let point = |r: &Retrained| {
        let (trial, y) = (f.trial(r.trial)?, *r.metrics.get(metric::TEST_TOP1)?);
        let x = trial.metric(metric::LATENCY)?;
        (drawable(x) && drawable(y)).then(|| Point { x, y, label: Some(trial.label()) })
    };
    let published = |r: &&Retrained| f.trial(r.trial).is_some_and(|e| e.variant().is_some());
    let (variants, winners): (Vec<&Retrained>, Vec<&Retrained>) = f.retrained.iter().partition(published);
    let series = |name: &str, mark, color, rows: Vec<&Retrained>| Series {
        name: name.to_owned(),
        mark,
        color,
        points: rows.into_iter().filter_map(point).collect(),
        steps: None,
    };
    let chart = Chart {
        title: format!("{}: test top-1 against latency, retrained from scratch", f.run.name),
        x_label: "Median latency (ms)".to_owned(),
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
        provenance(f),
    ]
}

/// The epochs of the retrainings: `30 epochs`, or `20 to 30 epochs` should they differ.
fn epochs(f: &Frame) -> String {
    let all = f.retrained.iter().map(|r| r.epochs);
    let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), e| (lo.min(e), hi.max(e)));
    if least == most { format!("{most} epochs") } else { format!("{least} to {most} epochs") }
}
