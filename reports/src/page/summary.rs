//! What a run's page opens with: its answer, what was searched, and the caveats.

use mobilenas_record::text;

use super::document::caveats;
use super::html::{escape, paragraph, small};
use super::this_run::status;
use crate::answer::answer;
use crate::run_data::RunData;

/// The HTML below the page's title.
pub(super) fn summary(run: &RunData) -> String {
    let (header, answer) = (&run.header, answer(run));
    let each: Vec<String> = header
        .spaces
        .iter()
        .zip(run.by_space())
        .map(|(space, own)| format!("{} with {}", space.name, text::plural(own.trials.len(), "trial")))
        .collect();
    let sought = match each.len() {
        0 => format!("for {} networks", header.family),
        n => format!("over {} ({})", text::plural(n, "space"), each.join(", ")),
    };
    let what = format!(
        "A search {sought} by {} on {}: {}, {}.",
        header.strategy,
        header.dataset.name,
        text::plural(run.trials.len(), "trial"),
        status(run)
    );
    let heading = text::plural(run.caveats.len(), "caveat");
    [
        format!("<p class=\"answer\">{}</p>\n", escape(&answer.sentence)),
        if answer.details.is_empty() { String::new() } else { paragraph(&answer.details) },
        if answer.basis.is_empty() { String::new() } else { small(&answer.basis) },
        paragraph(&what),
        caveats(&heading, run.caveats.iter().map(|c| c.text.as_str())),
    ]
    .concat()
}
