//! The model zoo: latencies that were measured on one host beside the top-1 that papers print, as a ranked table and a plot.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mobilenas_record::run::Mes;
use mobilenas_record::{Goal, pareto, score, text};

use crate::error::ReportError;
use crate::plot::{
    self, Bars, CANDIDATE, Chart, Color, FRONT, LineStyle, Mark, Placement, Point, SERIES, Series, Size,
};
use crate::published::{Confidence, Published, PublishedFigure};

const SIZE: Size = Size { width: 1100, height: 720 };
/// The network whose latency gives the unit of the score.
const REFERENCE: &str = "mobilenetv2_100";
/// A plot of fewer networks shows nothing that the table does not.
const FEWEST: usize = 3;

/// A network as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredNetwork {
    /// Its name in this program.
    pub id: String,
    /// Parameters.
    pub params: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// Median latency in ms.
    pub latency_ms: f64,
    /// Its 95 % interval.
    pub interval_ms: (f64, f64),
    /// Whether the measurement met its protocol.
    pub reliable: bool,
}

/// The table and the plot.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelZoo {
    /// The table as Markdown, with what it shows.
    pub markdown: String,
    /// The plot as SVG.
    pub svg: String,
}

struct Entry<'a> {
    measured: &'a MeasuredNetwork,
    family: &'a str,
    top1: &'a PublishedFigure,
    mes: Option<f64>,
    on_front: bool,
}

/// The networks with a published top-1, ranked by the mobile efficiency score where MobileNetV2 was measured among them,
/// else by latency; none if they are fewer than three. `setting` says how they were measured.
///
/// # Errors
/// If the plot cannot be drawn.
pub fn model_zoo(setting: &str, measured: &[MeasuredNetwork]) -> Result<Option<ModelZoo>, ReportError> {
    let published = Published::load()?;
    let entries = entries(&published, measured);
    if entries.len() < FEWEST {
        return Ok(None);
    }
    let chart = chart(setting, &entries);
    let svg = plot::svg(&plot::picture(&chart, SIZE, Placement::Standalone), &chart.title)
        .map_err(|why| ReportError::Plot { name: "model_zoo".to_owned(), why })?;
    Ok(Some(ModelZoo { markdown: markdown(setting, &entries, measured), svg }))
}

/// The unit of latency, if the reference network was measured.
fn unit(measured: &[MeasuredNetwork]) -> Option<f64> {
    let reference = measured.iter().find(|m| m.id == REFERENCE)?;
    Some(score::unit_latency_ms(&Mes::default(), reference.latency_ms))
}

fn entries<'a>(published: &'a Published, measured: &'a [MeasuredNetwork]) -> Vec<Entry<'a>> {
    let (constants, unit) = (Mes::default(), unit(measured));
    let entry = |m: &'a MeasuredNetwork| {
        let network = published.networks.iter().find(|n| n.id.as_deref() == Some(&m.id))?;
        let mes = unit.and_then(|unit| score::mes(&constants, m.params as f64, m.latency_ms, unit));
        Some(Entry { measured: m, family: &network.family, top1: &network.top1, mes, on_front: false })
    };
    let mut all: Vec<Entry<'_>> = measured.iter().filter_map(entry).collect();
    let rank = |e: &Entry<'_>| (-e.mes.unwrap_or(0.0), e.measured.latency_ms);
    all.sort_by(|a, b| {
        let ((a_mes, a_ms), (b_mes, b_ms)) = (rank(a), rank(b));
        a_mes.total_cmp(&b_mes).then(a_ms.total_cmp(&b_ms)).then(a.measured.id.cmp(&b.measured.id))
    });
    let points: Vec<[f64; 2]> = all.iter().map(|e| [e.measured.latency_ms, e.top1.value]).collect();
    for i in pareto::front(&points, &[Goal::Minimize, Goal::Maximize]) {
        all[i].on_front = true;
    }
    all
}

fn markdown(setting: &str, entries: &[Entry<'_>], measured: &[MeasuredNetwork]) -> String {
    let mut out = format!(
        "{} networks, {setting}. Top-1 is what papers print for ImageNet-1k; recipes, teachers and resolutions differ.\n\n\
         | rank | network | family | published top-1 (%) | parameters | MACs | latency (ms) | MES | on the front |\n\
         |---:|---|---|---:|---:|---:|---:|---:|---|\n",
        entries.len()
    );
    for (i, e) in entries.iter().enumerate() {
        let (m, digits) = (e.measured, |ms: f64| text::significant(ms, 3));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.1}{} | {} | {} | {} ({} to {}){} | {} | {} |",
            i + 1,
            m.id,
            e.family,
            e.top1.value,
            if e.top1.confidence == Confidence::Seen { "" } else { "*" },
            text::count(m.params as f64),
            text::count(m.macs as f64),
            digits(m.latency_ms),
            digits(m.interval_ms.0),
            digits(m.interval_ms.1),
            if m.reliable { "" } else { "†" },
            e.mes.map_or(String::new(), |mes| format!("{mes:.1}")),
            if e.on_front { "yes" } else { "" },
        );
    }
    let _ = writeln!(out, "\n{}.", score::formula(&Mes::default(), unit(measured)));
    if entries.iter().any(|e| e.top1.confidence != Confidence::Seen) {
        out += "\n\\* not printed by the network's authors, or contradicted by another printed figure.\n";
    }
    if entries.iter().any(|e| !e.measured.reliable) {
        out += "\n† unreliable: the measurement did not meet its protocol, as on a busy machine.\n";
    }
    let left: Vec<&str> =
        measured.iter().map(|m| m.id.as_str()).filter(|id| entries.iter().all(|e| e.measured.id != *id)).collect();
    if !left.is_empty() {
        let _ = writeln!(out, "\nMeasured, without a published top-1 that could be read: {}.", left.join(", "));
    }
    out
}

