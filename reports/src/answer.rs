//! What a run found: which found networks dominate which published variants.

use mobilenas_record::interval::wilson;
use mobilenas_record::metric::LATENCY;
use mobilenas_record::{Goal, Interval, MetricInfo, pareto, text};
use serde_json::Value;

use crate::metrics;
use crate::retrained::retrained_networks;
use crate::run_data::{RunData, RunTrial};

/// Networks of each kind that the details name; the others are counted.
const NAMED: usize = 3;

/// The answer of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was found, in one sentence.
    pub sentence: String,
    /// The other comparisons, and the retrained networks; empty if there are none.
    pub details: String,
    /// What the numbers are, and how certain; empty if nothing is compared.
    pub basis: String,
}

/// What a search optimised.
pub struct Objective {
    /// The metric.
    pub name: String,
    goal: Goal,
}

impl Objective {
    fn of(metric: &MetricInfo) -> Objective {
        Objective { name: metric.name.to_owned(), goal: metric.goal }
    }

    /// The metric's name within a sentence.
    pub fn noun(&self) -> String {
        metrics::known(&self.name).map_or_else(|| self.name.clone(), metrics::noun)
    }

    fn quantity(&self, value: f64) -> String {
        let unknown = || format!("{} {}", text::significant(value, 3), self.name);
        metrics::known(&self.name).map_or_else(unknown, |m| metrics::quantity(m, value))
    }
}

/// What the search optimised, by the run's config, accuracy first; accuracy and latency without a config.
pub fn objectives(run: &RunData) -> Vec<Objective> {
    let named = || -> Option<Vec<Objective>> {
        let config: Value = serde_yaml::from_str(run.config.as_deref()?).ok()?;
        let of = |o: &Value| {
            let goal = if o["goal"] == "maximize" { Goal::Maximize } else { Goal::Minimize };
            Some(Objective { name: o["metric"].as_str()?.to_owned(), goal })
        };
        config["search"]["objectives"].as_array()?.iter().map(of).collect()
    };
    let mut all = named().unwrap_or_default();
    all.sort_by_key(|o| o.name != run.accuracy().name);
    match all.first() {
        Some(first) if all.len() > 1 && first.name == run.accuracy().name => all,
        _ => vec![Objective::of(run.accuracy()), Objective::of(&LATENCY)],
    }
}

/// A scored network with its values of the objectives.
struct Candidate<'a> {
    trial: &'a RunTrial,
    title: String,
    values: Vec<f64>,
}

impl Candidate<'_> {
    /// `#12 (81.14 %, 2.11 M MACs)`.
    fn words(&self, objectives: &[Objective]) -> String {
        let values: Vec<String> = objectives.iter().zip(&self.values).map(|(o, v)| o.quantity(*v)).collect();
        format!("{} ({})", self.title, values.join(", "))
    }
}

/// The scored networks of a run, the most accurate first.
struct Scored<'a> {
    objectives: Vec<Objective>,
    variants: Vec<Candidate<'a>>,
    found: Vec<Candidate<'a>>,
}

/// A found network, and a published variant that it dominates.
type Pair<'s, 'a> = (&'s Candidate<'a>, &'s Candidate<'a>);

