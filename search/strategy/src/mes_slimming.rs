//! Evaluation-based slimming, the joint search of EfficientFormerV2 (Li et al., 2022, section 3.2). It starts at the
//! largest subnet. Each step evaluates the actions, each of which lowers one knob by one choice, and takes the one that
//! loses the least accuracy per gain of the mobile efficiency score.
//!
//! The first objective is what is lost (accuracy), the second what is gained (the score). With `gain`, the score is the
//! product of other objectives, each to minus its exponent, so that slimming can be guided by parameters or latency alone.
//! An action that loses nothing comes before any that does, the larger gain first. A beam of `n` follows the best `n`
//! subnets of each step.
//!
//! With `actions_per_step`, a step evaluates only the actions that were cheapest when last evaluated, on another subnet,
//! and those that were never evaluated. If none of them gains anything, it evaluates all.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use mobilenas_record::metric;
use mobilenas_space::{Domain, Genome};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Benchmark, Capabilities, Observation, Settings, SpaceInfo, Strategy, StrategyKind};

pub(crate) const KIND: StrategyKind = StrategyKind {
    capabilities: Capabilities { objectives: 2..=2, second_objective: Some(metric::name::MES), exact: true },
    benchmark: Benchmark { settings: r#"{"beam": 2}"#, batch: usize::MAX, ..Benchmark::DEFAULT },
    ..StrategyKind::new::<MesSlimmingSettings>(
        "mes_slimming",
        "starts from the largest subnet and repeatedly lowers the knob that loses the least accuracy per gain in the \
         second objective (EfficientFormerV2; Li et al., 2022)",
    )
};

/// What a gain may be of.
const COSTS: [&str; 4] = [metric::name::PARAMS, metric::name::MACS, metric::name::MEMORY, metric::name::LATENCY];

/// Settings of slimming.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MesSlimmingSettings {
    /// Beam width: subnets that are followed side by side.
    #[schemars(range(min = 1, max = 1000))]
    beam: usize,
    /// Actions per step, among those evaluated in an earlier step, the cheapest first; all if left out. Actions that were
    /// never evaluated always are. With few trials, a small number reaches small networks.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    actions_per_step: Option<usize>,
    /// The search ends at a feasible subnet whose second objective, or score by `gain`, reaches this; at the smallest subnet if
    /// left out.
    target: Option<f64>,
    /// The score that is gained, in place of the second objective: metrics of objectives and their exponents, as `{params: 0.5,
    /// latency_ms: 1}`. It is 100 for the largest subnet, and each metric's share of the largest subnet's counts to minus its
    /// exponent.
    #[schemars(extend("minProperties" = 1, "additionalProperties" = {"type": "number", "exclusiveMinimum": 0}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    gain: Option<BTreeMap<String, f64>>,
    /// Kinds of knobs that an action may lower: `depth` drops a block, `width` narrows a stage or a transformer,
    /// `expansion` narrows the inside of one block, `patch` makes patches larger.
    #[schemars(length(min = 1))]
    actions: Vec<Action>,
}

/// A kind of knob that slimming may lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Depth,
    Width,
    Expansion,
    Patch,
    Heads,
    Kernel,
    Stride,
    Resolution,
    OutputStride,
}

impl Action {
    fn kind(self) -> &'static str {
        match self {
            Action::Depth => "depth",
            Action::Width => "width",
            Action::Expansion => "expansion",
            Action::Patch => "patch",
            Action::Heads => "heads",
            Action::Kernel => "kernel",
            Action::Stride => "stride",
            Action::Resolution => "resolution",
            Action::OutputStride => "output_stride",
        }
    }
}

impl Default for MesSlimmingSettings {
    fn default() -> MesSlimmingSettings {
        let actions = vec![Action::Depth, Action::Width, Action::Expansion, Action::Patch];
        MesSlimmingSettings { beam: 1, actions_per_step: None, target: None, gain: None, actions }
    }
}

impl Settings for MesSlimmingSettings {
    fn validate(&self, space: &SpaceInfo) -> Vec<(String, String)> {
        let cost = |metric: &&String| COSTS.contains(&metric.as_str());
        if let Some(found) = self.gain.iter().flat_map(BTreeMap::keys).find(|metric| !cost(metric)) {
            return vec![(
                "gain".into(),
                format!("found {found}, expected what is gained as it falls: {}", COSTS.join(", ")),
            )];
        }
        let kinds: Vec<&str> = self.actions.iter().map(|a| a.kind()).collect();
        let free: BTreeSet<&str> = space.domain.free().iter().map(|i| space.knobs[*i].kind).collect();
        if free.is_empty() || kinds.iter().any(|kind| free.contains(kind)) {
            return Vec::new();
        }
        let (found, expected) = (kinds.join(", "), free.into_iter().collect::<Vec<&str>>().join(", "));
        vec![(
            "actions".into(),
            format!("found {found}, expected a kind of knob with two choices in this space: {expected}"),
        )]
    }

