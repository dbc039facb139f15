//! Whether inherited accuracy ranks networks as training from scratch does.

use mobilenas_record::{Interval, text};

use super::this_study::source;
use crate::error::ReportError;
use crate::metrics;
use crate::page::figure::figures;
use crate::page::folder::OutputFolder;
use crate::page::html::{Cell, paragraph, table};
use crate::page::section::Section;
use crate::plot::{Chart, Mark, Point, SERIES, Series, drawable};
use crate::study::{Corrected, Fidelity, Study, by_size, corrected, fidelities, fidelities_by_space, seed_agreement};

pub(super) const SECTION: Section<Study> = Section {
    name: "rank_fidelity",
    heading: "Rank fidelity",
    help: "does inherited accuracy rank networks as training from scratch does?",
    render,
};

const MARKS: [Mark; 3] = [Mark::Dot, Mark::Diamond, Mark::Square];

/// The best condition, against ranking by MACs.
pub(super) fn answer(study: &Study) -> Option<String> {
    let all = fidelities(study);
    let known = all.iter().filter_map(|f| Some((f, f.tau?)));
    let (best, tau) = known.max_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    let partial = best.partial.map_or_else(String::new, |p| {
        format!("; given MACs and parameters {:.2} ({:.2} to {:.2})", p.value, p.low, p.high)
    });
    let size = by_size(study).map_or_else(String::new, |[macs, _]| {
        format!("; MACs alone reach {:.2} ({:.2} to {:.2})", macs.value, macs.low, macs.high)
    });
    let ceiling = seed_agreement(study).map_or_else(String::new, |a| {
        format!(
            "; two trainings of the same networks agree with {:.2} ({:.2} to {:.2})",
            a.tau.value, a.tau.low, a.tau.high
        )
    });
    Some(format!(
        "Inherited accuracy ranks {} networks with Kendall's τ-b {:.2} ({:.2} to {:.2}) at best ({}){partial}{size}{ceiling}.",
        best.pairs.len(),
        tau.value,
        tau.low,
        tau.high,
        best.condition
    ))
}

fn render(study: &Study, out: &mut OutputFolder) -> Result<String, ReportError> {
    let all = fidelities(study);
    if all.is_empty() {
        return Ok(paragraph("No network has an inherited accuracy and one from training from scratch yet."));
    }
    let note = "Each network is scored with weights inherited from the supernet, then trained from scratch under one budget. \
                If both rank networks alike, the search can rely on its score. τ-b and ρ: 1 for the same order, 0 for no \
                relation. Size ranks networks, too: τ-b given MACs and parameters (partial τ-b), and τ-b over pairs of the \
                same third of MACs, show what the score knows beyond it. Intervals are 95 % bootstrap intervals over \
                networks; they do not include the spread over supernet seeds.";
    let agreement = seed_agreement(study).map_or_else(String::new, |a| {
        paragraph(&format!(
            "How well trainings agree with each other: {} networks were trained with {} seeds each. The test accuracy of a \
             network has a standard deviation of {:.2} points over its seeds, and τ-b between the orders of two seeds is \
             {:.2} ({:.2}–{:.2}): no score can be expected to agree better with a single training. Inherited accuracy is \
             compared with the mean over the seeds.",
            text::thousands(a.networks as u64),
            a.seeds,
            a.deviation,
            a.tau.value,
            a.tau.low,
            a.tau.high
        ))
    });
    let size = by_size(study).map_or_else(String::new, |[macs, params]| {
        paragraph(&format!(
            "Size alone also ranks these networks: τ-b {:.2} ({:.2}–{:.2}) by MACs, {:.2} ({:.2}–{:.2}) by parameters.",
            macs.value, macs.low, macs.high, params.value, params.low, params.high
        ))
    });
    let landmarks = landmarks(&corrected(study));
    Ok(paragraph(note) + &agreement + &size + &figures(&charts(study, &all), out)? + &rows(study, &all) + &landmarks)
}

