//! The outcome of a study in words.

use mobilenas_record::Interval;
use mobilenas_reports::study::{
    Band, Fidelity, NetworkOrigin, Repeats, Standing, Study, bands, by_size, fidelities, pairs_won, repeats, standings,
};

/// The name of chance among the strategies.
const CHANCE: &str = "random";

/// What came out, line by line.
pub fn outcome(study: &Study) -> Vec<String> {
    let mut out: Vec<String> = fidelities(study).iter().map(fidelity).collect();
    let size = |[macs, params]: [Interval; 2]| {
        let of = |name, i| interval(&format!("Kendall's tau of {name} alone"), Some(i));
        format!("rank fidelity, by size: {}, {}", of("MACs", &macs), of("params", &params))
    };
    out.extend(by_size(study).map(size));
    out.extend(repeats(study).map(again));
    out.extend(searches(&bands(study), study.header.volume.as_ref().map_or("", |v| v.unit.as_str())));
    out.extend(papers(&standings(study)));
    out
}

fn interval(name: &str, found: Option<&Interval>) -> String {
    match found {
        Some(i) => format!("{name} {:.2} ({:.2} to {:.2})", i.value, i.low, i.high),
        None => format!("{name} unknown"),
    }
}

fn fidelity(f: &Fidelity) -> String {
    let (tau, rho) = (interval("Kendall's tau", f.tau.as_ref()), interval("Spearman's rho", f.rho.as_ref()));
    format!("rank fidelity, {}: {tau}, {rho}, {} networks", f.condition, f.pairs.len())
}

fn again(r: Repeats) -> String {
    format!(
        "trainings with {} seeds of {} networks: standard deviation {:.2} points of top-1, Kendall's tau between two \
         seeds {:.2}",
        r.seeds, r.networks, r.deviation, r.tau
    )
}

fn searches(all: &[Band], unit: &str) -> Vec<String> {
    let median = |b: &Band| b.points.last().map_or(f64::NAN, |p| p.2);
    let Some(chance) = all.iter().find(|b| b.strategy == CHANCE) else { return Vec::new() };
    let one = |b: &Band| {
        let (won, pairs) = pairs_won(b, chance);
        let verdict = match median(b).total_cmp(&median(chance)) {
            std::cmp::Ordering::Greater => "above",
            std::cmp::Ordering::Equal => "equal to",
            std::cmp::Ordering::Less => "below",
        };
        format!(
            "search against chance, {}: median hypervolume {:.2} {unit} after {} trials, {verdict} random's {:.2}; ahead in \
             {won} of {pairs} pairs of seeds",
            b.strategy,
            median(b),
            b.points.last().map_or(0, |p| p.0),
            median(chance)
        )
    };
    all.iter().filter(|b| b.strategy != CHANCE).map(one).collect()
}

/// Whether a find is better than a published network: in accuracy beyond both error bars, in latency, in parameters.
fn beats(find: &Standing<'_>, rival: &Standing<'_>) -> bool {
    let faster = match (&find.network.latency, &rival.network.latency) {
        (Some(a), Some(b)) => a.median_ms < b.median_ms,
        _ => false,
    };
    find.top1.low > rival.top1.high && faster && find.network.params < rival.network.params
}

fn papers(all: &[Standing<'_>]) -> Vec<String> {
    let one = |s: &Standing<'_>| {
        let n = s.network;
        let latency = n.latency.as_ref().map_or_else(String::new, |l| format!(", {:.3} ms", l.median_ms));
        let runs = s.tops.len();
        format!(
            "trained alike, {}: test top-1 {:.2} % ({:.2} to {:.2}, {runs} trainings), {} params, {} MACs{latency}",
            n.name, s.top1.value, s.top1.low, s.top1.high, n.params, n.macs
        )
    };
    let mut out: Vec<String> = all.iter().map(one).collect();
    let of = |origin| all.iter().filter(move |s| s.network.origin == origin);
    let pairs = of(NetworkOrigin::Found).flat_map(|f| of(NetworkOrigin::Published).map(move |p| (f, p)));
    let won: Vec<String> = pairs
        .filter(|(f, p)| beats(f, p))
        .map(|(f, p)| {
            format!(
                "{} dominates {}: higher top-1 outside the error bars, lower latency, fewer parameters",
                f.network.name, p.network.name
            )
        })
        .collect();
    if won.is_empty() && of(NetworkOrigin::Found).next().is_some() && of(NetworkOrigin::Published).next().is_some() {
        out.push(
            "no find dominates a published network in top-1 outside the error bars, latency and parameters".into(),
        );
    }
    out.extend(won);
    out
}
