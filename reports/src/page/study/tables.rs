//! The tables of a study.

use crate::ReportError;
use crate::page::html::{Cell, table};
use crate::study::{Band, Fidelity, NetworkOrigin, Standing, Study, pairs_won};
use crate::table as trials;
use mobilenas_record::Interval;
use mobilenas_record::text;

/// One row a condition.
pub(super) fn ranks(all: &[Fidelity]) -> String {
    let interval = |v: Option<Interval>| {
        v.map_or_else(|| "–".to_owned(), |v| format!("{:.2} ({:.2}–{:.2})", v.value, v.low, v.high))
    };
    let row = |f: &Fidelity| {
        vec![
            Cell::Text(f.condition.rule.clone()),
            Cell::Text(if f.condition.recalibrated { "recalibrated" } else { "not recalibrated" }.to_owned()),
            Cell::Number(text::thousands(f.pairs.len() as u64)),
            Cell::Number(interval(f.tau)),
            Cell::Number(interval(f.rho)),
        ]
    };
    let heads = ["Supernet trained by", "Batch norms", "Networks", "Kendall's τ-b (95 %)", "Spearman's ρ (95 %)"];
    table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

/// One row a strategy; `random` is chance.
pub(super) fn volumes(all: &[Band]) -> String {
    let chance = all.iter().find(|b| b.strategy == "random");
    let row = |b: &Band| {
        let (at, low, middle, high) = b.points.last().copied().unwrap_or_default();
        let won = match chance {
            Some(chance) if chance.strategy != b.strategy => {
                let (won, of) = pairs_won(b, chance);
                format!("{} of {of} ({:.0} %)", text::significant(won, 3), 100.0 * won / of.max(1) as f64)
            }
            _ => "–".to_owned(),
        };
        vec![
            Cell::Text(b.strategy.clone()),
            Cell::Number(b.seeds.to_string()),
            Cell::Number(text::thousands(at)),
            Cell::Number(text::significant(middle, 4)),
            Cell::Number(format!("{}–{}", text::significant(low, 4), text::significant(high, 4))),
            Cell::Number(won),
        ]
    };
    let heads = ["Strategy", "Seeds", "Trials", "Median hypervolume", "Quartiles", "Pairs of seeds won against random"];
    table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

/// One row a network, best first.
pub(super) fn standings(all: &[Standing]) -> String {
    let row = |s: &Standing| {
        let n = s.network;
        let tops: Vec<String> = s.tops.iter().map(|v| format!("{v:.2}")).collect();
        vec![
            Cell::Text(n.name.clone()),
            Cell::Text(origin(n.origin).to_owned()),
            Cell::Number(format!("{:.2}", s.top1.value)),
            Cell::Number(format!("{:.2}–{:.2}", s.top1.low, s.top1.high)),
            Cell::Number(tops.join(", ")),
            Cell::number(n.latency.as_ref().map(|l| l.median_ms), |v| text::significant(v, 3)),
            Cell::Number(text::count(n.params as f64)),
            Cell::Number(text::count(n.macs as f64)),
            Cell::number(n.memory.map(|m| m as f64), text::bytes),
        ]
    };
    let heads =
        ["Network", "From", "Test top-1 (%)", "Error bar", "Each seed (%)", "Latency (ms)", "Params", "MACs", "Memory"];
    table(&heads, &all.iter().map(row).collect::<Vec<_>>())
}

fn origin(origin: NetworkOrigin) -> &'static str {
    match origin {
        NetworkOrigin::Drawn => "drawn",
        NetworkOrigin::Found => "search",
        NetworkOrigin::Published => "paper",
    }
}

/// All networks as CSV: one row a network, one column a seed.
pub(super) fn csv(study: &Study) -> Result<Vec<u8>, ReportError> {
    trials::networks(study, origin)
}
