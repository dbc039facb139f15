//! How reliable a run's numbers are, from its own rows.
//!
//! Each part reads the rows that it needs and says nothing where there are none. A new part is one more function in [`PARTS`].

use mobilenas_record::interval::wilson;
use mobilenas_record::run::{Landmark, PredictorFit};
use mobilenas_record::{rank, text};

use super::figure::figures;
use super::folder::OutputFolder;
use super::html::facts;
use super::latency_table;
use super::section::Section;
use crate::error::ReportError;
use crate::predictors::{Predictor, predictors};
use crate::retrained::{RetrainedNetwork, retrained_networks};
use crate::run_data::RunData;
use crate::study;

pub(super) const SECTION: Section<RunData> = Section {
    name: "reliability",
    heading: "How reliable the numbers are",
    help: "noise, rank correlations, seeds",
    render,
};

/// A name and what there is to say, if there is anything.
type Said = Option<(&'static str, String)>;
type Part = fn(&RunData) -> Said;

const PARTS: &[Part] = &[
    latency_spread,
    latency_samples,
    accuracy_step,
    latency_table::reliability,
    rank_fidelity,
    rank_agreement,
    finetuned_agreement,
    |run| of_each_space(run, landmarks),
    |run| of_each_space(run, accuracy_predictors),
    |run| of_each_space(run, predictor_error),
    seeds,
];

/// What can only be said of the networks of one supernet.
fn of_each_space(run: &RunData, part: Part) -> Said {
    let named = |own: &RunData, words: String| match run.header.spaces.is_empty() {
        true => words,
        false => format!("Space {}: {words}", own.header.name),
    };
    let said =
        run.by_space().iter().filter_map(|own| part(own).map(|(name, words)| (name, named(own, words)))).collect();
    let (names, words): (Vec<&str>, Vec<String>) = Vec::into_iter(said).unzip();
    names.first().map(|name| (*name, words.join(" ")))
}

fn render(run: &RunData, out: &mut OutputFolder) -> Result<String, ReportError> {
    let rows: Vec<(&str, String)> = PARTS.iter().filter_map(|part| part(run)).collect();
    if rows.is_empty() {
        return Ok(String::new());
    }
    let charts: Vec<_> = latency_table::chart(run).into_iter().map(|c| (latency_table::FILE, c)).collect();
    let link = match &run.study {
        Some(_) => format!("<p><a href=\"../{}\">The study in this run's folder</a></p>\n", study::INDEX),
        None => String::new(),
    };
    Ok(facts(&rows) + &link + &figures(&charts, out)?)
}

/// Width of the middle 80 % of one measurement's samples, in percent of its median: noise within a measurement.
fn latency_spread(run: &RunData) -> Option<(&'static str, String)> {
    let latencies = run.trials.iter().filter_map(|t| t.trial.latency.as_ref());
    let spreads = latencies.map(|l| 100.0 * (l.p90_ms - l.p10_ms) / l.median_ms);
    let mut all: Vec<f64> = spreads.filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let last = all.len().checked_sub(1)?;
    let [median, large] = [0.5, 0.95].map(|share| all[(last as f64 * share).round() as usize]);
    Some((
        "Noise within a latency",
        format!(
            "The samples of a measurement span, from the 10th to the 90th percentile, {} % of their median: this is the \
             median over {}; one in twenty spans {} % or more. The median of a measurement is less noisy, but this says \
             nothing about the noise between measurements: small differences between networks need repeated measurements.",
            text::significant(median, 2),
            text::plural(all.len(), "measurement"),
            text::significant(large, 2)
        ),
    ))
}

fn latency_samples(run: &RunData) -> Option<(&'static str, String)> {
    let samples = || run.trials.iter().filter_map(|t| t.trial.latency.as_ref()).map(|l| l.samples);
    let (least, most) = (samples().min()?, samples().max()?);
    let words = if least == most { format!("{most} each") } else { format!("{least} to {most} each") };
    Some(("Samples of a latency", words))
}

/// What one image is worth, and the confidence interval of the best accuracy.
fn accuracy_step(run: &RunData) -> Option<(&'static str, String)> {
    let images = run.header.dataset.scoring_images();
    let best = run.scored().filter_map(|t| t.metric(run.accuracy().name)).reduce(f64::max)?;
    let interval = wilson(best, images);
    Some((
        "Noise of the search's accuracy",
        format!(
            "{} images: one image is worth {} %, and the 95 % Wilson interval around {best:.2} % is {:.2} to {:.2} %. \
             Candidates are scored on the same images, so their differences are more certain than that.",
            text::thousands(images as u64),
            text::significant(100.0 / images.max(1) as f64, 2),
            interval.low,
            interval.high
        ),
    ))
}

/// What the study in the run's folder says about inherited weights.
fn rank_fidelity(run: &RunData) -> Option<(&'static str, String)> {
    let one = |r: &study::Fidelity| {
        let tau = r.tau?;
        let networks = text::plural(r.pairs.len(), "network");
        Some(format!("{}: {:.2} ({:.2} to {:.2}, {networks})", r.condition, tau.value, tau.low, tau.high))
    };
    let all: Vec<String> = study::fidelities(run.study.as_ref()?).iter().filter_map(one).collect();
    (!all.is_empty()).then(|| {
        let words = format!(
            "Kendall's τ-b between inherited accuracy and the accuracy of training each network from scratch, with a 95 % \
             bootstrap interval over networks: {}.",
            all.join("; ")
        );
        ("Rank fidelity", words)
    })
}

/// Whether accuracy after fine-tuning ranked the retrained networks as retraining did.
fn finetuned_agreement(run: &RunData) -> Option<(&'static str, String)> {
    let steps = run.finetuned.first()?.steps;
    let tuned = |trial| run.finetuned.iter().find(|f| f.trial == trial)?.metrics.get(run.accuracy().name).copied();
    let both = |n: &RetrainedNetwork| Some((tuned(n.trial)?, n.accuracy?.value));
    let (tuned, trained): (Vec<f64>, Vec<f64>) = retrained_networks(run).iter().filter_map(both).unzip();
    let agreement = rank::kendall(&tuned, &trained).filter(|_| trained.len() >= 3).map_or_else(String::new, |tau| {
        format!(
            " Kendall's τ-b between their accuracy then and after retraining is {tau:.2} over {} networks.",
            trained.len()
        )
    });
    Some((
        "Fine-tuned candidates",
        format!(
            "{} were trained for {} from their inherited weights, and the winners were chosen by the accuracy that they \
             then had.{agreement}",
            text::plural(run.finetuned.len(), "candidate"),
            text::plural(steps as usize, "step")
        ),
    ))
}

/// How well landmarks predict each other.
fn landmarks(run: &RunData) -> Option<(&'static str, String)> {
    let all = &run.landmarks;
    let correction = Landmark::correction(all)?;
    let [scores, trained]: [Vec<f64>; 2] =
        [all.iter().map(|l| l.score).collect(), all.iter().map(|l| l.trained).collect()];
    let tau = rank::kendall(&scores, &trained)
        .map_or_else(String::new, |tau| format!(" Kendall's τ-b between their scores before and after is {tau:.2}."));
    Some((
        "Landmarks",
        format!(
            "{} were {} for {} epochs and scored on the search-validation split. A ridge regression on score, log MACs \
             and log parameters, fitted on them, predicted for all others what such a training would give, and the winners were chosen by that. Fitted on all landmarks but one, it is off by {:.2} points \
             on that one (root mean square).{tau}",
            text::plural(all.len(), "network"),
            run.retraining(),
            all.first().map_or(0.0, |l| l.epochs),
            correction.left_out
        ),
    ))
}

/// Whether inherited accuracy ranked the retrained networks as retraining did.
fn rank_agreement(run: &RunData) -> Option<(&'static str, String)> {
    let both = |n: &RetrainedNetwork| Some((run.trial(n.trial)?.metric(run.accuracy().name)?, n.accuracy?.value));
    let (inherited, trained): (Vec<f64>, Vec<f64>) = retrained_networks(run).iter().filter_map(both).unzip();
    let tau = rank::kendall(&inherited, &trained).filter(|_| trained.len() >= 3)?;
    Some((
        "Search order against retrained order",
        format!(
            "Kendall's τ-b between inherited and retrained accuracy is {tau:.2} over {} networks. The found ones were \
             selected for a high inherited accuracy, which lowers τ compared with a random sample; with few networks it \
             is uncertain.",
            trained.len()
        ),
    ))
}

/// Whether proxies predict accuracy better than the size of a network does.
fn accuracy_predictors(run: &RunData) -> Option<(&'static str, String)> {
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let one = |p: &Predictor| format!("{} {} / {} ({})", p.name, number(p.kendall), number(p.spearman), p.trials);
    let all: Vec<String> = predictors(run).iter().map(one).collect();
    if all.is_empty() {
        return None;
    }
    Some((
        "What predicts accuracy",
        format!(
            "Kendall's τ-b / Spearman's ρ with the inherited accuracy (trials): {}. A proxy is useful only where it does \
             better than parameters and MACs, which cost nothing. The trials are those of a search, not a uniform sample of \
             the space.",
            all.join(", ")
        ),
    ))
}

/// How well the search's own predictor did on trials that it had not seen.
fn predictor_error(run: &RunData) -> Option<(&'static str, String)> {
    let fits = &run.predictor_fits;
    let trials: usize = fits.iter().map(|f| f.trials).sum();
    let (first, last) = (fits.first()?, fits.last()?);
    let mean = fits.iter().map(|f| f.mean_error * f.trials as f64).sum::<f64>() / trials.max(1) as f64;
    let tau = |f: &PredictorFit| f.kendall.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    Some((
        "Error of the accuracy predictor",
        format!(
            "Over {} predicted before they were scored, the mean absolute error is {}; τ-b is {} for the trials after the \
             first fit (on {}) and {} after the last tested one (on {}). Most trials were proposed for a high prediction, \
             which lowers τ compared with a random sample.",
            text::plural(trials, "trial"),
            text::significant(mean, 2),
            tau(first),
            text::plural(first.fitted_on, "trial"),
            tau(last),
            text::plural(last.fitted_on, "trial")
        ),
    ))
}

fn seeds(run: &RunData) -> Option<(&'static str, String)> {
    let mut seeds: Vec<u64> = run.retrained.iter().map(|r| r.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let list: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    let retrained = match seeds.len() {
        0 => String::new(),
        1 => format!(" All networks were retrained with seed {}: the spread over seeds is not known.", list[0]),
        n => format!(" Networks were retrained with {n} seeds: {}.", list.join(", ")),
    };
    Some(("Seeds", format!("One search, with seed {}.{retrained}", run.header.seed)))
}