impl<'a> Scored<'a> {
    fn of(run: &'a RunData) -> Scored<'a> {
        let objectives = objectives(run);
        let candidate = |trial| {
            let values: Option<Vec<f64>> = objectives.iter().map(|o| RunTrial::metric(trial, &o.name)).collect();
            values.map(|values| Candidate { trial, title: run.title(trial), values })
        };
        let (mut variants, mut found): (Vec<Candidate>, Vec<Candidate>) =
            run.scored().filter_map(candidate).partition(|c| c.trial.variant().is_some());
        for all in [&mut variants, &mut found] {
            all.sort_by(|a, b| b.values[0].total_cmp(&a.values[0]).then(a.trial.trial.id.cmp(&b.trial.trial.id)));
        }
        Scored { objectives, variants, found }
    }

    /// Each dominated variant with the most accurate network that dominates it, and the variants that none dominates.
    fn pairs(&self) -> (Vec<Pair<'_, 'a>>, Vec<&Candidate<'a>>) {
        let goals: Vec<Goal> = self.objectives.iter().map(|o| o.goal).collect();
        let (mut pairs, mut rest) = (Vec::new(), Vec::new());
        for v in &self.variants {
            match self.found.iter().find(|c| pareto::dominates_by(&c.values, &v.values, &goals)) {
                Some(c) => pairs.push((c, v)),
                None => rest.push(v),
            }
        }
        (pairs, rest)
    }

    fn words(&self, candidate: &Candidate) -> String {
        candidate.words(&self.objectives)
    }

    fn dominates(&self, (c, v): &Pair) -> String {
        format!("{} dominates {}", self.words(c), self.words(v))
    }

    /// What inherited weights say, in one sentence.
    fn sentence(&self, best: &Candidate, pairs: &[Pair]) -> String {
        let names: Vec<String> = self.objectives.iter().map(Objective::noun).collect();
        let names = joined(&names, "and");
        match (self.variants.as_slice(), pairs) {
            ([], _) => format!(
                "The most accurate found network is {}; this run scored no published variant to compare it with.",
                self.words(best)
            ),
            ([variant, ..], []) => format!(
                "No found network dominates a published variant in {names}: the most accurate one is {}, the most \
                 accurate variant is {}.",
                self.words(best),
                self.words(variant)
            ),
            ([_], [pair, ..]) => {
                format!("A found network dominates the published variant in {names}: {}.", self.dominates(pair))
            }
            (all, [pair, ..]) => format!(
                "Found networks dominate {} of {} published variants in {names}: {}{}.",
                pairs.len(),
                all.len(),
                if pairs.len() > 1 { "for example, " } else { "" },
                self.dominates(pair)
            ),
        }
    }

    /// The other pairs, and the variants that no found network dominates.
    fn details(&self, pairs: &[Pair], rest: &[&Candidate]) -> Vec<String> {
        let mut details = Vec::new();
        if let [_, others @ ..] = pairs
            && !others.is_empty()
        {
            let named: Vec<String> = others.iter().take(NAMED).map(|p| self.dominates(p)).collect();
            let more = others.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; {more} more are dominated") } else { String::new() };
            details.push(format!("{}{more}.", joined(&named, "and")));
        }
        if !pairs.is_empty() && !rest.is_empty() {
            let mut named: Vec<String> = rest.iter().take(NAMED).map(|v| self.words(v)).collect();
            if rest.len() > NAMED {
                named.push(format!("{} more", rest.len() - NAMED));
            }
            details.push(format!("No found network dominates {}.", joined(&named, "or")));
        }
        details
    }
}

/// What the run found.
pub fn answer(run: &RunData) -> Answer {
    let scored = Scored::of(run);
    let Some(best) = scored.found.first() else {
        return Answer { sentence: "The search has scored no network yet.".to_owned(), ..Answer::default() };
    };
    let (pairs, rest) = scored.pairs();
    let inherited = scored.sentence(best, &pairs);
    let mut details = scored.details(&pairs, &rest);
    let sentence = match trained_in_words(run, &scored.objectives) {
        // What was trained alike is the answer; inherited weights only chose it.
        Some((trained, true)) => {
            let mut inherited = inherited;
            inherited.get_mut(..1).into_iter().for_each(str::make_ascii_lowercase);
            details.insert(0, format!("With inherited weights: {inherited}"));
            trained
        }
        Some((trained, false)) => {
            details.push(trained);
            inherited
        }
        None => inherited,
    };
    Answer { sentence, details: details.join(" "), basis: basis(run, &pairs) }
}

/// What the comparison's accuracies are, and how many of its differences are certain.
fn basis(run: &RunData, pairs: &[Pair]) -> String {
    let images = run.header.dataset.scoring_images();
    let label = metrics::noun(run.accuracy());
    let mut words = format!(
        "The {label} with inherited weights is on {} search-validation images.",
        text::thousands(images as u64)
    );
    let certain = |(c, v): &&Pair| wilson(c.values[0], images).low > wilson(v.values[0], images).high;
    if !pairs.is_empty() {
        words += &format!(
            " The 95 % intervals of the two networks are apart in {} of {}.",
            pairs.iter().filter(certain).count(),
            text::plural(pairs.len(), "comparison")
        );
    }
    words
}

/// A retrained network, with its test accuracy.
type Trained<'a> = (&'a RunTrial, Interval);

