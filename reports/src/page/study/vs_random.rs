//! Strategies against random search.

use std::collections::BTreeMap;

use mobilenas_record::metric::{LATENCY, MACS, MEMORY, PARAMS};
use mobilenas_record::{Goal, MetricInfo, pareto, text};

use super::this_study::source;
use crate::error::ReportError;
use crate::page::figure::figures;
use crate::page::folder::OutputFolder;
use crate::page::html::{Cell, paragraph, table};
use crate::page::section::Section;
use crate::plot::{Bars, Chart, LineStyle, Mark, Point, SERIES, Series, drawable};
use crate::study::{EqualCost, HypervolumeBand, RANDOM, Study, at_equal_cost, bands, pairs_won};

pub(super) const SECTION: Section<Study> = Section {
    name: "vs_random",
    heading: "Strategies against random search",
    help: "does a strategy find more than random search?",
    render,
};

/// The strategies whose median hypervolume is above that of random search.
pub(super) fn answer(study: &Study) -> Option<String> {
    let all = bands(study);
    let random = all.iter().find(|b| b.strategy == RANDOM)?;
    let median = |b: &HypervolumeBand| b.points.last().map_or(0.0, |p| p.2);
    let others: Vec<&HypervolumeBand> = all.iter().filter(|b| b.strategy != RANDOM).collect();
    let mut ahead: Vec<&&HypervolumeBand> = others.iter().filter(|b| median(b) > median(random)).collect();
    ahead.sort_by(|a, b| median(b).total_cmp(&median(a)));
    let unit = study.header.volume.as_ref().map_or("", |v| v.unit.as_str());
    let words: Vec<String> = ahead
        .iter()
        .map(|b| {
            let (won, of) = pairs_won(b, random);
            format!("{} ({}, ahead in {won} of {of} pairs of seeds)", b.strategy, text::significant(median(b), 4))
        })
        .collect();
    let value = text::significant(median(random), 4);
    (!others.is_empty()).then(|| match words.is_empty() {
        true => format!("No strategy reaches a higher median hypervolume than random search ({value} {unit})."),
        false => format!(
            "{} of {} reach a higher median hypervolume than random search ({value} {unit}): {}.",
            ahead.len(),
            if others.len() == 1 { "1 strategy".to_owned() } else { format!("{} strategies", others.len()) },
            words.join(", ")
        ),
    })
}

fn render(study: &Study, out: &mut OutputFolder) -> Result<String, ReportError> {
    let all = bands(study);
    if all.is_empty() {
        return Ok(paragraph("No search has ended yet."));
    }
    let reference = study.header.volume.as_ref().map_or_else(String::new, |v| {
        format!(" Hypervolume of {}, with one reference point for all: {}.", v.of, v.reference)
    });
    let note = format!(
        "Each strategy searched several times with different seeds. The line is the median over seeds, the band reaches from \
         the lower to the upper quartile. All are shown up to where the shortest search ends.{reference}"
    );
    let costs = at_equal_cost(&study.searches);
    let mut charts = vec![("hypervolume", chart(study, &all))];
    charts.extend(AXES.iter().filter_map(|axis| Some((axis.file, fronts(study, axis)?))));
    let figures = figures(&charts, out)?;
    Ok(paragraph(&note) + &figures + &rows(&all) + &cost_rows(&costs))
}

/// Hypervolume over trials, a band for each strategy.
fn chart(study: &Study, all: &[HypervolumeBand]) -> Chart {
    let series = |(i, b): (usize, &HypervolumeBand)| {
        let last = b.points.len().saturating_sub(1);
        let point = |(k, (at, low, median, high)): (usize, &(u64, f64, f64, f64))| Point {
            bars: Bars { x: None, y: Some((*low, *high)) },
            label: (k == last).then(|| b.strategy.clone()),
            ..Point::at(*at as f64, *median)
        };
        let sound = |p: &(usize, &(u64, f64, f64, f64))| [p.1.1, p.1.2, p.1.3].iter().all(|v| drawable(*v));
        let points = b.points.iter().enumerate().filter(sound).map(point).collect();
        let name = format!("{}, {}", b.strategy, text::plural(b.seeds, "seed"));
        Series::new(name, Mark::Small, SERIES[i % SERIES.len()], points).joined(LineStyle::Band)
    };
    let volume = study.header.volume.as_ref();
    let y_label = volume.map_or_else(|| "Hypervolume".to_owned(), |v| format!("Hypervolume of {} ({})", v.of, v.unit));
    let mut caption = vec![
        "Line: median over seeds. Band: lower to upper quartile. Up to where the shortest search ends.".to_owned(),
        source(study),
    ];
    caption.extend(volume.map(|v| format!("One reference point for all searches: {}.", v.reference)));
    Chart {
        title: format!("{}: hypervolume over trials, by strategy", study.header.name),
        x_label: "Trials".to_owned(),
        y_label,
        caption,
        series: all.iter().enumerate().map(series).collect(),
        ..Chart::default()
    }
}