/// Families with a network on the front have colours and names.
fn chart(setting: &str, entries: &[Entry<'_>]) -> Chart {
    let mut families: BTreeMap<&str, Vec<&Entry<'_>>> = BTreeMap::new();
    entries.iter().for_each(|e| families.entry(e.family).or_default().push(e));
    let leads = |all: &[&Entry<'_>]| all.iter().any(|e| e.on_front);
    let (leading, rest): (Vec<_>, Vec<_>) = families.into_iter().partition(|(_, all)| leads(all));
    let point = |e: &Entry<'_>| Point {
        label: e.on_front.then(|| e.measured.id.clone()),
        bars: Bars { x: Some(e.measured.interval_ms), y: None },
        uncertain: e.top1.confidence.is_uncertain() || !e.measured.reliable,
        ..Point::at(e.measured.latency_ms, e.top1.value)
    };
    let points = |all: &[&Entry<'_>]| all.iter().map(|e| point(e)).collect::<Vec<_>>();
    let others: Vec<&Entry<'_>> = rest.into_iter().flat_map(|(_, all)| all).collect();
    let mut front: Vec<Point> =
        entries.iter().filter(|e| e.on_front).map(|e| Point::at(e.measured.latency_ms, e.top1.value)).collect();
    front.sort_by(|a, b| a.x.total_cmp(&b.x));
    let mut series = vec![
        Series::new("other families", Mark::Small, CANDIDATE, points(&others)),
        Series::new("front", Mark::Small, FRONT, front).joined(LineStyle::StepsPost),
    ];
    let color = |i: usize| -> Color { SERIES[i % SERIES.len()] };
    series.extend(
        leading.iter().enumerate().map(|(i, (name, all))| Series::new(*name, Mark::Dot, color(i), points(all))),
    );
    series.retain(|s| !s.points.is_empty());
    Chart {
        title: "Model zoo: measured latency and published top-1".to_owned(),
        x_label: "Latency (ms), measured on this host".to_owned(),
        y_label: "Published top-1 on ImageNet-1k (%)".to_owned(),
        caption: vec![
            format!("{setting}. Bars are 95 % intervals of the median."),
            "Top-1 as printed in the papers: recipes, teachers and resolutions differ. Hollow: less certain, or unreliable."
                .to_owned(),
        ],
        series,
        log_x: true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn network(id: &str, latency_ms: f64, params: u64) -> MeasuredNetwork {
        let interval_ms = (0.9 * latency_ms, 1.1 * latency_ms);
        let reliable = id != "mobilevit_xs";
        MeasuredNetwork { id: id.to_owned(), params, macs: 300_000_000, latency_ms, interval_ms, reliable }
    }

    #[test]
    fn the_table_is_ranked_by_the_score_and_names_the_front() {
        let measured = [
            network("mobilevit_xs", 9.0, 2_317_848),
            network("mobilenetv2_100", 3.0, 3_504_872),
            network("mobilevit_xxs", 6.0, 1_272_024),
            network("nobody", 1.0, 1_000_000),
        ];
        let zoo = model_zoo("engine x, 1 thread", &measured).unwrap().unwrap();
        insta::assert_snapshot!(zoo.markdown, @r"
        3 networks, engine x, 1 thread. Top-1 is what papers print for ImageNet-1k; recipes, teachers and resolutions differ.

        | rank | network | family | published top-1 (%) | parameters | MACs | latency (ms) | MES | on the front |
        |---:|---|---|---:|---:|---:|---:|---:|---|
        | 1 | mobilenetv2_100 | mobilenet_v2 | 71.8* | 3.50 M | 300 M | 3.00 (2.70 to 3.30) | 102.8 | yes |
        | 2 | mobilevit_xxs | mobilevit_v1 | 69.0 | 1.27 M | 300 M | 6.00 (5.40 to 6.60) | 85.3 |  |
        | 3 | mobilevit_xs | mobilevit_v1 | 74.8 | 2.32 M | 300 M | 9.00 (8.10 to 9.90)† | 42.1 | yes |

        MES = 100 × (params / 3 M)^-0.5 × (latency / unit)^-1, unit = MobileNetV2's latency on this host / 0.9 = 3.333 ms; constants are this project's default, not the paper's.

        \* not printed by the network's authors, or contradicted by another printed figure.

        † unreliable: the measurement did not meet its protocol, as on a busy machine.

        Measured, without a published top-1 that could be read: nobody.
        ");
        assert!(zoo.svg.contains("mobilenetv2_100") && zoo.svg.contains("Model zoo"));
    }

    #[test]
    fn two_networks_are_no_zoo() {
        let measured = [network("mobilevit_xs", 9.0, 1), network("mobilenetv2_100", 3.0, 1), network("nobody", 1.0, 1)];
        assert_eq!(model_zoo("", &measured).unwrap(), None);
    }
}
