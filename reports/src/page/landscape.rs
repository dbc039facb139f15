//! The published landscape: what papers print, on axes of its own.
//!
//! None of these numbers was made by this program. Latencies are shown one set at a time: one device, measured by one
//! group.

use std::collections::BTreeMap;

use super::html::{self, Cell, escape, paragraph, section};
use super::index::{fallback, links};
use super::view::{Axis, Group, Show, View};
use super::{Report, Site};
use crate::plot::{CANDIDATE, Chart, Mark, Point, SERIES, Series};
use crate::published::{Figure, Network, Published};
use crate::{Frame, ReportError};
use mobilenas_record::run::Mes;
use mobilenas_record::{Goal, pareto};
use mobilenas_record::{score, text};

/// The static plots of the landscape.
pub struct Landscape;

/// The set that holds the most of this program's families, measured together.
const MAIN: &str = "iphone12_efficientformerv2";
/// The network whose latency in a set gives the set's unit of the score.
const REFERENCE: &str = "MobileNetV2-1.0";

/// A number that lies horizontally.
#[derive(Clone, Copy)]
enum Across<'a> {
    Params,
    Macs,
    Latency(&'a str),
}

impl Across<'_> {
    fn figure<'n>(&self, n: &'n Network) -> Option<&'n Figure> {
        match self {
            Across::Params => n.params_m.as_ref(),
            Across::Macs => n.macs_g.as_ref(),
            Across::Latency(set) => n.latency_ms.get(*set),
        }
    }

    fn file(&self) -> &'static str {
        match self {
            Across::Params => "published_params",
            Across::Macs => "published_macs",
            Across::Latency(_) => "published_latency",
        }
    }

    fn label(&self, p: &Published) -> String {
        match self {
            Across::Params => "Parameters (millions)".to_owned(),
            Across::Macs => "Multiply-accumulates (billions)".to_owned(),
            Across::Latency(set) => format!("Latency (ms), {}", p.latency_name(set)),
        }
    }
}

const STATIC: [Across; 3] = [Across::Params, Across::Macs, Across::Latency(MAIN)];

impl Report for Landscape {
    fn name(&self) -> &str {
        "landscape"
    }

    fn render(&self, _: &Frame, out: &mut Site) -> Result<(), ReportError> {
        let p = Published::load()?;
        out.plots(&STATIC.map(|across| (across.file(), chart(&p, &across))))
    }
}

/// The families of this program among the published ones, in the order of the data; these have colours.
fn own(p: &Published) -> Vec<&str> {
    let mut families: Vec<&str> = Vec::new();
    for n in p.networks.iter().filter(|n| n.id.is_some()) {
        if !families.contains(&n.family.as_str()) {
            families.push(&n.family);
        }
    }
    families
}

fn chart(p: &Published, across: &Across) -> Chart {
    let own = own(p);
    let largest = |n: &Network| across.figure(n).is_some_and(|f| f.value <= 32.0);
    let point = |n: &Network| {
        let x = across.figure(n).filter(|_| largest(n))?.value;
        let soft = [across.figure(n), Some(&n.top1)].into_iter().flatten().any(|f| f.confidence.is_soft());
        Some(Point { label: Some(n.name.clone()), soft, ..Point::at(x, n.top1.value) })
    };
    let of = |family: &str| p.networks.iter().filter(|n| n.family == family).filter_map(point).collect();
    let mut series: Vec<Series> = own
        .iter()
        .enumerate()
        .map(|(i, family)| Series {
            name: (*family).to_owned(),
            mark: Mark::Dot,
            color: SERIES[i % SERIES.len()],
            points: of(family),
            steps: None,
        })
        .collect();
    let others = p.networks.iter().filter(|n| !own.contains(&n.family.as_str())).filter_map(point);
    let (name, mark) = ("others".to_owned(), Mark::Dot);
    series.insert(0, Series { name, mark, color: CANDIDATE, points: others.collect(), steps: None });
    let left = p.networks.iter().filter(|n| across.figure(n).is_some() && !largest(n)).count();
    let mut caption = vec![sources_note(), soft_note(p, across)];
    if left > 0 {
        caption.push(format!("{left} networks beyond 32 are left out here; the page has them."));
    }
    caption.retain(|c| !c.is_empty());
    Chart {
        title: "Published: ImageNet-1k top-1 against what networks cost".to_owned(),
        x_label: across.label(p),
        y_label: "Published top-1 on ImageNet-1k (%)".to_owned(),
        caption,
        series,
    }
}

