//! A table in words.

use std::fmt::Write as _;

use mobilenas_bench::latency_table::Table;
use mobilenas_bench::latency_table::file::engine as engine_in_words;

/// What a table holds and how well it does.
pub(super) fn shown(t: &Table) -> String {
    let h = &t.header;
    let host = h.host.as_ref().map(mobilenas_record::run::Host::caption);
    let place = host.or_else(|| h.device.clone()).unwrap_or_default();
    let mut out = String::new();
    let whole = if h.whole { "all" } else { "not all" };
    let _ = writeln!(out, "{} blocks, {whole} of {}'s space, {} classes", t.blocks.len(), h.family, h.classes);
    let _ = writeln!(out, "{} on {place}", engine_in_words(&h.engine));
    let _ = writeln!(out, "protocol: {}", h.engine.protocol);
    if let Some(r) = &t.reference {
        let l = &r.latency;
        let _ = writeln!(out, "{} at {} px: {:.3} ms, {} samples", r.model, r.resolution, l.median_ms, l.samples);
    }
    let mut spreads: Vec<f64> = t.blocks.iter().filter_map(|b| b.spread).collect();
    spreads.sort_by(f64::total_cmp);
    if let Some(middle) = spreads.get(spreads.len() / 2) {
        let count = t.blocks.iter().map(|b| b.count).min().unwrap_or(0);
        let _ = writeln!(
            out,
            "blocks: at least {count} samples each, quartiles {:.1} % of the median apart in the middle of them",
            100.0 * middle
        );
    }
    match &t.validation {
        Some(v) => {
            let tau = v.tau.map_or_else(|| "none".to_string(), |t| format!("{t:.3}"));
            let twice = t.blocks.iter().any(|b| b.again.is_some());
            let share = format!(", {:.0} % of it of runs right after another", 100.0 * v.again);
            let share = if twice { share } else { String::new() };
            let _ = writeln!(
                out,
                "latency = {:.4} ms + {:.4} x sum{share}, fitted on {} networks; on {} others of {:.3} to {:.3} ms:",
                v.line.offset_ms, v.line.slope, v.fit_nets, v.nets, v.range_ms[0], v.range_ms[1]
            );
            let _ = writeln!(
                out,
                "  MAPE {:.2} %, within 5 %: {:.1} %, within 10 %: {:.1} %, worst {:.1} %, Kendall's tau {tau} (MAPE of the bare sum {:.2} %)",
                v.mape, v.within_5, v.within_10, v.worst, v.uncorrected_mape
            );
        }
        None => out.push_str("no whole networks: sums are neither corrected nor judged\n"),
    }
    let _ = writeln!(out, "digest {}", t.digest);
    out
}

/// The same as JSON.
pub(super) fn shown_as_json(t: &Table) -> serde_json::Value {
    serde_json::json!({
        "table": t.header, "blocks": t.blocks.len(), "reference": t.reference, "validation": t.validation,
        "digest": t.digest,
    })
}
