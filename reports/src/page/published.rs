//! The published landscape: what papers print, on axes of its own.
//!
//! None of these numbers was made by this program. Latencies are shown one set at a time: one device, measured by one
//! group.

use std::collections::BTreeMap;

use mobilenas_record::run::Mes;
use mobilenas_record::{Goal, pareto, score, text};

use super::figure::interactive;
use super::folder::OutputFolder;
use super::html::{Cell, escape, small, table};
use super::section::Section;
use crate::error::ReportError;
use crate::plot::{Axis, Group, InteractivePlot, Mark, NumberFormat, SERIES};
use crate::published::{Published, PublishedFigure, PublishedNetwork};
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "published",
    heading: "The published landscape",
    help: "what papers print about networks for phones, with sources",
    render,
};

/// The set that holds most of this program's families, measured together.
const MAIN: &str = "iphone12_efficientformerv2";
/// The network whose latency in a set gives the set's unit of the score.
const REFERENCE: &str = "MobileNetV2-1.0";
/// Static charts leave out larger values (millions, billions, ms), which would crowd all others.
const LARGEST: f64 = 32.0;

const NOTE: &str = "As printed in the papers: training, epochs, teachers and resolutions differ, and nothing here was measured \
    by this program. Not comparable with the accuracy of a run on other data.";

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    let p = Published::load()?;
    let plot = plot(&p);
    let element = plot.element(&[(); 0]);
    Ok(interactive(&plot, &element, NOTE, out)? + &ranking(&p, &run.header.mes))
}

/// One number of a network.
type Figure<'a> = dyn Fn(&PublishedNetwork) -> Option<&PublishedFigure> + 'a;

fn plot(p: &Published) -> InteractivePlot {
    // The families of this program come first, and have colours.
    let mut families: Vec<&str> = Vec::new();
    let of_program = p.networks.iter().filter(|n| n.id.is_some());
    for n in of_program.clone().chain(&p.networks) {
        if !families.contains(&n.family.as_str()) {
            families.push(&n.family);
        }
    }
    let colored = |family: &str| of_program.clone().any(|n| n.family == family);
    let mut sets: Vec<&str> = p.latencies.keys().map(String::as_str).collect();
    sets.sort_by_key(|s| *s != MAIN);
    let counted = |name: &str, label: &str, unit, file, of: &Figure<'_>| Axis {
        name: name.to_owned(),
        label: label.to_owned(),
        unit,
        file,
        ..axis(p, of)
    };
    let mut axes = vec![
        counted("parameters", "Parameters (millions)", "M", "published_params", &|n| n.params_m.as_ref()),
        counted("MACs", "Multiply-accumulates (billions)", "G", "published_macs", &|n| n.macs_g.as_ref()),
    ];
    axes.extend(sets.into_iter().map(|set| Axis {
        name: format!("latency, {}", p.latency_name(set)),
        label: format!("Latency (ms), {}", p.latency_name(set)),
        unit: "ms",
        secondary: true,
        note: "One set of latencies at a time: other devices, toolchains and years are other axes.".to_owned(),
        file: if set == MAIN { "published_latency" } else { "" },
        ..axis(p, &|n| n.latency_ms.get(set))
    }));
    axes.iter_mut().for_each(|a| a.static_limit = Some(LARGEST));
    let x: Vec<usize> = (0..axes.len()).collect();
    axes.push(Axis {
        name: "published top-1".to_owned(),
        label: "Published top-1 on ImageNet-1k (%)".to_owned(),
        unit: "%",
        goal: Goal::Maximize,
        ..axis(p, &|n| Some(&n.top1))
    });
    let color = |(i, family): (usize, &&str)| if colored(family) { i % SERIES.len() } else { SERIES.len() };
    let place = |n: &PublishedNetwork| families.iter().position(|f| *f == n.family).unwrap_or_default();
    InteractivePlot {
        id: "landscape",
        subject: "Published".to_owned(),
        title: "Published networks".to_owned(),
        y: vec![x.len()],
        x,
        axes,
        groups: vec![Group { name: "published networks", mark: Mark::Dot, color: "" }],
        group: vec![0; p.networks.len()],
        uncertain: "read off a figure, or contradicted by another printed figure",
        filter: "family",
        colors: families.iter().enumerate().map(color).collect(),
        family: p.networks.iter().map(place).collect(),
        families: families.iter().map(|f| (*f).to_owned()).collect(),
        names: p.networks.iter().map(|n| n.name.clone()).enumerate().collect(),
        facts: p.networks.iter().map(|n| facts(p, n)).enumerate().collect(),
        ..InteractivePlot::default()
    }
}

