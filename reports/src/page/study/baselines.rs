//! Found networks against published ones, all trained alike.

use mobilenas_record::metric::{LATENCY, MACS, MEMORY, PARAMS};
use mobilenas_record::study::{NetworkOrigin, StudyNetwork};
use mobilenas_record::{MetricInfo, text};

use super::this_study::source;
use crate::error::ReportError;
use crate::page::figure::interactive;
use crate::page::folder::OutputFolder;
use crate::page::html::{Cell, paragraph, table};
use crate::page::section::Section;
use crate::plot::{Axis, Group, InteractivePlot};
use crate::retrained::ERROR_BARS;
use crate::study::{ComparedNetwork, Study, compared_networks};
use crate::{metrics, table as tables};

pub(super) const SECTION: Section<Study> = Section {
    name: "baselines",
    heading: "Found networks against published ones",
    help: "do found networks dominate published ones when all are trained alike?",
    render,
};

/// Horizontal axes: metric, label, name of the chart's files.
const AXES: [(MetricInfo, &str, &str); 4] = [
    (LATENCY, "Median latency (ms)", "baselines_latency"),
    (PARAMS, "Learnable parameters", "baselines_params"),
    (MACS, "Multiply-accumulates of one image", "baselines_macs"),
    (MEMORY, "Peak memory of one image (bytes)", "baselines_memory"),
];

/// Which found networks dominate which published ones.
pub(super) fn answer(study: &Study) -> Option<String> {
    let all = compared_networks(study);
    let of = |origin| all.iter().filter(move |n| n.network.origin == origin);
    let (found, published) = (of(NetworkOrigin::Found), of(NetworkOrigin::Published));
    let (best, rival) = (found.clone().next()?, published.clone().next()?);
    let shown = |n: &ComparedNetwork| {
        let costs = [&LATENCY, &PARAMS].map(|m| value(n.network, m).map(|v| metrics::quantity(m, v)));
        let costs: Vec<String> = costs.into_iter().flatten().collect();
        let a = n.accuracy;
        format!("{} ({:.2} %, {:.2} to {:.2}; {})", n.network.name, a.value, a.low, a.high, costs.join(", "))
    };
    let won: Vec<String> = published
        .filter_map(|p| found.clone().find(|f| f.dominates(p)).map(|f| format!("{} dominates {}", shown(f), shown(p))))
        .collect();
    Some(match won.is_empty() {
        true => format!(
            "No found network dominates a published one in accuracy (outside the error bars), latency and parameters; the \
             most accurate ones are {} and {}.",
            shown(best),
            shown(rival)
        ),
        false => format!("In accuracy (outside the error bars), latency and parameters, {}.", won.join("; ")),
    })
}

fn render(study: &Study, out: &mut OutputFolder) -> Result<String, ReportError> {
    let all = compared_networks(study);
    if all.is_empty() {
        return Ok(paragraph("No found network and no published one was trained from scratch yet."));
    }
    let networks = tables::networks(study, origin);
    out.write("networks.csv", &networks.csv("networks.csv")?)?;
    let note = format!(
        "All were trained from scratch under one budget and scored on the {} test images, which no search saw. These are not \
         the accuracies that their authors published.",
        text::thousands(study.header.dataset.test as u64)
    );
    let plot = plot(study, &all);
    let body = [
        paragraph(&note),
        interactive(&plot, &plot.element(&[(); 0]), &source(study), out)?,
        rows(study, &all),
        "<p><a href=\"networks.csv\">networks.csv</a>: all networks of the study with their numbers</p>\n".to_owned(),
    ];
    Ok(body.concat())
}

/// A metric of a network, if it is known.
fn value(n: &StudyNetwork, metric: &MetricInfo) -> Option<f64> {
    match metric.name {
        name if name == LATENCY.name => n.latency.as_ref().map(|l| l.median_ms),
        name if name == PARAMS.name => Some(n.params as f64),
        name if name == MACS.name => Some(n.macs as f64),
        name if name == MEMORY.name => n.memory.map(|m| m as f64),
        _ => None,
    }
}

