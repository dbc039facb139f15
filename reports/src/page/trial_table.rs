//! Tables of trials: the front and the published variants.

use mobilenas_record::metric::LATENCY;
use mobilenas_record::run::Latency;
use mobilenas_record::{MetricInfo, text};

use super::folder::OutputFolder;
use super::html::{Cell, paragraph, small, table};
use super::section::Section;
use crate::error::ReportError;
use crate::run_data::{RunData, RunTrial};
use crate::{genome as genomes, metrics};

/// The main front.
pub(super) const FRONT: Section<RunData> = Section {
    name: "front",
    heading: "Front: accuracy against latency",
    help: "the scored networks that no other one dominates",
    render: front,
};

/// The published variants that the run scored.
pub(super) const VARIANTS: Section<RunData> = Section {
    name: "variants",
    heading: "Published variants under this protocol",
    help: "the published networks, scored like every candidate",
    render: variants,
};

fn front(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let front = run.front();
    if front.is_empty() {
        return Ok(String::new());
    }
    let note = format!(
        "{} of {} scored trials are on the front: no other scored trial is at least as good in {} and {}, and better in \
         one of them. Accuracies are those of the search.",
        text::thousands(front.len() as u64),
        text::thousands(run.counts().scored as u64),
        metrics::noun(run.accuracy()),
        metrics::noun(&LATENCY),
    );
    Ok(paragraph(&note) + &trial_table(run, &front))
}

fn variants(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let all = run.trials.iter().filter(|t| t.variant().is_some()).count();
    if all == 0 {
        return Ok(String::new());
    }
    let scored: Vec<&RunTrial> = run.scored().filter(|t| t.variant().is_some()).collect();
    let note = format!(
        "{} of {all} published variants were scored by the code that scores every candidate, with inherited weights, on \
         this run's data and host. These are not the accuracies that their authors published.",
        scored.len(),
    );
    Ok(paragraph(&note) + &trial_table(run, &scored))
}

/// Trials with all their numbers, and the formula of the score.
fn trial_table(run: &RunData, trials: &[&RunTrial]) -> String {
    let retrained = trials.iter().any(|t| run.test_accuracy(t.trial.id).is_some());
    let any = |m: &MetricInfo| trials.iter().any(|t| t.metric(m.name).is_some());
    let others: Vec<&MetricInfo> = metrics::OTHERS.iter().filter(|m| !metrics::is_optional(m) || any(m)).collect();
    let mut heads = vec!["Trial".to_owned(), metrics::head(run.accuracy())];
    for metric in &others {
        heads.push(metrics::head(metric));
        if metric.name == LATENCY.name {
            heads.push("p10–p90 (ms)".to_owned());
        }
    }
    if retrained {
        heads.push(metrics::head(run.final_accuracy()));
    }
    heads.push("Genome".to_owned());
    let row = |t: &&RunTrial| {
        let value = |m: &MetricInfo| Cell::number(t.metric(m.name), |v| metrics::number(m, v));
        let mut row = vec![Cell::Text(label(run, t)), value(run.accuracy())];
        for metric in &others {
            row.push(value(metric));
            if metric.name == LATENCY.name {
                row.push(Cell::Number(t.trial.latency.as_ref().map_or_else(|| "–".to_owned(), spread)));
            }
        }
        if retrained {
            row.push(Cell::number(run.test_accuracy(t.trial.id), |v| format!("{v:.2}")));
        }
        row.push(genome(run, t));
        row
    };
    table(&heads, &trials.iter().map(row).collect::<Vec<_>>()) + &small(&run.mes_formula())
}

/// A trial's number, and its name if it is a published variant.
pub(super) fn label(run: &RunData, t: &RunTrial) -> String {
    t.variant().map_or_else(|| run.title(t), |_| format!("#{} {}", t.trial.id, run.title(t)))
}

fn spread(l: &Latency) -> String {
    format!("{}–{}", text::significant(l.p10_ms, 3), text::significant(l.p90_ms, 3))
}

/// A trial's genome as its difference from the nearest published variant.
pub(super) fn genome(run: &RunData, t: &RunTrial) -> Cell {
    let whole = genomes::groups(&t.trial.genome);
    let near = genomes::nearest_variant(run, t);
    let (nearest, differing) = near.map(|(v, differing)| (v.label(), genomes::groups(&differing))).unwrap_or_default();
    Cell::Genome { nearest, differing, whole }
}