/// An axis with the figures of all networks, and which of them are uncertain.
fn axis(p: &Published, of: &Figure<'_>) -> Axis {
    let uncertain = |(i, n): (usize, &PublishedNetwork)| {
        let f = of(n).filter(|f| f.confidence.is_uncertain())?;
        Some((i, f.confidence.words().to_owned()))
    };
    Axis {
        format: NumberFormat::Plain,
        values: p.networks.iter().map(|n| of(n).map(|f| f.value)).collect(),
        uncertain: p.networks.iter().enumerate().filter_map(uncertain).collect::<BTreeMap<_, _>>(),
        ..Axis::default()
    }
}

/// The sources of a network's figures.
fn facts(p: &Published, n: &PublishedNetwork) -> Vec<[String; 2]> {
    let from = |f: &PublishedFigure| {
        let note = f.note.as_ref().map(|n| format!("; {n}")).unwrap_or_default();
        format!("{}, {}{note}", p.source(&f.source), f.confidence.words())
    };
    let mut rows = vec![["paper".to_owned(), format!("arXiv {}, {}", n.arxiv, n.year)]];
    rows.extend(n.px.map(|px| ["image".to_owned(), format!("{px} px")]));
    rows.extend(n.epochs.map(|e| ["epochs".to_owned(), e.to_string()]));
    if n.distilled {
        rows.push(["training".to_owned(), "distilled from a teacher".to_owned()]);
    }
    rows.push(["source of top-1".to_owned(), from(&n.top1)]);
    rows.extend(n.params_m.as_ref().map(|f| ["source of parameters".to_owned(), from(f)]));
    rows.extend(n.macs_g.as_ref().map(|f| ["source of MACs".to_owned(), from(f)]));
    rows.extend(
        n.latency_ms.values().map(|f| ["source of a latency".to_owned(), format!("{} ms: {}", f.value, from(f))]),
    );
    rows
}

/// Rankings by the mobile efficiency score, one for each set of latencies with the reference network.
fn ranking(p: &Published, constants: &Mes) -> String {
    let reference = |set: &str| p.networks.iter().find(|n| n.name == REFERENCE)?.latency_ms.get(set);
    let mut sets: Vec<(&str, &PublishedFigure)> =
        p.latencies.keys().filter_map(|s| Some((s.as_str(), reference(s)?))).collect();
    sets.sort_by_key(|(s, _)| *s != MAIN);
    let one = |(set, reference): &(&str, &PublishedFigure)| {
        let open = if *set == MAIN { " open" } else { "" };
        let title = format!("MES ranking: {}", p.latency_name(set));
        let unit = score::unit_latency_ms(constants, reference.value);
        let formula = score::formula_on(constants, "in this set", Some(unit));
        let body = small(&formula) + &ranked(p, constants, set, unit);
        format!("<details{open}><summary>{}</summary>\n{body}</details>\n", escape(&title))
    };
    sets.iter().map(one).collect()
}

fn ranked(p: &Published, constants: &Mes, set: &str, unit: f64) -> String {
    let scored = |n| -> Option<(f64, &PublishedNetwork, &PublishedFigure, &PublishedFigure)> {
        let n: &PublishedNetwork = n;
        let (params, ms) = (n.params_m.as_ref()?, n.latency_ms.get(set)?);
        Some((score::mes(constants, params.value * 1e6, ms.value, unit)?, n, params, ms))
    };
    let mut all: Vec<_> = p.networks.iter().filter_map(scored).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.name.cmp(&b.1.name)));
    let points: Vec<[f64; 2]> = all.iter().map(|(mes, n, ..)| [n.top1.value, *mes]).collect();
    let front = pareto::front(&points, &[Goal::Maximize, Goal::Maximize]);
    let mark = |f: &PublishedFigure| {
        if f.confidence.is_uncertain() { format!(" ({})", f.confidence.words()) } else { String::new() }
    };
    let row = |(i, (mes, n, params, ms)): (usize, &(f64, &PublishedNetwork, &PublishedFigure, &PublishedFigure))| {
        vec![
            Cell::Number((i + 1).to_string()),
            Cell::Text(n.name.clone()),
            Cell::Number(format!("{mes:.1}")),
            Cell::Number(format!("{:.1}", n.top1.value)),
            Cell::Number(format!("{} M{}", params.value, mark(params))),
            Cell::Number(format!("{}{}", text::significant(ms.value, 3), mark(ms))),
            Cell::Text(if front.contains(&i) { "yes" } else { "" }.to_owned()),
        ]
    };
    let rows: Vec<Vec<Cell>> = all.iter().enumerate().map(row).collect();
    let heads =
        ["Rank", "Network", "MES", "Published top-1 (%)", "Params", "Latency (ms)", "On the front of top-1 and MES"];
    table(&heads, &rows)
}
