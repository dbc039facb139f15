//! What each knob costs and brings, and which of its choices are on the front.

use mobilenas_record::text;

use super::folder::OutputFolder;
use super::html::{Cell, escape, paragraph, table};
use super::section::Section;
use crate::error::ReportError;
use crate::knobs::{Choice, Marginal, Mean, averaged, marginals};
use crate::metrics;
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "knobs",
    heading: "What each knob costs and brings",
    help: "differences of means between a knob's choices",
    render,
};

fn render(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let one = |own: &RunData| match (run.header.spaces.is_empty(), of_space(own)) {
        (false, body) if !body.is_empty() => format!("<h3>Space {}</h3>\n{body}", escape(&own.header.name)),
        (_, body) => body,
    };
    Ok(run.by_space().iter().map(|own| one(own)).collect())
}

/// The knobs of one space.
fn of_space(run: &RunData) -> String {
    let mut all = marginals(run);
    if all.is_empty() {
        return String::new();
    }
    let scored = run.counts().scored;
    let body = [
        paragraph(
            "Mean over the scored trials with the largest choice of a knob, minus the mean over those with its smallest. A \
             strategy proposes good choices together, so a knob's means also carry what went with it: they describe this \
             search, and prove nothing about the knob alone.",
        ),
        effects(run, &mut all),
        format!(
            "<details><summary>Every choice of every knob, over {} scored trials</summary>\n{}{}</details>\n",
            text::thousands(scored as u64),
            paragraph("± is the standard error of the mean."),
            choices(run, &all, scored)
        ),
    ];
    body.concat()
}

fn signed(value: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
    let sign = |v: f64| if v < 0.0 { "−" } else { "+" };
    Cell::number(value, |v| format!("{}{}", sign(v), show(v.abs())))
}

/// The heads of the columns of [`averaged`].
fn heads<const N: usize>(run: &RunData, first: [&str; N]) -> Vec<String> {
    first.iter().map(|h| (*h).to_owned()).chain(averaged(run).into_iter().map(metrics::head)).collect()
}

/// The knobs by their effect on accuracy, largest first.
fn effects(run: &RunData, all: &mut [Marginal]) -> String {
    let size = |m: &Marginal| m.effect(0).map_or(-1.0, f64::abs);
    all.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.knob.cmp(&b.knob)));
    let row = |m: &Marginal| {
        let ends = m.choices.first().zip(m.choices.last());
        let ends = ends.map_or_else(String::new, |(a, b)| format!("{} → {}", a.value, b.value));
        let effects = averaged(run)
            .into_iter()
            .enumerate()
            .map(|(i, metric)| signed(m.effect(i), |v| metrics::number(metric, v)));
        [Cell::Code(m.knob.clone()), Cell::Text(ends)].into_iter().chain(effects).collect()
    };
    table(&heads(run, ["Knob", "Smallest → largest choice"]), &all.iter().map(row).collect::<Vec<_>>())
}

fn choices(run: &RunData, all: &[Marginal], scored: usize) -> String {
    let front = run.front().len();
    let with = |m: Option<Mean>, show: &dyn Fn(f64) -> String| {
        Cell::number(m.map(|m| m.mean), |mean| match m {
            Some(m) if m.count > 1 => format!("{} ± {}", show(mean), show(m.error)),
            _ => show(mean),
        })
    };
    let row = |m: &Marginal, c: &Choice| {
        let means =
            averaged(run).into_iter().zip(c.means).map(|(metric, mean)| with(mean, &|v| metrics::number(metric, v)));
        let first = [
            Cell::Code(m.knob.clone()),
            Cell::Number(c.value.to_string()),
            Cell::Share { part: c.scored, whole: scored },
            Cell::Share { part: c.on_front, whole: front },
        ];
        first.into_iter().chain(means).collect()
    };
    let rows: Vec<Vec<Cell>> = all.iter().flat_map(|m| m.choices.iter().map(move |c| row(m, c))).collect();
    table(&heads(run, ["Knob", "Choice", "Of scored trials", "Of the front"]), &rows)
}
