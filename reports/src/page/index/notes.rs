//! The page's words: how far the run came, how each number is made, and what was run on what.

use super::super::html::{escape, facts, section};
use super::super::trials::MEMORY;
use crate::Frame;
use mobilenas_record::run::RunHeader;
use mobilenas_record::{score, text};

/// How far the run came. Without a clock, a run that still goes looks like one that was stopped.
pub(super) fn status(f: &Frame) -> String {
    let Some(done) = &f.done else {
        return "not finished: the journal has no end yet, so the run is still going or was stopped".to_owned();
    };
    let phases: Vec<String> = done.seconds.iter().map(|(p, s)| format!("{p} {}", text::duration(*s))).collect();
    let total = text::duration(done.seconds.values().sum());
    match phases.is_empty() {
        true => "finished".to_owned(),
        false => format!("finished after {total} of work ({})", phases.join(", ")),
    }
}

/// One paragraph for each number on the page.
pub(super) fn how_made(f: &Frame) -> String {
    let run = &f.run;
    let images = |n: usize| text::thousands(n as u64);
    let unit = unit(f);
    facts_section(&[
        (
            "Top-1 (search)",
            format!(
                "Share of the {} search-validation images, held out of the training set, that are classified \
                 correctly. The weights are the supernet's, with batch-norm statistics recalibrated for each candidate. \
                 It ranks candidates; it is not what the network reaches when trained on its own.",
                images(run.dataset.scoring_images())
            ),
        ),
        (
            "Test top-1 (retrained)",
            format!(
                "Share of the {} test images, used for nothing else, after training from scratch.",
                images(run.dataset.test)
            ),
        ),
        ("Latency", latency(run)),
        (
            "Params",
            "Learnable parameters, counted on the network's graph. k, M, G: thousand, million, billion.".to_owned(),
        ),
        ("MACs", "Multiply-accumulates of one image: convolutions, linear layers and attention products.".to_owned()),
        ("Memory", MEMORY.to_owned()),
        ("MES", format!("{}. {unit}", score::formula(&run.mes, f.unit_latency_ms()))),
        (
            "Front",
            "The scored trials that no other scored trial beats: top-1 to be large, the other number to be small (the \
             mobile efficiency score to be large). Equal trials stay together."
                .to_owned(),
        ),
    ])
}

/// How a latency came about: timed, or summed over blocks.
fn latency(run: &RunHeader) -> String {
    let e = &run.engine;
    let setting =
        format!("batch {}, {}, {}, {} {}", e.batch, text::plural(e.threads, "thread"), e.precision, e.name, e.version);
    match &e.table {
        None => format!("Median time of one forward pass, {setting}, on {}. {}", run.host.caption(), e.protocol),
        Some(t) if t.nets > 0 => format!(
            "Not timed: a sum over the network's blocks by a table of {} blocks, {setting}, on {}, corrected by a line \
             through {} whole networks. {}",
            t.blocks, t.device, t.fit_nets, e.protocol
        ),
        Some(t) => format!(
            "Not timed: a sum over the network's blocks by a table of {} blocks, {setting}, on {}. {}",
            t.blocks, t.device, e.protocol
        ),
    }
}

/// What the unit of the score's latency was measured to be.
fn unit(f: &Frame) -> String {
    match &f.unit {
        Some(u) => format!(
            "{} at {} px took {} ms here (p10–p90 {}–{} ms, {}), so the unit is {} ms.",
            u.model,
            u.resolution,
            text::significant(u.latency.median_ms, 3),
            text::significant(u.latency.p10_ms, 3),
            text::significant(u.latency.p90_ms, 3),
            text::plural(u.latency.samples, "sample"),
            text::significant(score::unit_latency_ms(&f.run.mes, u.latency.median_ms), 4),
        ),
        None => "MobileNetV2 was not measured in this run yet, so no trial has a score.".to_owned(),
    }
}

fn facts_section(rows: &[(&str, String)]) -> String {
    section("how", "How each number is made", &facts(rows))
}

/// What was run, on what, with what.
pub(super) fn run(f: &Frame) -> String {
    let RunHeader { dataset, host, engine, .. } = &f.run;
    let n = |n: usize| text::thousands(n as u64);
    let mut rows = vec![
        ("Began", text::date(f.run.started_unix)),
        ("Family, strategy", format!("{}, {}", f.run.family, f.run.strategy)),
        ("Seed", f.run.seed.to_string()),
        (
            "Data",
            format!(
                "{}: {} images to train on, {} for search validation, {} to test, {} classes",
                dataset.name,
                n(dataset.train),
                n(dataset.search_val),
                n(dataset.test),
                n(dataset.classes)
            ),
        ),
        ("Host", format!("{}, {:.1} GiB of memory, {}", host.caption(), host.memory as f64 / 1024f64.powi(3), host.os)),
        (
            "Engine",
            format!(
                "{} {}, {}, {}, batch {}",
                engine.name,
                engine.version,
                engine.precision,
                text::plural(engine.threads, "thread"),
                engine.batch
            ),
        ),
        ("Protocol of latency", engine.protocol.clone()),
    ];
    if let Some(s) = &f.supernet {
        let steps = text::thousands(s.steps);
        let took = text::duration(s.seconds);
        rows.push(("Supernet", format!("{} epochs, {steps} steps, last loss {:.3}, {took}", s.epochs, s.loss)));
    }
    rows.push(("Program", format!("mobilenas {}", f.run.program)));
    rows.push(("Journal", format!("format {}", f.run.format)));
    let digest = format!("<p class=\"small\">Config digest <code>{}</code></p>\n", escape(&f.run.config_digest));
    section("run", "This run", &(facts(&rows) + &digest + &config(f)))
}

/// The resolved config, if the run's folder has it.
fn config(f: &Frame) -> String {
    let text = f.config.as_deref().unwrap_or_default();
    if text.is_empty() {
        return String::new();
    }
    format!("<details><summary>config.yaml, resolved</summary>\n<pre>{}</pre></details>\n", escape(text))
}