    fn build(&self, space: &SpaceInfo) -> Box<dyn Strategy> {
        let lowered = |kind: &str| self.actions.iter().any(|a| a.kind() == kind);
        let knobs = (0..space.knobs.len()).filter(|i| lowered(space.knobs[*i].kind)).collect();
        let place = |metric: &String| space.objectives.iter().position(|o| o == metric);
        let gain = self
            .gain
            .as_ref()
            .map(|gain| gain.iter().filter_map(|(metric, exponent)| Some((place(metric)?, *exponent))).collect());
        Box::new(MesSlimming::new(self, knobs, gain))
    }

    fn needed_objectives(&self) -> Option<Vec<&str>> {
        Some(self.gain.as_ref()?.keys().map(String::as_str).collect())
    }

    fn variation(&self) -> Option<String> {
        let one = |(metric, exponent): (&String, &f64)| match *exponent {
            1.0 => metric.clone(),
            other => format!("{metric}^{other}"),
        };
        Some(self.gain.as_ref()?.iter().map(one).collect::<Vec<_>>().join(" "))
    }
}

/// A scored subnet.
#[derive(Clone, Debug)]
struct Subnet {
    genome: Genome,
    accuracy: f64,
    score: f64,
    violation: f64,
}

/// Which knobs change, by position, and to which choice.
type Change = Vec<(usize, u8)>;

/// Whether a change loses accuracy at all, and how much per gain.
type Cost = (u8, f64);

/// The cost of a change that gains nothing, or whose subnet failed.
const WORTHLESS: Cost = (2, 0.0);

/// Why the search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Target,
    Smallest,
    NoGain,
    Failed,
}

struct MesSlimming {
    beam_width: usize,
    target: Option<f64>,
    actions_per_step: Option<usize>,
    /// Positions of the objectives whose product is the score, with their exponents; otherwise it is the second objective.
    gain: Option<Vec<(usize, f64)>>,
    /// Objectives of the largest subnet, once it is scored.
    largest: Option<Vec<f64>>,
    /// Positions of the knobs that may be lowered.
    knobs: BTreeSet<usize>,
    /// The cost of each change when it was last evaluated.
    costs: HashMap<Change, Cost>,
    /// Whether this step evaluates all actions.
    exhaustive: bool,
    /// Subnets whose actions are being evaluated; empty before the largest subnet is scored.
    beam: Vec<Subnet>,
    /// Results by genome; `None` if scoring failed.
    scored: HashMap<Genome, Option<Subnet>>,
    steps: usize,
    end: Option<End>,
}

impl MesSlimming {
    fn new(settings: &MesSlimmingSettings, knobs: BTreeSet<usize>, gain: Option<Vec<(usize, f64)>>) -> MesSlimming {
        MesSlimming {
            beam_width: settings.beam.max(1),
            target: settings.target,
            actions_per_step: settings.actions_per_step.map(|n| n.max(1)),
            gain,
            largest: None,
            knobs,
            costs: HashMap::new(),
            exhaustive: false,
            beam: Vec::new(),
            scored: HashMap::new(),
            steps: 0,
            end: None,
        }
    }

    /// What is gained, of a subnet's objectives; `None` if one is missing.
    fn score(&self, objectives: &[f64]) -> Option<f64> {
        let (Some(gain), Some(largest)) = (&self.gain, &self.largest) else { return objectives.get(1).copied() };
        // An objective that is minimised is observed with its sign turned, which a ratio does not show.
        let power = |(i, exponent): &(usize, f64)| Some((objectives.get(*i)? / largest.get(*i)?).powf(-exponent));
        Some(100.0 * gain.iter().map(power).product::<Option<f64>>()?)
    }

    /// The genomes that one action leads to.
    fn actions(&self, domain: &Domain, genome: &Genome) -> Vec<Genome> {
        let allowed = |to: &Genome| domain.differing(genome, to).iter().all(|i| self.knobs.contains(i));
        domain.smaller(genome).into_iter().filter(allowed).collect()
    }

    /// Those of them that this step evaluates.
    fn evaluated(&self, domain: &Domain, from: &Genome) -> Vec<Genome> {
        let all = self.actions(domain, from);
        let Some(n) = self.actions_per_step.filter(|_| !self.exhaustive) else { return all };
        let cost = |to: &Genome| self.costs.get(&change(domain, from, to));
        let (known, mut chosen): (Vec<Genome>, Vec<Genome>) = all.into_iter().partition(|to| cost(to).is_some());
        let mut known: Vec<(Cost, Genome)> = known.into_iter().filter_map(|to| Some((*cost(&to)?, to))).collect();
        known.sort_by(|(a, x), (b, y)| cheaper(a, b).then_with(|| x.cmp(y)));
        chosen.extend(known.into_iter().take(n).map(|(_, to)| to));
        chosen
    }