/// The retrained networks, best first: the found ones, and the published variants.
fn trained(run: &RunData) -> (Vec<Trained<'_>>, Vec<Trained<'_>>) {
    let all = retrained_networks(run).into_iter().filter_map(|n| Some((run.trial(n.trial)?, n.accuracy?)));
    all.partition(|(trial, _)| trial.variant().is_none())
}

/// The answer where networks were retrained: one sentence, and whether published variants were among them.
fn trained_in_words(run: &RunData, objectives: &[Objective]) -> Option<(String, bool)> {
    let (found, variants) = trained(run);
    // One training tells no error bar where accuracy is no share of images.
    let barred = |a: &Interval| a.low < a.high;
    let interval = |a: Interval| match barred(&a) {
        true => format!("{:.2} % ({:.2} to {:.2})", a.value, a.low, a.high),
        false => format!("{:.2} %", a.value),
    };
    let label = metrics::noun(run.final_accuracy());
    let (best, accuracy) = found.first()?;
    let cheaper = |f: &RunTrial, v: &RunTrial| {
        objectives[1..].iter().all(|o| match (f.metric(&o.name), v.metric(&o.name)) {
            (Some(a), Some(b)) => o.goal.cost(a) <= o.goal.cost(b),
            _ => false,
        })
    };
    let costs = |t: &RunTrial| {
        let known = objectives[1..].iter().filter_map(|o| Some(o.quantity(t.metric(&o.name)?)));
        known.map(|cost| format!(", {cost}")).collect::<String>()
    };
    let words = |(t, a): &Trained| format!("{} ({}{})", run.title(t), interval(*a), costs(t));
    // For each variant the most accurate network that costs no more.
    let pairs: Vec<(&Trained, &Trained)> =
        variants.iter().filter_map(|v| Some((found.iter().find(|f| cheaper(f.0, v.0))?, v))).collect();
    let ahead: Vec<&(&Trained, &Trained)> =
        pairs.iter().filter(|(f, v)| barred(&f.1) && barred(&v.1) && f.1.low > v.1.high).collect();
    let sentence = match (variants.as_slice(), ahead.as_slice()) {
        ([], _) => format!("{} reaches {} {label}, {}.", run.title(best), interval(*accuracy), run.retraining()),
        (all, []) => {
            let nearest =
                pairs.iter().max_by(|a, b| (a.0.1.value - a.1.1.value).total_cmp(&(b.0.1.value - b.1.1.value)));
            let why = match nearest {
                Some((f, v)) => format!("{} stands against {}", words(f), words(v)),
                None => format!("the most accurate one, {}, costs more", words(&found[0])),
            };
            format!(
                "Trained alike, no found network dominates {} in {label} outside the error bars: {why}.",
                if all.len() == 1 {
                    run.title(all[0].0)
                } else {
                    format!("any of the {} published variants", all.len())
                },
            )
        }
        (all, [(f, v), ..]) => {
            let which = format!("dominates {} in {label} outside the error bars", words(v));
            let more = if ahead.len() > 1 {
                format!("; {} of {} variants are dominated", ahead.len(), all.len())
            } else {
                String::new()
            };
            format!("Trained alike, {} {which}{more}.", words(f))
        }
    };
    Some((sentence, !variants.is_empty()))
}

/// `a, b and c`.
fn joined(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
