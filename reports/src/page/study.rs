//! A study's page: rank fidelity, search against chance, and the finds against the papers' variants.

mod charts;
mod tables;

use std::path::Path;

use super::Site;
use super::html::{escape, facts, list, paragraph, section};
use super::index::{document, figure};
use crate::study::{INDEX, NetworkOrigin, Study, bands, by_size, fidelities, repeats, standings};
use crate::winners::BARS;
use crate::{ReportError, Written};
use mobilenas_record::text;

/// Writes a study's page into `out`: `study/index.html`, with its plots and its table `networks.csv` beside it.
///
/// # Errors
/// If a file cannot be made or written; the files before it are then in place.
pub fn render(study: &Study, out: &Path) -> Result<Written, ReportError> {
    let folder = Path::new(INDEX).parent().unwrap_or(Path::new(""));
    let mut site = Site::flat(out.join(folder));
    let parts = [header(study), caveats(study), fidelity(study, &mut site)?, search(study, &mut site)?];
    let parts = parts.concat() + &papers(study, &mut site)? + &details(study);
    site.write("index.html", document(&study.header.name, &parts).as_bytes())?;
    Ok(Written { files: site.written().to_vec(), index: out.join(INDEX) })
}

/// What every plot of a study says below itself.
fn provenance(study: &Study) -> String {
    let h = &study.header;
    format!(
        "Host {}; engine {} {}, {}, {}, batch {}. Data set {} ({} classes). Family {}.",
        h.host.caption(),
        h.engine.name,
        h.engine.version,
        h.engine.precision,
        text::plural(h.engine.threads, "thread"),
        h.engine.batch,
        h.dataset.name,
        h.dataset.classes,
        h.family
    )
}

fn header(study: &Study) -> String {
    let of = |origin: NetworkOrigin| study.networks.iter().filter(|n| n.origin == origin).count();
    let status = match &study.done {
        Some(done) => format!("finished after {} of work", text::duration(done.seconds.values().sum())),
        None => "not finished: its file has no end yet, so it is still going or was stopped".to_owned(),
    };
    let rows = [
        ("Status", status),
        (
            "Networks",
            format!(
                "{} drawn, {} found by searches, {} of the papers",
                of(NetworkOrigin::Drawn),
                of(NetworkOrigin::Found),
                of(NetworkOrigin::Published)
            ),
        ),
        ("Trainings from scratch", text::thousands(study.retrained.len() as u64)),
        ("Searches", text::thousands(study.searches.len() as u64)),
    ];
    let what = "Whether the search can be trusted: the order that inherited weights give, searches against chance, and \
                what was found against the papers' variants trained alike.";
    format!("<header>\n<h1>{}</h1>\n{}{}</header>\n", escape(&study.header.name), paragraph(what), facts(&rows))
}

fn caveats(study: &Study) -> String {
    if study.caveats.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"caveats\" class=\"caveats\">\n<h2>Caveats</h2>\n{}</section>\n",
        list(study.caveats.iter().map(|c| c.text.as_str()))
    )
}

/// Charts as files and as figures.
fn figures(charts: &[(String, crate::plot::Chart)], site: &mut Site) -> Result<String, ReportError> {
    site.plots(charts)?;
    charts.iter().map(|(file, chart)| figure(file, chart)).collect()
}

