//! What was studied, on what, with what.

use mobilenas_record::study::NetworkOrigin;
use mobilenas_record::text;

use crate::error::ReportError;
use crate::page::about;
use crate::page::folder::OutputFolder;
use crate::page::html::{escape, facts};
use crate::page::section::Section;
use crate::study::Study;

pub(super) const SECTION: Section<Study> =
    Section { name: "run", heading: "This study", help: "networks, trainings, data, host, engine and seeds", render };

/// Host, engine and data, for the caption of every plot.
pub(super) fn source(study: &Study) -> String {
    let h = &study.header;
    format!("{} {}.", about::setup(&h.host, &h.engine, &h.dataset), family(study))
}

/// Its family, or its spaces.
fn family(study: &Study) -> String {
    let spaces = &study.header.spaces;
    let each: Vec<String> = spaces.iter().map(|s| format!("{} (family {})", s.name, s.family)).collect();
    if each.is_empty() { format!("Family {}", study.header.family) } else { format!("Spaces {}", each.join(", ")) }
}

/// How far the study came.
pub(super) fn status(study: &Study) -> String {
    match &study.done {
        Some(done) => format!("Finished after {} of work.", text::duration(done.seconds.values().sum())),
        None => "The study is not finished: its file has no end yet, so it is in progress or was stopped.".to_owned(),
    }
}

fn render(study: &Study, _: &mut OutputFolder) -> Result<String, ReportError> {
    let h = &study.header;
    let of = |origin: NetworkOrigin| study.networks.iter().filter(|n| n.origin == origin).count();
    let mut rows = vec![
        ("Began", text::date(h.started_unix)),
        (
            "Networks",
            format!(
                "{} drawn, {} found by searches, {} published",
                of(NetworkOrigin::Drawn),
                of(NetworkOrigin::Found),
                of(NetworkOrigin::Published)
            ),
        ),
        ("Trainings from scratch", text::thousands(study.retrained.len() as u64)),
        ("Searches", text::thousands(study.searches.len() as u64)),
        ("Space", family(study)),
        ("Data", about::dataset(&h.dataset)),
        ("Host", about::host(&h.host)),
        ("Engine", about::engine(&h.engine)),
        ("Latency protocol", h.engine.protocol.clone()),
        ("Program", format!("mobilenas {}; study.jsonl format {}", h.program, h.format)),
    ];
    let seeds: Vec<String> = study.training_seeds().iter().map(ToString::to_string).collect();
    if !seeds.is_empty() {
        rows.push(("Seeds of trainings", seeds.join(", ")));
    }
    let digest = format!("<p class=\"small\">Config digest <code>{}</code></p>\n", escape(&h.config_digest));
    Ok(facts(&rows) + &digest)
}