fn plot(study: &Study, all: &[ComparedNetwork]) -> InteractivePlot {
    let mut axes: Vec<Axis> = Vec::new();
    for (metric, label, file) in &AXES {
        let values = all.iter().map(|n| value(n.network, metric)).collect();
        let mut axis = metrics::axis(metric, label, file, values);
        if metric.name == LATENCY.name {
            for (i, l) in all.iter().enumerate().filter_map(|(i, n)| Some((i, n.network.latency.as_ref()?))) {
                axis.low.insert(i, l.p10_ms);
                axis.high.insert(i, l.p90_ms);
            }
        }
        axes.push(axis);
    }
    axes.retain(|a| a.values.iter().any(Option::is_some));
    let x: Vec<usize> = (0..axes.len()).collect();
    let accuracy = study.final_accuracy();
    axes.push(Axis {
        name: metrics::noun(accuracy),
        label: format!("{} on the test split, trained from scratch (%)", study.accuracy().label),
        unit: accuracy.unit,
        format: metrics::format(accuracy),
        goal: accuracy.goal,
        values: all.iter().map(|n| Some(n.accuracy.value)).collect(),
        low: all.iter().map(|n| n.accuracy.low).enumerate().collect(),
        high: all.iter().map(|n| n.accuracy.high).enumerate().collect(),
        note: ERROR_BARS.to_owned(),
        ..Axis::default()
    });
    let spaces = &study.header.spaces;
    let (filter, families) = match spaces.is_empty() {
        true => ("family", vec![study.header.family.clone()]),
        false => ("space", spaces.iter().map(|s| s.name.clone()).collect()),
    };
    let space = |n: &StudyNetwork| spaces.iter().position(|s| Some(&s.name) == n.space.as_ref()).unwrap_or(0);
    let found = Group { name: "found networks", ..Group::RETRAINED };
    let published = Group { name: "published networks", ..Group::VARIANTS };
    InteractivePlot {
        id: "compared",
        subject: study.header.name.clone(),
        title: "Test accuracy of found and published networks against their cost".to_owned(),
        y: vec![x.len()],
        x,
        axes,
        groups: vec![found, published],
        group: all.iter().map(|n| usize::from(n.network.origin == NetworkOrigin::Published)).collect(),
        filter,
        families,
        family: all.iter().map(|n| space(n.network)).collect(),
        names: all.iter().map(|n| n.network.name.clone()).enumerate().collect(),
        ..InteractivePlot::default()
    }
}

fn rows(study: &Study, all: &[ComparedNetwork]) -> String {
    let spaces = !study.header.spaces.is_empty();
    let row = |n: &ComparedNetwork| {
        let accuracies: Vec<String> = n.accuracies.iter().map(|v| format!("{v:.2}")).collect();
        let mut row = vec![
            Cell::Text(n.network.name.clone()),
            Cell::Text(origin(n.network.origin).to_owned()),
            Cell::Number(format!("{:.2}", n.accuracy.value)),
            Cell::Number(format!("{:.2}–{:.2}", n.accuracy.low, n.accuracy.high)),
            Cell::Number(accuracies.join(", ")),
        ];
        if spaces {
            row.insert(1, Cell::Text(n.network.space.clone().unwrap_or_default()));
        }
        row.extend(AXES.iter().map(|(m, ..)| Cell::number(value(n.network, m), |v| metrics::number(m, v))));
        row
    };
    let accuracy = metrics::head(study.final_accuracy());
    let heads = ["Network", "From", &accuracy, "Error bar", "Each seed (%)"].map(str::to_owned);
    let mut heads: Vec<String> = heads.into_iter().chain(AXES.iter().map(|(m, ..)| metrics::head(m))).collect();
    if spaces {
        heads.insert(1, "Space".to_owned());
    }
    table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

fn origin(origin: NetworkOrigin) -> &'static str {
    match origin {
        NetworkOrigin::Drawn => "drawn",
        NetworkOrigin::Found => "search",
        NetworkOrigin::Published => "paper",
    }
}
