//! The plots of a study.

use super::provenance;
use crate::page::pareto::drawable;
use crate::plot::{Bars, Chart, Mark, Point, RETRAINED, SERIES, Series, Steps, VARIANT};
use crate::study::{Band, Fidelity, NetworkOrigin, Standing, Study, StudyNetwork};
use crate::winners::BARS;
use mobilenas_record::Interval;
use mobilenas_record::text;

const MARKS: [Mark; 3] = [Mark::Dot, Mark::Diamond, Mark::Square];

/// `τ 0.71 (0.55 to 0.83)`.
fn shown(name: &str, value: Option<Interval>) -> String {
    value.map_or_else(
        || format!("{name} not known"),
        |v| format!("{name} {:.2} ({:.2} to {:.2})", v.value, v.low, v.high),
    )
}

/// Inherited against retrained top-1: all conditions on one pair of axes, then each on its own.
pub(super) fn ranks(study: &Study, all: &[Fidelity]) -> Vec<(String, Chart)> {
    let mut charts = vec![("rank_fidelity".to_owned(), rank(study, all, 0, "all conditions"))];
    if all.len() > 1 {
        charts.extend(all.iter().enumerate().map(|(i, one)| {
            let chart = rank(study, std::slice::from_ref(one), i, &one.condition.to_string());
            (format!("rank_fidelity_{}", i + 1), chart)
        }));
    }
    charts
}

fn rank(study: &Study, all: &[Fidelity], first: usize, which: &str) -> Chart {
    let series = |(i, f): (usize, &Fidelity)| Series {
        name: format!("{}: {}", f.condition, shown("τ", f.tau)),
        mark: MARKS[(first + i) % MARKS.len()],
        color: SERIES[(first + i) % SERIES.len()],
        points: f.pairs.iter().filter(|(_, x, y)| drawable(*x) && drawable(*y)).map(|p| Point::at(p.1, p.2)).collect(),
        steps: None,
    };
    let single = all.len() == 1;
    let which = if single { all[0].condition.to_string() } else { which.to_owned() };
    let words = match all {
        [one] => format!("{}; {}. ", shown("Kendall's τ-b", one.tau), shown("Spearman's ρ", one.rho)),
        _ => String::new(),
    };
    Chart {
        title: format!("{}: inherited against retrained top-1, {which}", study.header.name),
        x_label: "Top-1 on the search-validation split, inherited weights (%)".to_owned(),
        y_label: "Top-1 on the test split, trained alone (%)".to_owned(),
        caption: vec![
            format!(
                "{words}In brackets the middle 95 % of a bootstrap over networks. Each mark is one network; trained alone: \
                 mean over its trainings."
            ),
            provenance(study),
        ],
        series: all.iter().enumerate().map(series).collect(),
    }
}

/// Hypervolume over trials, a band for each strategy.
pub(super) fn volumes(study: &Study, all: &[Band]) -> Vec<(String, Chart)> {
    let series = |(i, b): (usize, &Band)| {
        let last = b.points.len().saturating_sub(1);
        let point = |(k, (at, low, middle, high)): (usize, &(u64, f64, f64, f64))| Point {
            bars: Bars { x: None, y: Some((*low, *high)) },
            label: (k == last).then(|| b.strategy.clone()),
            ..Point::at(*at as f64, *middle)
        };
        let sound = |p: &(usize, &(u64, f64, f64, f64))| [p.1.1, p.1.2, p.1.3].iter().all(|v| drawable(*v));
        Series {
            name: format!("{}, {}", b.strategy, text::plural(b.seeds, "seed")),
            mark: Mark::Speck,
            color: SERIES[i % SERIES.len()],
            points: b.points.iter().enumerate().filter(sound).map(point).collect(),
            steps: Some(Steps::Band),
        }
    };
    let volume = study.header.volume.as_ref();
    let y_label = volume.map_or_else(|| "Hypervolume".to_owned(), |v| format!("Hypervolume of {} ({})", v.of, v.unit));
    let mut caption = vec![
        "Line: median over seeds. Band: lower to upper quartile. Up to where the shortest search ends.".to_owned(),
        provenance(study),
    ];
    caption.extend(volume.map(|v| format!("One reference point for all searches: {}.", v.reference)));
    let chart = Chart {
        title: format!("{}: hypervolume over trials, by strategy", study.header.name),
        x_label: "Trials".to_owned(),
        y_label,
        caption,
        series: all.iter().enumerate().map(series).collect(),
    };
    vec![("hypervolume".to_owned(), chart)]
}

