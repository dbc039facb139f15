//! Evaluation-based slimming, the joint search of EfficientFormerV2 (Li et al., 2022, section 3.2). It starts at the
//! largest subnet. Each step evaluates the actions, each of which lowers one knob by one choice, and takes the one that
//! loses the least accuracy per gain of the mobile efficiency score.
//!
//! The first objective is what is lost (accuracy), the second what is gained (the score). An action that loses nothing
//! comes before any that does, the larger gain first. A beam of `n` follows the best `n` subnets of each step.
//!
//! With `actions_per_step`, a step evaluates only the actions that were cheapest when last evaluated, on another subnet,
//! and those that were never evaluated. If none of them gains anything, it evaluates all.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

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
    /// The search ends at a feasible subnet whose second objective reaches this; at the smallest subnet if left out.
    target: Option<f64>,
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
        MesSlimmingSettings { beam: 1, actions_per_step: None, target: None, actions }
    }
}

impl Settings for MesSlimmingSettings {
    fn validate(&self, space: &SpaceInfo) -> Vec<(String, String)> {
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
        Box::new(MesSlimming::new(self, knobs))
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
    fn new(settings: &MesSlimmingSettings, knobs: BTreeSet<usize>) -> MesSlimming {
        MesSlimming {
            beam_width: settings.beam.max(1),
            target: settings.target,
            actions_per_step: settings.actions_per_step.map(|n| n.max(1)),
            knobs,
            costs: HashMap::new(),
            exhaustive: false,
            beam: Vec::new(),
            scored: HashMap::new(),
            steps: 0,
            end: None,
        }
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
            let subnet = o.scores.as_ref().and_then(|s| {
                let (&accuracy, &score) = (s.first()?, s.get(1)?);
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
mod tests {
    use super::*;
    use crate::tests::rng;

    /// The choices that each step of a whole search asked for, and its notes.
    fn run(counts: &[u8], settings: &str, score: impl Fn(&[u8]) -> Vec<f64>) -> (Vec<Vec<Vec<u8>>>, String) {
        let kinds = ["width", "depth", "expansion", "patch"];
        let knobs = (0..counts.len()).map(|i| crate::Knob { name: i.to_string(), kind: kinds[i] }).collect();
        let space = SpaceInfo { domain: Domain::new(counts.iter().copied()), knobs };
        let mut strategy = crate::tests::config(&format!("{{\"mes_slimming\": {settings}}}")).build(&space);
        let mut steps = Vec::new();
        loop {
            let asked = strategy.ask(&space.domain, usize::MAX, &mut rng(0, 0));
            if asked.is_empty() {
                return (steps, strategy.notes().concat());
            }
            steps.push(asked.iter().map(|g| g.choices().to_vec()).collect());
            let scored = |genome: Genome| Observation { scores: Some(score(genome.choices())), genome, violation: 0.0 };
            strategy.tell(&asked.into_iter().map(scored).collect::<Vec<_>>());
        }
    }

    #[test]
    fn takes_the_cheapest_change_until_the_target() {
        // The first knob costs nothing to lower, the second much, the third gains nothing.
        let score = |c: &[u8]| vec![f64::from(c[1]) * 10.0 + f64::from(c[2]), 6.0 - f64::from(c[0] + c[1])];
        let (steps, notes) = run(&[3, 3, 2], r#"{"target": 4}"#, score);
        assert_eq!(steps[0], [[2, 2, 1]]);
        assert_eq!(steps[1], [[1, 2, 1], [2, 1, 1], [2, 2, 0]]);
        assert_eq!(steps[2], [[0, 2, 1], [1, 1, 1], [1, 2, 0]]);
        assert_eq!((steps.len(), notes.as_str()), (3, "Slimming ended after 2 steps, when the target was reached."));
    }

    #[test]
    fn probing_evaluates_what_is_new_and_what_was_cheapest() {
        let lost = |c: &[u8]| (1..).zip(c).map(|(cost, c)| f64::from(cost * (2 - i32::from(*c)))).sum::<f64>();
        let gained = |c: &[u8]| f64::from(8 - c.iter().sum::<u8>());
        let (steps, notes) = run(&[3; 4], r#"{"actions_per_step": 1}"#, |c| vec![100.0 - lost(c), gained(c)]);
        assert_eq!(steps[1].len(), 4, "nothing is known yet");
        assert_eq!(steps[2], [[0, 2, 2, 2], [1, 1, 2, 2]], "the next choice of the lowered knob, and the cheapest");
        assert_eq!(steps[3], [[0, 1, 2, 2]], "only the cheapest");
        assert_eq!(steps[4], [[0, 0, 2, 2], [0, 1, 1, 2]]);
        assert_eq!(notes, "Slimming ended after 8 steps, at the smallest subnet.");
        let (all, _) = run(&[3; 4], "{}", |c| vec![100.0 - lost(c), gained(c)]);
        assert!(steps.concat().len() < all.concat().len());
        // The action that was cheapest gains nothing any more: all are evaluated before the search ends.
        let no_more = |c: &[u8]| if c[0] < 2 && c[1] < 2 { -1.0 } else { gained(c) };
        let (steps, _) = run(&[3; 4], r#"{"actions_per_step": 1}"#, |c| vec![100.0 - lost(c), no_more(c)]);
        assert!(steps.concat().contains(&vec![0, 2, 0, 0]), "{steps:?}");
    }

    #[test]
    fn lowers_only_knobs_of_its_actions() {
        let score = |c: &[u8]| vec![f64::from(c[0] + c[2]), 9.0 - f64::from(c[0] + c[1] + c[2])];
        let (steps, notes) = run(&[3; 3], r#"{"actions": ["expansion", "width"]}"#, score);
        assert!(steps.concat().iter().all(|c| c[1] == 2));
        assert_eq!(steps[1], [[1, 2, 2], [2, 2, 1]]);
        assert_eq!(notes, "Slimming ended after 4 steps, at the smallest subnet.");
    }

    #[test]
    fn takes_lossless_changes_first_then_the_larger_gain_then_the_first() {
        // The second knob gains accuracy as it shrinks, the third and fourth lose none and gain more score.
        let score = |c: &[u8]| {
            let lost = 5.0 * f64::from(1 - c[0]) - 2.0 * f64::from(1 - c[1]);
            vec![50.0 - lost, f64::from(1 - c[0]) * 9.0 + f64::from(1 - c[1]) + 3.0 * f64::from(2 - c[2] - c[3])]
        };
        let (steps, _) = run(&[2; 4], "{}", score);
        // The third and the fourth are equal: the first in the order of genomes lowers the third.
        assert_eq!(steps[2].iter().filter(|c| c[2] == 0).count(), steps[2].len(), "{steps:?}");
        assert_eq!(steps[3].iter().filter(|c| c[2] + c[3] == 0).count(), steps[3].len(), "{steps:?}");
        assert_eq!(steps[4], [[0, 0, 0, 0]], "{steps:?}");
    }

    #[test]
    fn actions_that_no_knob_offers_are_a_mistake() {
        let knobs = ["width", "resolution"].map(|kind| crate::Knob { name: kind.into(), kind }).to_vec();
        let space = SpaceInfo { domain: Domain::new([1, 3]), knobs };
        let mistakes =
            |settings: &str| crate::tests::config(&format!("{{\"mes_slimming\": {settings}}}")).validate(&space);
        assert_eq!(mistakes(r#"{"actions": ["width", "resolution"]}"#), []);
        let expected =
            "found depth, width, expansion, patch, expected a kind of knob with two choices in this space: resolution";
        assert_eq!(mistakes("{}"), [("actions".to_string(), expected.to_string())]);
    }
}