fn sources_note() -> String {
    "As printed in the papers: other training, epochs, teachers and resolutions; nothing here was measured by this \
     program. Not comparable with the top-1 of a run on other data."
        .to_owned()
}

/// That some figures of an axis are less sure than printed, if they are.
fn soft_note(p: &Published, across: &Across) -> String {
    let soft = |n: &&Network| across.figure(n).is_some_and(|f| f.confidence.is_soft() || n.top1.confidence.is_soft());
    match p.networks.iter().filter(soft).count() {
        0 => String::new(),
        n => format!("Hollow marks, {n} of them: read off a figure, or contradicted by another printed figure."),
    }
}

/// The section of the page.
pub(super) fn section_of(f: &Frame) -> Result<String, ReportError> {
    let p = Published::load()?;
    let mut statics = String::new();
    for across in &STATIC {
        statics += &fallback(across.file(), &chart(&p, across))?;
    }
    let files: Vec<String> = STATIC.iter().map(|a| format!("{} ({})", links(a.file()), a.file())).collect();
    let body = [
        paragraph(&sources_note()),
        view(&p).element(),
        format!("<noscript>\n{statics}</noscript>\n"),
        format!("<p class=\"small\">{}</p>\n", files.join("; ")),
        ranking(&p, &f.run.mes),
    ];
    Ok(section("published", "The published landscape", &body.concat()))
}

fn view(p: &Published) -> View {
    let own = own(p);
    let mut families: Vec<&str> = own.clone();
    for n in &p.networks {
        if !families.contains(&n.family.as_str()) {
            families.push(&n.family);
        }
    }
    let place = |n: &Network| families.iter().position(|f| *f == n.family).unwrap_or_default();
    let mut sets: Vec<&str> = p.latencies.keys().map(String::as_str).collect();
    sets.sort_by_key(|s| *s != MAIN);
    let all: Vec<Across> =
        [Across::Params, Across::Macs].into_iter().chain(sets.into_iter().map(Across::Latency)).collect();
    let mut axes: Vec<Axis> = all.iter().map(|a| axis(p, a)).collect();
    axes.push(Axis {
        name: "published top-1".to_owned(),
        label: "Published top-1 on ImageNet-1k (%)".to_owned(),
        unit: "%",
        larger: true,
        ..marked(p, Show::Plain, &|n| Some(&n.top1))
    });
    View {
        id: "landscape",
        title: "Published networks".to_owned(),
        x: (0..all.len()).collect(),
        y: vec![all.len()],
        axes,
        groups: vec![Group { name: "published networks".to_owned(), mark: "dot", color: "" }],
        group: vec![0; p.networks.len()],
        filter: "family",
        colors: (0..families.len()).map(|i| if i < own.len() { i % SERIES.len() } else { SERIES.len() }).collect(),
        family: p.networks.iter().map(place).collect(),
        families: families.iter().map(|f| (*f).to_owned()).collect(),
        names: p.networks.iter().map(|n| n.name.clone()).enumerate().collect(),
        facts: p.networks.iter().map(|n| facts(p, n)).enumerate().collect(),
        ..View::default()
    }
}

fn axis(p: &Published, across: &Across) -> Axis {
    let name = match across {
        Across::Params => "parameters".to_owned(),
        Across::Macs => "MACs".to_owned(),
        Across::Latency(set) => format!("latency, {}", p.latency_name(set)),
    };
    let note = match across {
        Across::Latency(_) => "One set of latencies at a time: other devices, toolchains and years are other axes.",
        _ => "",
    };
    let unit = match across {
        Across::Params => "M",
        Across::Macs => "G",
        Across::Latency(_) => "ms",
    };
    let aside = matches!(across, Across::Latency(_));
    Axis {
        name,
        aside,
        label: across.label(p),
        unit,
        note: note.to_owned(),
        ..marked(p, Show::Plain, &|n| across.figure(n))
    }
}