/// What a few trained networks add to the scores of the others.
fn landmarks(all: &[Corrected]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let row = |c: &Corrected| {
        vec![
            Cell::Text(c.condition.to_string()),
            Cell::Number(c.landmarks.to_string()),
            Cell::Number(c.networks.to_string()),
            Cell::Number(interval(c.before)),
            Cell::Number(interval(c.tau)),
            Cell::Number(interval(c.partial)),
            Cell::Number(interval(c.by_size)),
            Cell::Number(format!("{:.2}", c.left_out)),
        ]
    };
    let heads = [
        "Scores",
        "Landmarks",
        "Networks",
        "τ-b before (95 %)",
        "τ-b corrected (95 %)",
        "given MACs and parameters",
        "τ-b by size alone",
        "Leave-one-out error (points)",
    ];
    let note = "Corrected by landmarks: some networks, spread over MACs, serve as landmarks. A ridge regression from their \
                score, log MACs and log parameters to their trained accuracy predicts the trained accuracy of the other \
                networks. τ-b is over these others alone. By size alone: the same regression without the score.";
    paragraph(note) + &table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

/// `0.71 (0.55–0.83)`.
fn interval(value: Option<Interval>) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{:.2} ({:.2}–{:.2})", v.value, v.low, v.high))
}

/// `τ 0.71 (0.55 to 0.83)`.
fn shown(name: &str, value: Option<Interval>) -> String {
    value.map_or_else(
        || format!("{name} not known"),
        |v| format!("{name} {:.2} ({:.2} to {:.2})", v.value, v.low, v.high),
    )
}

/// Inherited against trained accuracy: all conditions on one pair of axes, then each on its own.
fn charts(study: &Study, all: &[Fidelity]) -> Vec<(String, Chart)> {
    let mut charts = vec![("rank_fidelity".to_owned(), chart(study, all, 0))];
    if all.len() > 1 {
        let single = |(i, one)| (format!("rank_fidelity_{}", i + 1), chart(study, std::slice::from_ref(one), i));
        charts.extend(all.iter().enumerate().map(single));
    }
    charts
}

/// `first` is the index of the first condition among all, for its mark and colour.
fn chart(study: &Study, all: &[Fidelity], first: usize) -> Chart {
    let series = |(i, f): (usize, &Fidelity)| {
        let points = f.pairs.iter().filter(|(_, x, y)| drawable(*x) && drawable(*y)).map(|p| Point::at(p.1, p.2));
        let (mark, color) = (MARKS[(first + i) % MARKS.len()], SERIES[(first + i) % SERIES.len()]);
        Series::new(format!("{}: {}", f.condition, shown("τ", f.tau)), mark, color, points.collect())
    };
    let (which, words) = match all {
        [one] => {
            let words = format!("{}; {}. ", shown("Kendall's τ-b", one.tau), shown("Spearman's ρ", one.rho));
            (one.condition.to_string(), words)
        }
        _ => ("all conditions".to_owned(), String::new()),
    };
    let (label, noun) = (study.accuracy().label, metrics::noun(study.accuracy()));
    Chart {
        title: format!("{}: inherited against trained {noun}, {which}", study.header.name),
        x_label: format!("{label} on the search-validation split, inherited weights (%)"),
        y_label: format!("{label} on the test split, trained from scratch (%)"),
        caption: vec![
            format!(
                "{words}In brackets: 95 % bootstrap interval over networks. Each mark is one network; {noun} from scratch is \
                 the mean over its trainings."
            ),
            source(study),
        ],
        series: all.iter().enumerate().map(series).collect(),
        ..Chart::default()
    }
}

fn rows(study: &Study, all: &[Fidelity]) -> String {
    let by_space = fidelities_by_space(study);
    let row = |(space, f): (&str, &Fidelity)| {
        let mut row = vec![
            Cell::Text(f.condition.rule.clone()),
            Cell::Text(f.condition.weights()),
            Cell::Number(text::thousands(f.pairs.len() as u64)),
            Cell::Number(interval(f.tau)),
            Cell::Number(interval(f.partial)),
            Cell::Number(interval(f.within)),
            Cell::Number(interval(f.rho)),
        ];
        if !by_space.is_empty() {
            row.insert(0, Cell::Text(space.to_owned()));
        }
        row
    };
    let mut heads = vec![
        "Supernet trained by",
        "Inherited weights",
        "Networks",
        "Kendall's τ-b (95 %)",
        "given MACs and parameters",
        "within thirds of MACs",
        "Spearman's ρ (95 %)",
    ];
    if !by_space.is_empty() {
        heads.insert(0, "Space");
    }
    let each = by_space.iter().flat_map(|(space, own)| own.iter().map(move |f| (*space, f)));
    table(&heads, &all.iter().map(|f| ("all", f)).chain(each).map(row).collect::<Vec<_>>())
}