fn fidelity(study: &Study, site: &mut Site) -> Result<String, ReportError> {
    let all = fidelities(study);
    let heading = "Rank fidelity";
    if all.is_empty() {
        let none = "No network has a top-1 with inherited weights and one of training it alone yet.";
        return Ok(section("fidelity", heading, &paragraph(none)));
    }
    let note = "Each network is scored with weights inherited from the supernet, then trained alone from fresh weights \
                under one budget. If the two put networks in the same order, the search's score can choose among them. \
                τ-b and ρ: 1 for the same order, 0 for none. Their intervals: the middle 95 % of a bootstrap over \
                networks, which knows nothing of another supernet's seed.";
    let again = repeats(study).map_or_else(String::new, |r| {
        paragraph(&format!(
            "How far trainings agree with each other: {} networks were trained with {} seeds each. Over its seeds a network's \
             test top-1 has a standard deviation of {:.2} points, and the orders that two seeds put the networks in have a \
             τ-b of {:.2}. Inherited top-1 stands against the mean over the seeds.",
            text::thousands(r.networks as u64),
            r.seeds,
            r.deviation,
            r.tau
        ))
    });
    let size = by_size(study).map_or_else(String::new, |[macs, params]| {
        paragraph(&format!(
            "Size alone puts these networks in an order, too: τ-b {:.2} ({:.2}–{:.2}) by MACs, {:.2} ({:.2}–{:.2}) by parameters.",
            macs.value, macs.low, macs.high, params.value, params.low, params.high
        ))
    });
    let body = paragraph(note) + &again + &size + &figures(&charts::ranks(study, &all), site)? + &tables::ranks(&all);
    Ok(section("fidelity", heading, &body))
}

fn search(study: &Study, site: &mut Site) -> Result<String, ReportError> {
    let all = bands(study);
    let heading = "Search against chance";
    if all.is_empty() {
        return Ok(section("search", heading, &paragraph("No search has ended yet.")));
    }
    let reference = study.header.volume.as_ref().map_or_else(String::new, |v| {
        format!(" Hypervolume of {}, from one reference point for all: {}.", v.of, v.reference)
    });
    let note = format!(
        "Each strategy searched several times with other seeds. The line is the median over seeds after so many trials, \
         the band reaches from the lower to the upper quartile. All are shown up to where the shortest search \
         ends.{reference}"
    );
    let body = paragraph(&note) + &figures(&charts::volumes(study, &all), site)? + &tables::volumes(&all);
    Ok(section("search", heading, &body))
}

fn papers(study: &Study, site: &mut Site) -> Result<String, ReportError> {
    let all = standings(study);
    let heading = "Finds against the papers' variants";
    if all.is_empty() {
        let none = "No found network and no paper's variant was trained from scratch yet.";
        return Ok(section("papers", heading, &paragraph(none)));
    }
    site.write("networks.csv", tables::csv(study)?.as_slice())?;
    let note = format!(
        "All trained from scratch under one budget and scored on the {} test images, which no search saw. These are not \
         the accuracies that their authors published.",
        text::thousands(study.header.dataset.test as u64)
    );
    let body = [
        paragraph(&note),
        paragraph(BARS),
        figures(&charts::standings(study, &all), site)?,
        tables::standings(&all),
        "<p><a href=\"networks.csv\">networks.csv</a>: all networks of the study with their numbers</p>\n".to_owned(),
    ];
    Ok(section("papers", heading, &body.concat()))
}

fn details(study: &Study) -> String {
    let h = &study.header;
    let images = |n: usize| text::thousands(n as u64);
    let mut seeds: Vec<u64> = study.retrained.iter().map(|r| r.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut rows = vec![
        ("Began", text::date(h.started_unix)),
        ("Family", h.family.clone()),
        (
            "Data",
            format!(
                "{}: {} images to train on, {} for search validation, {} to test, {} classes",
                h.dataset.name,
                images(h.dataset.train),
                images(h.dataset.search_val),
                images(h.dataset.test),
                images(h.dataset.classes)
            ),
        ),
        ("Host", format!("{}, {:.1} GiB of memory, {}", h.host.caption(), gib(h.host.memory), h.host.os)),
        ("Engine", provenance(study)),
        ("Protocol of latency", h.engine.protocol.clone()),
        ("Program", format!("mobilenas {}", h.program)),
        ("File", format!("study.jsonl, format {}", h.format)),
    ];
    if !seeds.is_empty() {
        let list: Vec<String> = seeds.iter().map(ToString::to_string).collect();
        rows.push(("Seeds of trainings", list.join(", ")));
    }
    let digest = format!("<p class=\"small\">Config digest <code>{}</code></p>\n", escape(&h.config_digest));
    section("run", "This study", &(facts(&rows) + &digest))
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / 1024f64.powi(3)
}
