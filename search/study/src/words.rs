//! The outcome of a study in words.

use mobilenas_record::Interval;
use mobilenas_reports::study::{
    ComparedNetwork, Corrected, EqualCost, Fidelity, HypervolumeBand, NetworkOrigin, RANDOM, SeedAgreement, Study,
    at_equal_cost, bands, by_size, compared_networks, corrected, fidelities, fidelities_by_space, pairs_won,
    seed_agreement,
};

/// What came out, line by line.
pub fn outcome(study: &Study) -> Vec<String> {
    let noun = study.accuracy().noun();
    let mut out: Vec<String> = fidelities(study).iter().map(fidelity).collect();
    for (space, own) in fidelities_by_space(study) {
        out.extend(own.iter().map(|f| format!("space {space}: {}", fidelity(f))));
    }
    out.extend(corrected(study).iter().map(landmarks));
    let size = |[macs, params]: [Interval; 2]| {
        let of = |name, i| interval(&format!("Kendall's tau of {name} alone"), Some(i));
        format!("rank fidelity, by size: {}, {}", of("MACs", &macs), of("params", &params))
    };
    out.extend(by_size(study).map(size));
    out.extend(seed_agreement(study).map(|agreement| again(agreement, &noun)));
    let unit = study.header.volume.as_ref().map_or("", |v| v.unit.as_str());
    out.extend(searches(&bands(study), unit));
    out.extend(equal_cost(&at_equal_cost(&study.searches), unit));
    out.extend(baselines(&compared_networks(study), &noun));
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
    let partial = interval("given MACs and parameters", f.partial.as_ref());
    let within = interval("within thirds of MACs", f.within.as_ref());
    format!("rank fidelity, {}: {tau} ({partial}; {within}), {rho}, {} networks", f.condition, f.pairs.len())
}

fn landmarks(c: &Corrected) -> String {
    format!(
        "rank fidelity, {}, corrected by {} landmarks: {} ({}; {}), error on a landmark left out {:.2} points, {} networks",
        c.condition,
        c.landmarks,
        interval("Kendall's tau", c.tau.as_ref()),
        interval("before", c.before.as_ref()),
        interval("by size alone", c.by_size.as_ref()),
        c.left_out,
        c.networks
    )
}

fn again(r: SeedAgreement, noun: &str) -> String {
    format!(
        "trainings with {} seeds of {} networks: standard deviation {:.2} points of {noun}, {}",
        r.seeds,
        r.networks,
        r.deviation,
        interval("Kendall's tau between two seeds", Some(&r.tau))
    )
}

fn searches(all: &[HypervolumeBand], unit: &str) -> Vec<String> {
    let median = |b: &HypervolumeBand| b.points.last().map_or(f64::NAN, |p| p.2);
    let Some(random) = all.iter().find(|b| b.strategy == RANDOM) else { return Vec::new() };
    let one = |b: &HypervolumeBand| {
        let (won, pairs) = pairs_won(b, random);
        let verdict = match median(b).total_cmp(&median(random)) {
            std::cmp::Ordering::Greater => "above",
            std::cmp::Ordering::Equal => "equal to",
            std::cmp::Ordering::Less => "below",
        };
        format!(
            "against random search, {}: median hypervolume {:.2} {unit} after {} trials, {verdict} random's {:.2}; ahead in \
             {won} of {pairs} pairs of seeds",
            b.strategy,
            median(b),
            b.points.last().map_or(0, |p| p.0),
            median(random)
        )
    };
    all.iter().filter(|b| b.strategy != RANDOM).map(one).collect()
}

fn equal_cost(all: &[EqualCost], unit: &str) -> Vec<String> {
    let Some(random) = all.iter().find(|one| one.strategy == RANDOM) else { return Vec::new() };
    let one = |other: &EqualCost| {
        let reached = other.share.map_or_else(
            || "fewer than half of its searches reach the hypervolume that random search ends with".to_string(),
            |share| {
                format!("reaches the hypervolume that random search ends with at {:.0} % of its cost", 100.0 * share)
            },
        );
        format!(
            "at equal cost, {:.0} s of scoring, {}: median hypervolume {:.2} {unit}, random's {:.2}; {reached}",
            other.seconds, other.strategy, other.median, random.median
        )
    };
    all.iter().filter(|one| one.strategy != RANDOM).map(one).collect()
}

fn baselines(all: &[ComparedNetwork<'_>], noun: &str) -> Vec<String> {
    let one = |s: &ComparedNetwork<'_>| {
        let n = s.network;
        let latency = n.latency.as_ref().map_or_else(String::new, |l| format!(", {:.3} ms", l.median_ms));
        let runs = s.accuracies.len();
        format!(
            "trained alike, {}: test {noun} {:.2} % ({:.2} to {:.2}, {runs} trainings), {} params, {} MACs{latency}",
            n.name, s.accuracy.value, s.accuracy.low, s.accuracy.high, n.params, n.macs
        )
    };
    let mut out: Vec<String> = all.iter().map(one).collect();
    let of = |origin| all.iter().filter(move |s| s.network.origin == origin);
    let pairs = of(NetworkOrigin::Found).flat_map(|f| of(NetworkOrigin::Published).map(move |p| (f, p)));
    let won: Vec<String> = pairs
        .filter(|(f, p)| f.dominates(p))
        .map(|(f, p)| {
            format!(
                "{} dominates {}: higher {noun} outside the error bars, lower latency, fewer parameters",
                f.network.name, p.network.name
            )
        })
        .collect();
    if won.is_empty() && of(NetworkOrigin::Found).next().is_some() && of(NetworkOrigin::Published).next().is_some() {
        out.push(format!(
            "no found network dominates a published one in {noun} outside the error bars, latency and parameters"
        ));
    }
    out.extend(won);
    out
}
