//! Where numbers come from, in words that several sections share.

use mobilenas_record::run::{Dataset, Engine, Host};
use mobilenas_record::text;

use crate::run_data::RunData;

/// `libtorch 2.11.0, float32, 1 thread, batch 1`.
pub(super) fn engine(e: &Engine) -> String {
    format!("{} {}, {}, {}, batch {}", e.name, e.version, e.precision, text::plural(e.threads, "thread"), e.batch)
}

/// The data set with the sizes of its splits.
pub(super) fn dataset(d: &Dataset) -> String {
    let n = |n: usize| text::thousands(n as u64);
    format!(
        "{}: {} training images, {} for search validation, {} test images, {} classes",
        d.name,
        n(d.train),
        n(d.search_val),
        n(d.test),
        n(d.classes)
    )
}

/// The machine with its memory and system.
pub(super) fn host(h: &Host) -> String {
    format!("{}, {:.1} GiB of memory, {}", h.caption(), h.memory as f64 / 1024f64.powi(3), h.os)
}

/// Host, engine and data of a plot.
pub(super) fn setup(host: &Host, by: &Engine, data: &Dataset) -> String {
    format!("Host {}; engine {}. Data set {} ({} classes).", host.caption(), engine(by), data.name, data.classes)
}

/// What was searched: a family, or several spaces.
fn spaces(run: &RunData) -> String {
    let names: Vec<&str> = run.header.spaces.iter().map(|s| s.name.as_str()).collect();
    match names.is_empty() {
        true => format!("Family {}", run.header.family),
        false => format!("Spaces {}", names.join(", ")),
    }
}

/// Where the numbers of a run's plots come from.
pub(super) fn source(run: &RunData) -> String {
    let header = &run.header;
    let table = run.latency_table.as_ref().filter(|_| run.predicted_latency());
    let predicted = table.map_or_else(String::new, |t| {
        format!(
            " Latencies are sums over a table measured on {} with {} {}.",
            t.device, t.engine.name, t.engine.version
        )
    });
    format!(
        "{}{predicted} {}, strategy {}, seed {}.",
        setup(&header.host, &header.engine, &header.dataset),
        spaces(run),
        header.strategy,
        header.seed,
    )
}