/// What fronts are drawn over.
struct FrontAxis {
    metric: MetricInfo,
    per_unit: f64,
    label: &'static str,
    file: &'static str,
}

const AXES: [FrontAxis; 4] = [
    FrontAxis { metric: PARAMS, per_unit: 1e3, label: "Parameters (k)", file: "fronts_params" },
    FrontAxis { metric: MACS, per_unit: 1e6, label: "MACs (M)", file: "fronts_macs" },
    FrontAxis { metric: MEMORY, per_unit: 1024.0, label: "Peak memory (KiB)", file: "fronts_memory" },
    FrontAxis { metric: LATENCY, per_unit: 1.0, label: "Latency by the table (ms)", file: "fronts_latency" },
];

/// The front of the accuracy and one other objective of each strategy, all seeds together; none where it is no objective, or
/// rows do not tell fronts.
fn fronts(study: &Study, axis: &FrontAxis) -> Option<Chart> {
    let goals = [Goal::Maximize, axis.metric.goal];
    let mut points: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for s in &study.searches {
        let point = |m: &BTreeMap<String, f64>| {
            Some([m.get(&study.header.metric)?, m.get(axis.metric.name)?].map(|v| *v))
                .filter(|p| p.iter().all(|v| drawable(*v)))
        };
        points.entry(&s.strategy).or_default().extend(s.front.iter().filter_map(point));
    }
    let mut series = Vec::new();
    for (i, (strategy, all)) in points.iter().enumerate() {
        let mut front: Vec<[f64; 2]> = pareto::front(all, &goals).into_iter().map(|at| all[at]).collect();
        front.sort_by(|a, b| a[1].total_cmp(&b[1]));
        let drawn = front.iter().map(|[accuracy, cost]| Point::at(cost / axis.per_unit, *accuracy)).collect();
        series.push(
            Series::new((*strategy).to_owned(), Mark::Small, SERIES[i % SERIES.len()], drawn)
                .joined(LineStyle::StepsPost),
        );
    }
    series.retain(|s| !s.points.is_empty());
    let noun = study.accuracy().noun();
    (!series.is_empty()).then(|| Chart {
        title: format!("{}: fronts that the strategies found", study.header.name),
        x_label: axis.label.to_owned(),
        y_label: format!("Inherited {noun} (%)"),
        caption: vec!["Of all seeds together.".to_owned(), source(study)],
        series,
        ..Chart::default()
    })
}

fn rows(all: &[HypervolumeBand]) -> String {
    let random = all.iter().find(|b| b.strategy == RANDOM);
    let row = |b: &HypervolumeBand| {
        let (at, low, median, high) = b.points.last().copied().unwrap_or_default();
        let won = match random {
            Some(random) if random.strategy != b.strategy => {
                let (won, of) = pairs_won(b, random);
                format!("{} of {of} ({:.0} %)", text::significant(won, 3), 100.0 * won / of.max(1) as f64)
            }
            _ => "–".to_owned(),
        };
        vec![
            Cell::Text(b.strategy.clone()),
            Cell::Number(b.seeds.to_string()),
            Cell::Number(text::thousands(at)),
            Cell::Number(text::significant(median, 4)),
            Cell::Number(format!("{}–{}", text::significant(low, 4), text::significant(high, 4))),
            Cell::Number(won),
        ]
    };
    let heads = ["Strategy", "Seeds", "Trials", "Median hypervolume", "Quartiles", "Pairs of seeds won against random"];
    table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

/// Strategies at equal cost; nothing where rows do not tell costs.
fn cost_rows(all: &[EqualCost]) -> String {
    let Some(seconds) = all.first().map(|one| one.seconds) else { return String::new() };
    let note = format!(
        "At equal cost: what the searches of a strategy reach in {} s of scoring, which is what the cheapest search took. The          last column tells after which share of a random search's cost half of them have the hypervolume that random search          ends with.",
        text::significant(seconds, 3)
    );
    let row = |one: &EqualCost| {
        let share = one.share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
        vec![
            Cell::Text(one.strategy.clone()),
            Cell::Number(one.volumes.len().to_string()),
            Cell::Number(text::significant(one.median, 4)),
            Cell::Number(share),
        ]
    };
    let heads = ["Strategy", "Seeds", "Median hypervolume at equal cost", "Cost until random's final hypervolume"];
    paragraph(&note) + &table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}