/// An axis with its values, and what is soft about them.
fn marked<'n>(p: &'n Published, show: Show, figure: &dyn Fn(&'n Network) -> Option<&'n Figure>) -> Axis {
    let soft = |(i, n): (usize, &'n Network)| {
        let f = figure(n).filter(|f| f.confidence.is_soft())?;
        Some((i, f.confidence.words().to_owned()))
    };
    Axis {
        show,
        values: p.networks.iter().map(|n| figure(n).map(|f| f.value)).collect(),
        soft: p.networks.iter().enumerate().filter_map(soft).collect::<BTreeMap<_, _>>(),
        ..Axis::default()
    }
}

/// Where each figure of a network is from.
fn facts(p: &Published, n: &Network) -> Vec<[String; 2]> {
    let from = |f: &Figure| {
        let note = f.note.as_ref().map(|n| format!("; {n}")).unwrap_or_default();
        format!("{}, {}{note}", p.source(&f.source), f.confidence.words())
    };
    let mut rows = vec![["paper".to_owned(), format!("arXiv {}, {}", n.arxiv, n.year)]];
    rows.extend(n.px.map(|px| ["image".to_owned(), format!("{px} px")]));
    rows.extend(n.epochs.map(|e| ["epochs".to_owned(), e.to_string()]));
    if n.distilled {
        rows.push(["teacher".to_owned(), "learnt from one".to_owned()]);
    }
    rows.push(["source of top-1".to_owned(), from(&n.top1)]);
    rows.extend(n.params_m.as_ref().map(|f| ["source of parameters".to_owned(), from(f)]));
    rows.extend(n.macs_g.as_ref().map(|f| ["source of MACs".to_owned(), from(f)]));
    rows.extend(
        n.latency_ms.values().map(|f| ["source of a latency".to_owned(), format!("{} ms: {}", f.value, from(f))]),
    );
    rows
}

/// Rankings by the score, one for each set of latencies that has the reference network.
fn ranking(p: &Published, constants: &Mes) -> String {
    let reference = |set: &str| p.networks.iter().find(|n| n.name == REFERENCE)?.latency_ms.get(set);
    let mut sets: Vec<(&str, &Figure)> = p.latencies.keys().filter_map(|s| Some((s.as_str(), reference(s)?))).collect();
    sets.sort_by_key(|(s, _)| *s != MAIN);
    let one = |(set, reference): &(&str, &Figure)| {
        let open = if *set == MAIN { " open" } else { "" };
        let title = format!("MES ranking: {}", p.latency_name(set));
        let unit = score::unit_latency_ms(constants, reference.value);
        let formula = score::formula_on(constants, "in this set", Some(unit));
        format!(
            "<details{open}><summary>{}</summary>\n<p class=\"small\">{}</p>\n{}</details>\n",
            escape(&title),
            escape(&formula),
            table(p, constants, set, unit)
        )
    };
    sets.iter().map(one).collect()
}

fn table(p: &Published, constants: &Mes, set: &str, unit: f64) -> String {
    let scored = |n| -> Option<(f64, &Network, &Figure, &Figure)> {
        let n: &Network = n;
        let (params, ms) = (n.params_m.as_ref()?, n.latency_ms.get(set)?);
        Some((score::mes(constants, params.value * 1e6, ms.value, unit)?, n, params, ms))
    };
    let mut all: Vec<_> = p.networks.iter().filter_map(scored).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.name.cmp(&b.1.name)));
    let points: Vec<[f64; 2]> = all.iter().map(|(mes, n, ..)| [n.top1.value, *mes]).collect();
    let front = pareto::front(&points, &[Goal::Maximize, Goal::Maximize]);
    let mark = |f: &Figure| if f.confidence.is_soft() { format!(" ({})", f.confidence.words()) } else { String::new() };
    let row = |(i, (mes, n, params, ms)): (usize, &(f64, &Network, &Figure, &Figure))| {
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
    html::table(&heads, &rows)
}
