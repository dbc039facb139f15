//! What each knob costs and brings, and which of its choices survive.

use super::html::{self, Cell, paragraph, section};
use crate::Frame;
use crate::knobs::{Choice, Marginal, Mean, marginals};
use mobilenas_record::text;

/// The section; empty if no knob has two scored choices.
pub(super) fn section_of(f: &Frame) -> String {
    let mut all = marginals(f);
    if all.is_empty() {
        return String::new();
    }
    let scored = f.counts().scored;
    let body = [
        paragraph(
            "Means over the scored trials with the largest choice of a knob, less those with its smallest. A strategy \
             asks for good choices together, so a knob's means also carry what went with it: they describe this \
             search, and prove nothing of the knob alone.",
        ),
        swings(&mut all),
        format!(
            "<details><summary>Every choice of every knob, over {} scored trials</summary>\n{}{}</details>\n",
            text::thousands(scored as u64),
            paragraph("± is the standard error of the mean."),
            choices(&all, scored, f.front().len())
        ),
    ];
    section("knobs", "What each knob costs and brings", &body.concat())
}

fn signed(value: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
    let sign = |v: f64| if v < 0.0 { "−" } else { "+" };
    Cell::number(value, |v| format!("{}{}", sign(v), show(v.abs())))
}

/// The knobs by what they do to top-1, largest first.
fn swings(all: &mut [Marginal]) -> String {
    let size = |m: &Marginal| m.swing(0).map_or(-1.0, f64::abs);
    all.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.knob.cmp(&b.knob)));
    let row = |m: &Marginal| {
        let ends = m.choices.first().zip(m.choices.last());
        vec![
            Cell::Code(vec![m.knob.clone()]),
            Cell::Text(ends.map_or_else(String::new, |(a, b)| format!("{} → {}", a.value, b.value))),
            signed(m.swing(0), |v| format!("{v:.2}")),
            signed(m.swing(1), |v| text::significant(v, 3)),
            signed(m.swing(2), text::count),
            signed(m.swing(3), text::count),
        ]
    };
    let rows: Vec<Vec<Cell>> = all.iter().map(row).collect();
    let heads = ["Knob", "Smallest → largest choice", "Top-1 (%)", "Latency (ms)", "Params", "MACs"];
    html::table(&heads, &rows)
}

fn choices(all: &[Marginal], scored: usize, front: usize) -> String {
    let with = |m: Option<Mean>, show: &dyn Fn(f64) -> String| {
        Cell::number(m.map(|m| m.mean), |mean| match m {
            Some(m) if m.count > 1 => format!("{} ± {}", show(mean), show(m.error)),
            _ => show(mean),
        })
    };
    let row = |m: &Marginal, c: &Choice| {
        vec![
            Cell::Code(vec![m.knob.clone()]),
            Cell::Number(c.value.to_string()),
            Cell::Share { part: c.scored, whole: scored },
            Cell::Share { part: c.on_front, whole: front },
            with(c.means[0], &|v| format!("{v:.2}")),
            with(c.means[1], &|v| text::significant(v, 3)),
            with(c.means[2], &text::count),
            with(c.means[3], &text::count),
        ]
    };
    let rows: Vec<Vec<Cell>> = all.iter().flat_map(|m| m.choices.iter().map(move |c| row(m, c))).collect();
    let heads = ["Knob", "Choice", "Of scored trials", "Of the front", "Top-1 (%)", "Latency (ms)", "Params", "MACs"];
    html::table(&heads, &rows)
}
