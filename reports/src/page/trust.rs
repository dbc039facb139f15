//! How far to trust a run's numbers: what its own rows say of their noise.
//!
//! Each part reads the rows it needs and says nothing where there are none. What another kind of row brings is one more
//! function in [`PARTS`].

use super::html::{facts, section};
use super::index::figure;
use super::predicted;
use crate::predictors::{Predictor, predictors};
use crate::winners;
use crate::{Frame, ReportError, study};
use mobilenas_record::metric::name as metric;
use mobilenas_record::text;
use mobilenas_record::{interval, rank};

/// A name and what there is to say, if there is anything.
type Part = fn(&Frame) -> Option<(&'static str, String)>;

const PARTS: &[Part] = &[
    latency_spread,
    latency_samples,
    accuracy_step,
    predicted::trust,
    rank_fidelity,
    rank_agreement,
    foretelling,
    predictor_error,
    seeds,
];

/// The section; empty if no part has anything to say.
pub(super) fn section_of(f: &Frame) -> Result<String, ReportError> {
    let rows: Vec<(&str, String)> = PARTS.iter().filter_map(|part| part(f)).collect();
    if rows.is_empty() {
        return Ok(String::new());
    }
    let plot = predicted::chart(f).map(|chart| figure(predicted::FILE, &chart)).transpose()?.unwrap_or_default();
    let link = match &f.study {
        Some(_) => format!("<p><a href=\"../{}\">The study in this run's folder</a></p>\n", study::INDEX),
        None => String::new(),
    };
    Ok(section("trust", "How far to trust it", &(facts(&rows) + &link + &plot)))
}

/// The value below which a share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

/// Width of the middle 80 % of one measurement's samples, in percent of its median: noise within a measurement.
fn latency_spread(f: &Frame) -> Option<(&'static str, String)> {
    let latencies = f.trials.iter().filter_map(|e| e.trial.latency.as_ref());
    let spread = |l: &mobilenas_record::run::Latency| 100.0 * (l.p90_ms - l.p10_ms) / l.median_ms;
    let mut all: Vec<f64> = latencies.map(spread).filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let (middle, worst) = (quantile(&all, 0.5)?, quantile(&all, 0.95)?);
    Some((
        "Noise within a latency",
        format!(
            "From the 10th to the 90th percentile, the samples of a measurement span {} % of its median in the middle \
             of {}, and {} % or more in one of twenty. A median is surer than that, but says nothing of the noise between \
             one measurement and the next: small differences between networks need repeated measurements.",
            text::significant(middle, 2),
            text::plural(all.len(), "measurement"),
            text::significant(worst, 2)
        ),
    ))
}

fn latency_samples(f: &Frame) -> Option<(&'static str, String)> {
    let samples = || f.trials.iter().filter_map(|e| e.trial.latency.as_ref()).map(|l| l.samples);
    let (least, most) = (samples().min()?, samples().max()?);
    let words = if least == most { format!("{most} each") } else { format!("{least} to {most} each") };
    Some(("Samples of a latency", words))
}

/// What one image more or less is worth, and the error bar at the best top-1.
fn accuracy_step(f: &Frame) -> Option<(&'static str, String)> {
    let images = f.run.dataset.scoring_images();
    let best = f.trials.iter().filter(|e| e.is_scored()).filter_map(|e| e.metric(metric::TOP1)).reduce(f64::max)?;
    let bar = interval::wilson(best, images);
    Some((
        "Noise of the search's top-1",
        format!(
            "{} images: one more or less is {} %, and the 95 % interval around {best:.2} % is {:.2} to {:.2} % (Wilson). \
             Candidates are scored on the same images, so their differences are surer than that.",
            text::thousands(images as u64),
            text::significant(100.0 / images.max(1) as f64, 2),
            bar.low,
            bar.high
        ),
    ))
}

/// What the study in the run's folder says of inherited weights.
fn rank_fidelity(f: &Frame) -> Option<(&'static str, String)> {
    let study = f.study.as_ref()?;
    let one = |r: &study::Fidelity| {
        let tau = r.tau?;
        let nets = text::plural(r.pairs.len(), "network");
        Some(format!("{}: {:.2} ({:.2} to {:.2}, {nets})", r.condition, tau.value, tau.low, tau.high))
    };
    let all: Vec<String> = study::fidelities(study).iter().filter_map(one).collect();
    (!all.is_empty()).then(|| {
        let words = format!(
            "Kendall's τ-b between inherited top-1 and the top-1 of training each network alone, with 95 % of bootstrap \
             samples over networks: {}.",
            all.join("; ")
        );
        ("Rank fidelity", words)
    })
}

/// Whether the inherited top-1 put the winners in the order that retraining gave them.
fn rank_agreement(f: &Frame) -> Option<(&'static str, String)> {
    let both = |w: &winners::Winner| Some((f.trial(w.trial)?.metric(metric::TOP1)?, w.top1?.value));
    let pairs: Vec<(f64, f64)> = winners::winners(f).iter().filter_map(both).collect();
    // Two networks are always in order or in reverse.
    if pairs.len() < 3 {
        return None;
    }
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let tau = rank::kendall(&a, &b)?;
    Some((
        "Search order against retrained order",
        format!(
            "Kendall's τ-b between inherited and retrained top-1 is {tau:.2} over {} networks. They were chosen for a good \
             inherited top-1, which makes τ smaller than over networks of all kinds; few networks make it uncertain.",
            pairs.len()
        ),
    ))
}

/// Whether proxies tell more of top-1 than the size of a network does.
fn foretelling(f: &Frame) -> Option<(&'static str, String)> {
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let one = |p: &Predictor| format!("{} {} / {} ({})", p.name, number(p.kendall), number(p.spearman), p.trials);
    let all: Vec<String> = predictors(f).iter().map(one).collect();
    if all.is_empty() {
        return None;
    }
    Some((
        "What foretells top-1",
        format!(
            "Kendall's τ-b / Spearman's ρ with the inherited top-1 (trials): {}. A proxy is worth something where it does \
             better than parameters and MACs, which cost nothing. The trials are those of a search, not an even sample of \
             the space.",
            all.join(", ")
        ),
    ))
}

/// How well the search's own predictor did on trials that it had not seen.
fn predictor_error(f: &Frame) -> Option<(&'static str, String)> {
    let trials: usize = f.foretold.iter().map(|t| t.trials).sum();
    let (first, last) = (f.foretold.first()?, f.foretold.last()?);
    let mean = f.foretold.iter().map(|t| t.mean_error * t.trials as f64).sum::<f64>() / trials.max(1) as f64;
    let tau = |t: &mobilenas_record::run::PredictorFit| t.kendall.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    Some((
        "Error of the accuracy predictor",
        format!(
            "Over {} that it foretold before they were scored, it was off by {} on average; τ-b was {} within those after \
             the first fit (on {}) and {} after the last that was tested (on {}). It proposed most of them for being good, which makes τ \
             smaller than over networks of all kinds.",
            text::plural(trials, "trial"),
            text::significant(mean, 2),
            tau(first),
            text::plural(first.fitted_on, "trial"),
            tau(last),
            text::plural(last.fitted_on, "trial")
        ),
    ))
}

fn seeds(f: &Frame) -> Option<(&'static str, String)> {
    let mut seeds: Vec<u64> = f.retrained.iter().map(|r| r.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let list: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    let retrained = match seeds.len() {
        0 => String::new(),
        1 => format!(" All retrainings used the seed {}: what another seed would give is not known.", list[0]),
        n => format!(" Retrainings used {n} seeds: {}.", list.join(", ")),
    };
    Some(("Seeds", format!("One search, with the seed {}.{retrained}", f.run.seed)))
}
