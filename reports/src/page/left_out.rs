//! Trials without a score, and why.

use std::collections::BTreeMap;

use mobilenas_record::run::TrialOutcome;
use mobilenas_record::text;

use super::folder::OutputFolder;
use super::html::{Cell, paragraph, table};
use super::section::Section;
use crate::error::ReportError;
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "left-out",
    heading: "Trials without a score",
    help: "networks outside a bound and errors, by reason",
    render,
};

/// Reasons that are listed; the others are counted.
const REASONS: usize = 12;

fn render(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for t in &run.trials {
        match &t.trial.outcome {
            TrialOutcome::Scored(_) => {}
            TrialOutcome::Infeasible { why, .. } => *reasons.entry(("infeasible", why)).or_default() += 1,
            TrialOutcome::Failed { why } => *reasons.entry(("failed", why)).or_default() += 1,
        }
    }
    if reasons.is_empty() {
        return Ok(String::new());
    }
    let mut reasons: Vec<((&str, &str), usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let row = |((status, why), n): &((&str, &str), usize)| {
        let n = Cell::Number(text::thousands(*n as u64));
        vec![Cell::Text((*status).to_owned()), n, Cell::Text((*why).to_owned())]
    };
    let rows: Vec<Vec<Cell>> = reasons.iter().take(REASONS).map(row).collect();
    let mut body = table(&["Outcome", "Trials", "Why"], &rows);
    if reasons.len() > REASONS {
        let more = text::plural(reasons.len() - REASONS, "more reason");
        body += &paragraph(&format!("{more} in trials.csv."));
    }
    Ok(body)
}