/// What a network costs, as the horizontal axis of a plot.
struct Axis {
    file: &'static str,
    title: &'static str,
    label: &'static str,
    /// What the largest value's prefix is read with: `billions`, `GB`; nothing for values with a unit of their own.
    units: Option<[&'static str; 4]>,
    of: fn(&StudyNetwork) -> Option<f64>,
}

const AXES: [Axis; 4] = [
    Axis {
        file: "papers_latency",
        title: "latency",
        label: "Median latency (ms)",
        units: None,
        of: |n| n.latency.as_ref().map(|l| l.median_ms),
    },
    Axis {
        file: "papers_params",
        title: "parameters",
        label: "Parameters",
        units: Some(["billions", "millions", "thousands", "ones"]),
        of: |n| Some(n.params as f64),
    },
    Axis {
        file: "papers_macs",
        title: "multiply-accumulates",
        label: "Multiply-accumulates of one image",
        units: Some(["billions", "millions", "thousands", "ones"]),
        of: |n| Some(n.macs as f64),
    },
    Axis {
        file: "papers_memory",
        title: "peak memory",
        label: "Peak memory of one image",
        units: Some(["GB", "MB", "kB", "bytes"]),
        of: |n| n.memory.map(|m| m as f64),
    },
];

/// Test top-1 with error bars against what networks cost; the axes that a network has a number for.
pub(super) fn standings(study: &Study, all: &[Standing]) -> Vec<(String, Chart)> {
    let charts = AXES.iter().map(|axis| (axis.file.to_owned(), standing(study, all, axis)));
    charts.filter(|(_, chart)| !chart.is_empty()).collect()
}

fn standing(study: &Study, all: &[Standing], axis: &Axis) -> Chart {
    let largest = all.iter().filter_map(|s| (axis.of)(s.network)).filter(|v| drawable(*v)).fold(0.0, f64::max);
    let (divisor, label) = match axis.units {
        None => (1.0, axis.label.to_owned()),
        Some(units) => {
            let (divisor, prefix) = text::si(largest);
            let unit = ["G", "M", "k", ""].iter().position(|p| *p == prefix).map_or("", |i| units[i]);
            (divisor, format!("{} ({unit})", axis.label))
        }
    };
    let point = |s: &Standing| {
        let x = (axis.of)(s.network).filter(|v| drawable(*v))? / divisor;
        let spread = s.network.latency.as_ref().filter(|_| axis.units.is_none()).map(|l| (l.p10_ms, l.p90_ms));
        let sound = |(low, high): &(f64, f64)| drawable(*low) && drawable(*high);
        let bars = Bars { x: spread.filter(sound), y: Some((s.top1.low, s.top1.high)).filter(sound) };
        drawable(s.top1.value).then(|| Point {
            label: Some(s.network.name.clone()),
            bars,
            ..Point::at(x, s.top1.value)
        })
    };
    let series = |name: &str, mark, color, origin| Series {
        name: name.to_owned(),
        mark,
        color,
        points: all.iter().filter(|s| s.network.origin == origin).filter_map(point).collect(),
        steps: None,
    };
    Chart {
        title: format!("{}: test top-1 against {}, trained alike", study.header.name, axis.title),
        x_label: label,
        y_label: "Top-1 on the test split, trained from scratch (%)".to_owned(),
        caption: vec![BARS.to_owned(), provenance(study)],
        series: vec![
            series("found by searches", Mark::Square, RETRAINED, NetworkOrigin::Found),
            series("the papers' variants", Mark::Diamond, VARIANT, NetworkOrigin::Published),
        ],
    }
}
