//! The page's tables: the front, the published variants, the retrained winners, and what was left out.

use std::collections::BTreeMap;

use super::super::html::{self, Cell, paragraph, section};
use super::formula;
use crate::{Entry, Frame, genome, winners};
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{Latency, Retrained, TrialOutcome};
use mobilenas_record::text;

/// Reasons that are told one by one.
const REASONS: usize = 12;

/// A table of trials with all their numbers.
pub(super) fn table(f: &Frame, entries: &[&Entry]) -> String {
    let retrained = entries.iter().any(|e| f.retrained_test_top1(e.trial.id).is_some());
    let memory = entries.iter().any(|e| e.metric(metric::MEMORY).is_some());
    let mut heads = vec!["Trial", "Top-1 (%)", "Latency (ms)", "p10–p90 (ms)", "Params", "MACs", "MES"];
    if memory {
        heads.push("Memory");
    }
    if retrained {
        heads.push("Retrained: test top-1 (%)");
    }
    heads.push("Genome");
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|e| {
            let mut row = vec![
                Cell::Text(name(e)),
                Cell::number(e.metric(metric::TOP1), |v| format!("{v:.2}")),
                Cell::number(e.metric(metric::LATENCY), |v| text::significant(v, 3)),
                Cell::Number(e.trial.latency.as_ref().map_or_else(|| "–".to_owned(), spread)),
                Cell::number(e.metric(metric::PARAMS), text::count),
                Cell::number(e.metric(metric::MACS), text::count),
                Cell::number(e.mes, |v| format!("{v:.1}")),
            ];
            if memory {
                row.push(Cell::number(e.metric(metric::MEMORY), text::bytes));
            }
            if retrained {
                row.push(Cell::number(f.retrained_test_top1(e.trial.id), |v| format!("{v:.2}")));
            }
            row.push(knobs(e));
            row
        })
        .collect();
    html::table(&heads, &rows)
}

/// Its number, and its name if it is a published variant.
fn name(e: &Entry) -> String {
    e.variant().map_or_else(|| e.label(), |name| format!("#{} {name}", e.trial.id))
}

fn spread(l: &Latency) -> String {
    format!("{}–{}", text::significant(l.p10_ms, 3), text::significant(l.p90_ms, 3))
}

fn knobs(e: &Entry) -> Cell {
    Cell::Code(genome::groups(&e.trial.genome))
}

/// The whole main front.
pub(super) fn front(f: &Frame) -> String {
    let front = f.front();
    if front.is_empty() {
        return String::new();
    }
    let scored = f.counts().scored;
    let note = format!(
        "{} of {} scored trials are on the front: no other scored trial has at least their top-1 and at most their \
         latency, and is better in one of the two.",
        text::thousands(front.len() as u64),
        text::thousands(scored as u64)
    );
    section("front", "Front: top-1 against latency", &(paragraph(&note) + &table(f, &front) + &formula(f)))
}

/// The published variants that were scored by this run.
pub(super) fn variants(f: &Frame) -> String {
    let all: Vec<&Entry> = f.trials.iter().filter(|e| e.variant().is_some()).collect();
    if all.is_empty() {
        return String::new();
    }
    let scored: Vec<&Entry> = all.iter().copied().filter(|e| e.is_scored()).collect();
    let note = format!(
        "{} of {} published variants were scored by the code that scores every candidate, with inherited weights, on \
         this run's data and host. These are not the accuracies their authors published.",
        scored.len(),
        all.len()
    );
    section(
        "variants",
        "Published variants under this protocol",
        &(paragraph(&note) + &table(f, &scored) + &formula(f)),
    )
}

/// Winners retrained from scratch, below their plot.
pub(super) fn retrained(f: &Frame, plot: &str) -> String {
    if f.retrained.is_empty() {
        return String::new();
    }
    let note = format!(
        "Trained from scratch and scored on the {} test images, which neither the supernet nor the search saw.",
        text::thousands(f.run.dataset.test as u64)
    );
    let rows: Vec<Vec<Cell>> = winners::winners(f)
        .iter()
        .map(|w| {
            let trial = f.trial(w.trial);
            let of = |metric: &str| trial.and_then(|e| e.metric(metric));
            let each = |show: &dyn Fn(&Retrained) -> String| {
                let mut all: Vec<String> = w.runs.iter().map(show).collect();
                all.dedup();
                Cell::Number(all.join(", "))
            };
            vec![
                Cell::Text(trial.map_or_else(|| format!("#{} (not in the journal)", w.trial), name)),
                Cell::number(w.top1.map(|t| t.value), |v| format!("{v:.2}")),
                Cell::Number(w.top1.map_or_else(|| "–".to_owned(), |t| format!("{:.2}–{:.2}", t.low, t.high))),
                each(&|r| r.epochs.to_string()),
                each(&|r| r.seed.to_string()),
                Cell::number(of(metric::LATENCY), |v| text::significant(v, 3)),
                Cell::number(of(metric::PARAMS), text::count),
                Cell::number(of(metric::MACS), text::count),
                Cell::number(of(metric::TOP1), |v| format!("{v:.2}")),
                Cell::Number(text::duration(w.runs.iter().map(|r| r.seconds).sum())),
                trial.map_or_else(|| Cell::Code(vec![w.digest.clone()]), knobs),
            ]
        })
        .collect();
    let heads = [
        "Trial",
        "Test top-1 (%)",
        "Error bar",
        "Epochs",
        "Seed",
        "Latency (ms)",
        "Params",
        "MACs",
        "Search top-1 (%), inherited",
        "Took",
        "Genome",
    ];
    let body = paragraph(&note) + &paragraph(winners::BARS) + plot + &html::table(&heads, &rows);
    section("retrained", "Retrained from scratch", &body)
}

/// Why trials were not scored, the most frequent reasons first.
pub(super) fn left_out(f: &Frame) -> String {
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for entry in &f.trials {
        match &entry.trial.outcome {
            TrialOutcome::Scored(_) => {}
            TrialOutcome::Infeasible { why, .. } => *reasons.entry(("infeasible", why)).or_default() += 1,
            TrialOutcome::Failed { why } => *reasons.entry(("failed", why)).or_default() += 1,
        }
    }
    if reasons.is_empty() {
        return String::new();
    }
    let mut reasons: Vec<((&str, &str), usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let rows: Vec<Vec<Cell>> = reasons
        .iter()
        .take(REASONS)
        .map(|((status, why), n)| {
            vec![
                Cell::Text((*status).to_owned()),
                Cell::Number(text::thousands(*n as u64)),
                Cell::Text((*why).to_owned()),
            ]
        })
        .collect();
    let mut body = html::table(&["Outcome", "Trials", "Why"], &rows);
    if reasons.len() > REASONS {
        let more = format!("{} more, in trials.csv.", text::plural(reasons.len() - REASONS, "reason"));
        body += &paragraph(&more);
    }
    section("left-out", "Trials without a score", &body)
}
