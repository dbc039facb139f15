//! What was run, on what, with what.

use mobilenas_record::text;

use super::about;
use super::folder::OutputFolder;
use super::html::{escape, facts};
use super::section::Section;
use crate::error::ReportError;
use crate::metrics;
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> =
    Section { name: "run", heading: "This run", help: "status, space, data, host, engine, seed and config", render };

fn render(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let (header, counts) = (&run.header, run.counts());
    let range = |[lo, hi]: [u64; 2]| format!("{} to {}", text::count(lo as f64), text::count(hi as f64));
    let front = run.front();
    let trials = format!(
        "{}: {} scored, {} infeasible, {} failed",
        text::plural(run.trials.len(), "trial"),
        text::thousands(counts.scored as u64),
        text::thousands(counts.infeasible as u64),
        text::thousands(counts.failed as u64),
    );
    let mut rows = vec![("Status", status(run)), ("Began", text::date(header.started_unix))];
    rows.push(match header.spaces.is_empty() {
        true => ("Space", format!("{} genomes of the family {}", text::huge(header.space_size), header.family)),
        false => ("Spaces", format!("{}, with {} genomes", header.spaces.len(), text::huge(header.space_size))),
    });
    for (space, own) in header.spaces.iter().zip(run.by_space()) {
        let on_front = own.trials.iter().filter(|t| t.on_front).count();
        let words = format!(
            "{}: {} genomes of the family {}, {} parameters, {} MACs; {}, {on_front} of them on the front",
            space.name,
            text::huge(space.size),
            space.family,
            range(space.params_range),
            range(space.macs_range),
            text::plural(own.trials.len(), "trial"),
        );
        rows.push(("Space", words));
    }
    rows.extend([
        ("Parameters over the space", range(header.params_range)),
        ("MACs over the space", range(header.macs_range)),
        ("Strategy, seed", format!("{}, {}", header.strategy, header.seed)),
        ("Trials", trials),
        ("Front (accuracy against latency)", format!("{} of {} scored trials", front.len(), counts.scored)),
    ]);
    if let Some(best) = front.first().and_then(|t| t.metric(run.accuracy().name)) {
        let label = metrics::noun(run.accuracy());
        rows.push(("Best of the search", format!("{best:.2} % {label} (search-validation split, inherited weights)")));
    }
    rows.extend([
        ("Data", about::dataset(&header.dataset)),
        ("Host", about::host(&header.host)),
        ("Engine", about::engine(&header.engine)),
        ("Latency protocol", header.engine.protocol.clone()),
    ]);
    for s in &run.supernets {
        let steps = text::thousands(s.steps);
        let took = text::duration(s.seconds);
        let of = s.space.as_ref().map_or_else(String::new, |space| format!("{space}: "));
        rows.push(("Supernet", format!("{of}{} epochs, {steps} steps, last loss {:.3}, {took}", s.epochs, s.loss)));
    }
    rows.push(("Program", format!("mobilenas {}; journal format {}", header.program, header.format)));
    let digest = format!("<p class=\"small\">Config digest <code>{}</code></p>\n", escape(&header.config_digest));
    let config = match run.config.as_deref() {
        None | Some("") => String::new(),
        Some(text) => {
            format!("<details><summary>config.yaml, resolved</summary>\n<pre>{}</pre></details>\n", escape(text))
        }
    };
    Ok(facts(&rows) + &digest + &config)
}

/// How far the run came. Without a clock, a run in progress looks like one that was stopped.
pub(super) fn status(run: &RunData) -> String {
    let Some(done) = &run.done else {
        return "not finished: the journal has no end yet, so the run is in progress or was stopped".to_owned();
    };
    let phases: Vec<String> = done.seconds.iter().map(|(p, s)| format!("{p} {}", text::duration(*s))).collect();
    let total = text::duration(done.seconds.values().sum());
    match phases.is_empty() {
        true => "finished".to_owned(),
        false => format!("finished after {total} of work ({})", phases.join(", ")),
    }
}
