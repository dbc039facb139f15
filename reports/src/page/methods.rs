//! How each number on the page is made.

use mobilenas_record::run::RunHeader;
use mobilenas_record::{score, text};

use super::about;
use super::folder::OutputFolder;
use super::html::facts;
use super::section::Section;
use super::trials::MEMORY_NOTE;
use crate::error::ReportError;
use crate::metrics;
use crate::run_data::RunData;

pub(super) const SECTION: Section<RunData> = Section {
    name: "methods",
    heading: "How each number is made",
    help: "accuracy, latency, parameters, MACs, memory and the mobile efficiency score",
    render,
};

fn render(run: &RunData, _: &mut OutputFolder) -> Result<String, ReportError> {
    let data = &run.header.dataset;
    let images = |n: usize| text::thousands(n as u64);
    let search = format!("{} (search)", run.accuracy().label);
    let test = format!("{} (retrained)", run.final_accuracy().label);
    Ok(facts(&[
        (
            search.as_str(),
            format!(
                "On the {} search-validation images, held out of the training set. The weights are the supernet's, with \
                 batch-norm statistics recalibrated for each candidate. It ranks candidates; it is not what the network \
                 reaches when it is trained on its own.",
                images(data.scoring_images())
            ),
        ),
        (
            test.as_str(),
            format!(
                "On the {} test images, used for nothing else; retrained networks were {}.",
                images(data.test),
                run.retraining()
            ),
        ),
        ("Latency", latency(&run.header)),
        (
            "Params",
            "Learnable parameters, counted on the network's graph. k, M, G: thousand, million, billion.".to_owned(),
        ),
        ("MACs", "Multiply-accumulates of one image: convolutions, linear layers and attention products.".to_owned()),
        ("Memory", MEMORY_NOTE.to_owned()),
        ("MES", format!("{}. {}", run.mes_formula(), unit(run))),
        (
            "Front",
            format!(
                "The scored trials that no other scored trial dominates: {} maximised, the other metric minimised (the \
                 mobile efficiency score maximised). Equal trials stay together.",
                metrics::noun(run.accuracy())
            ),
        ),
    ]))
}

/// Whether latencies were measured, or summed over blocks.
fn latency(header: &RunHeader) -> String {
    let e = &header.engine;
    let setting = about::engine(e);
    let Some(t) = &e.table else {
        return format!("Median time of one forward pass, {setting}, on {}. {}", header.host.caption(), e.protocol);
    };
    let line = match t.nets {
        0 => String::new(),
        _ => format!(", corrected by a line fitted on {} whole networks", t.fit_nets),
    };
    format!(
        "Not measured: a sum over the network's blocks by a table of {} blocks, {setting}, on {}{line}. {}",
        t.blocks, t.device, e.protocol
    )
}

/// The unit of the score's latency.
fn unit(run: &RunData) -> String {
    match &run.unit {
        Some(u) => format!(
            "{} at {} px took {} ms here (p10–p90 {}–{} ms, {}), so the unit is {} ms.",
            u.model,
            u.resolution,
            text::significant(u.latency.median_ms, 3),
            text::significant(u.latency.p10_ms, 3),
            text::significant(u.latency.p90_ms, 3),
            text::plural(u.latency.samples, "sample"),
            text::significant(score::unit_latency_ms(&run.header.mes, u.latency.median_ms), 4),
        ),
        None => "MobileNetV2 has not been measured in this run yet, so no trial has a score.".to_owned(),
    }
}