    /// The genomes of this step, sorted, without duplicates.
    fn candidates(&self, domain: &Domain) -> Vec<Genome> {
        if self.beam.is_empty() {
            return vec![domain.largest()];
        }
        let mut all: Vec<Genome> = self.beam.iter().flat_map(|s| self.evaluated(domain, &s.genome)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Takes steps as far as their candidates are scored, and returns the candidates that are not.
    fn advance(&mut self, domain: &Domain) -> Vec<Genome> {
        while self.end.is_none() {
            let candidates = self.candidates(domain);
            let unscored: Vec<Genome> = candidates.iter().filter(|g| !self.scored.contains_key(g)).cloned().collect();
            if !unscored.is_empty() {
                return unscored;
            }
            let end = self.step(domain, &candidates).err();
            let probed = self.actions_per_step.is_some() && !self.exhaustive && !self.beam.is_empty();
            if end == Some(End::NoGain) && probed {
                self.exhaustive = true;
                continue;
            }
            (self.end, self.exhaustive) = (end, false);
            let reached = |s: &Subnet| s.violation <= 0.0 && self.target.is_some_and(|t| s.score >= t);
            if self.end.is_none() && self.beam.iter().any(reached) {
                self.end = Some(End::Target);
            }
        }
        Vec::new()
    }

    /// Moves the beam to the cheapest candidates.
    fn step(&mut self, domain: &Domain, candidates: &[Genome]) -> Result<(), End> {
        let scored = |g: &Genome| self.scored.get(g).and_then(Option::as_ref);
        if self.beam.is_empty() {
            self.beam = vec![scored(&domain.largest()).ok_or(End::Failed)?.clone()];
            return Ok(());
        }
        let mut next: Vec<(Cost, Subnet)> = Vec::new();
        let mut evaluated: Vec<(Change, Cost)> = Vec::new();
        for genome in candidates {
            let to = scored(genome);
            let from = self.beam.iter().filter(|s| self.actions(domain, &s.genome).contains(genome));
            let costs: Vec<Option<Cost>> = from
                .map(|s| {
                    let cost = to.and_then(|to| cost(s, to));
                    evaluated.push((change(domain, &s.genome, genome), cost.unwrap_or(WORTHLESS)));
                    cost
                })
                .collect();
            if let (Some(cost), Some(to)) = (costs.into_iter().flatten().min_by(cheaper), to) {
                next.push((cost, to.clone()));
            }
        }
        self.costs.extend(evaluated);
        next.sort_by(|(a, _), (b, _)| cheaper(a, b));
        next.truncate(self.beam_width);
        if next.is_empty() {
            return Err(if candidates.is_empty() { End::Smallest } else { End::NoGain });
        }
        self.beam = next.into_iter().map(|(_, s)| s).collect();
        self.steps += 1;
        Ok(())
    }
}

fn change(domain: &Domain, from: &Genome, to: &Genome) -> Change {
    domain.differing(from, to).iter().map(|&i| (i, to.choices()[i])).collect()
}

fn cheaper(a: &Cost, b: &Cost) -> Ordering {
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
}

/// The cost of a change; `None` if it gains nothing.
fn cost(from: &Subnet, to: &Subnet) -> Option<Cost> {
    let (loss, gain) = (from.accuracy - to.accuracy, to.score - from.score);
    match (gain > 0.0, loss > 0.0) {
        (false, _) => None,
        (true, false) => Some((0, -gain)),
        (true, true) => Some((1, loss / gain)),
    }
}

impl Strategy for MesSlimming {
    fn ask(&mut self, domain: &Domain, n: usize, _rng: &mut dyn Rng) -> Vec<Genome> {
        let mut unscored = self.advance(domain);
        unscored.truncate(n);
        unscored
    }

    fn tell(&mut self, observations: &[Observation]) {
        for o in observations {
            if self.largest.is_none() {
                self.largest = o.scores.clone();
            }
            let subnet = o.scores.as_ref().and_then(|s| {
                let (&accuracy, score) = (s.first()?, self.score(s)?);
                Some(Subnet { genome: o.genome.clone(), accuracy, score, violation: o.violation })
            });
            self.scored.insert(o.genome.clone(), subnet);
        }
    }

    fn notes(&self) -> Vec<String> {
        let end = match self.end {
            None => return Vec::new(),
            Some(End::Target) => "when the target was reached",
            Some(End::Smallest) => "at the smallest subnet",
            Some(End::NoGain) => "when no change gained any score",
            Some(End::Failed) => "because the largest subnet could not be scored",
        };
        vec![format!("Slimming ended after {} steps, {end}.", self.steps)]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
