//! Evaluation-based slimming, the joint search of EfficientFormerV2 (Li et al., 2022, section 3.2): from the largest
//! subnet on, every knob of certain kinds is tried one choice smaller, and the change is made that loses the least accuracy per gain of the
//! mobile efficiency score; then again.
//!
//! With a beam of `n`, the best `n` changes of a step are followed side by side. The first objective of the search is
//! what is lost (accuracy), the second what is gained (the score). A change that loses nothing comes before any that
//! does, the one with the larger gain first.
//!
//! A step may try a few changes only: those that were cheapest when they were last tried, on another subnet of the way, and
//! those that have never been tried. Where none of them gains anything, all are tried.

use std::collections::{BTreeSet, HashMap};

use mobilenas_space::{Domain, Genome};
use rand::Rng;

use super::{Observation, Strategy};

/// A subnet on the way, with its accuracy and its score.
#[derive(Clone, Debug)]
struct Stop {
    genome: Genome,
    accuracy: f64,
    score: f64,
    violation: f64,
}

/// Knobs that are lowered, and to which choice.
type Change = Vec<(usize, u8)>;

/// Whether a change loses accuracy at all, and how much per gain.
type Price = (u8, f64);

/// That of a change that gains nothing, or fails.
const WORTHLESS: Price = (2, 0.0);

/// Why it goes no further.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Target,
    Smallest,
    NoGain,
    Failed,
}

/// Slimming from the largest subnet on.
#[derive(Clone, Debug)]
pub struct MesSlimming {
    beam: usize,
    target: Option<f64>,
    /// Positions of the knobs that a step may lower.
    knobs: BTreeSet<usize>,
    /// How many of the changes whose price is known from before a step tries; all if left out.
    probe: Option<usize>,
    /// What changes cost when they were last tried: knobs and their new choices to price.
    prices: HashMap<Change, Price>,
    /// Whether this step tries all.
    wide: bool,
    /// Subnets whose changes are on trial; empty before the largest one is scored.
    at: Vec<Stop>,
    /// What came of every genome: `None` for a failure.
    known: HashMap<Genome, Option<Stop>>,
    steps: usize,
    end: Option<End>,
}

impl MesSlimming {
    /// Follows so many subnets at once, lowering the knobs at these positions, until one reaches the target score within
    /// the bounds, if there is a target.
    pub fn new(beam: usize, target: Option<f64>, knobs: impl IntoIterator<Item = usize>) -> MesSlimming {
        let (beam, knobs) = (beam.max(1), knobs.into_iter().collect());
        MesSlimming {
            beam,
            target,
            knobs,
            probe: None,
            prices: HashMap::new(),
            wide: false,
            at: Vec::new(),
            known: HashMap::new(),
            steps: 0,
            end: None,
        }
    }

    /// A step tries so many of the changes whose price is known from before.
    pub fn probing(self, probe: Option<usize>) -> MesSlimming {
        MesSlimming { probe: probe.map(|n| n.max(1)), ..self }
    }

    /// What one action makes of a genome.
    fn actions(&self, domain: &Domain, genome: &Genome) -> Vec<Genome> {
        let allowed = |to: &Genome| domain.differing(genome, to).iter().all(|i| self.knobs.contains(i));
        domain.smaller(genome).into_iter().filter(allowed).collect()
    }

    /// Those that this step tries.
    fn tried(&self, domain: &Domain, from: &Genome) -> Vec<Genome> {
        let all = self.actions(domain, from);
        let Some(probe) = self.probe.filter(|_| !self.wide) else { return all };
        let price = |to: &Genome| self.prices.get(&change(domain, from, to));
        let (known, mut tried): (Vec<Genome>, Vec<Genome>) = all.into_iter().partition(|to| price(to).is_some());
        let mut known: Vec<(Price, Genome)> = known.into_iter().filter_map(|to| Some((*price(&to)?, to))).collect();
        known.sort_by(|(a, x), (b, y)| cheaper(a, b).then_with(|| x.cmp(y)));
        tried.extend(known.into_iter().take(probe).map(|(_, to)| to));
        tried
    }

    /// The genomes of this step, in a fixed order, each once.
    fn frontier(&self, domain: &Domain) -> Vec<Genome> {
        if self.at.is_empty() {
            return vec![domain.largest()];
        }
        let mut all: Vec<Genome> = self.at.iter().flat_map(|s| self.tried(domain, &s.genome)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Goes from step to step as far as the changes are known, and gives those that are not.
    fn advance(&mut self, domain: &Domain) -> Vec<Genome> {
        while self.end.is_none() {
            let frontier = self.frontier(domain);
            let unknown: Vec<Genome> = frontier.iter().filter(|g| !self.known.contains_key(g)).cloned().collect();
            if !unknown.is_empty() {
                return unknown;
            }
            let end = self.choose(domain, &frontier).err();
            let few = self.probe.is_some() && !self.wide && !self.at.is_empty();
            if end == Some(End::NoGain) && few {
                self.wide = true;
                continue;
            }
            (self.end, self.wide) = (end, false);
            let reached = |s: &Stop| s.violation <= 0.0 && self.target.is_some_and(|t| s.score >= t);
            if self.end.is_none() && self.at.iter().any(reached) {
                self.end = Some(End::Target);
            }
        }
        Vec::new()
    }

    /// Follows the best of the changes.
    fn choose(&mut self, domain: &Domain, frontier: &[Genome]) -> Result<(), End> {
        let scored = |g: &Genome| self.known.get(g).and_then(Option::as_ref);
        if self.at.is_empty() {
            self.at = vec![scored(&domain.largest()).ok_or(End::Failed)?.clone()];
            return Ok(());
        }
        let mut changes: Vec<(Price, Stop)> = Vec::new();
        let mut seen: Vec<(Change, Price)> = Vec::new();
        for to in frontier {
            let came = scored(to);
            let from = self.at.iter().filter(|s| self.actions(domain, &s.genome).contains(to));
            let prices: Vec<Option<Price>> = from
                .map(|s| {
                    let price = came.and_then(|to| price(s, to));
                    seen.push((change(domain, &s.genome, to), price.unwrap_or(WORTHLESS)));
                    price
                })
                .collect();
            if let (Some(price), Some(to)) = (prices.into_iter().flatten().min_by(cheaper), came) {
                changes.push((price, to.clone()));
            }
        }
        self.prices.extend(seen);
        changes.sort_by(|(a, _), (b, _)| cheaper(a, b));
        changes.truncate(self.beam);
        if changes.is_empty() {
            return Err(if frontier.is_empty() { End::Smallest } else { End::NoGain });
        }
        self.at = changes.into_iter().map(|(_, s)| s).collect();
        self.steps += 1;
        Ok(())
    }
}

/// What leads from one genome to another.
fn change(domain: &Domain, from: &Genome, to: &Genome) -> Change {
    domain.differing(from, to).iter().map(|&i| (i, to.choices()[i])).collect()
}

fn cheaper(a: &Price, b: &Price) -> std::cmp::Ordering {
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
}

/// What a change costs: whether it loses accuracy at all, and how much per gain; `None` if it gains nothing.
fn price(from: &Stop, to: &Stop) -> Option<Price> {
    let (loss, gain) = (from.accuracy - to.accuracy, to.score - from.score);
    match (gain > 0.0, loss > 0.0) {
        (false, _) => None,
        (true, false) => Some((0, -gain)),
        (true, true) => Some((1, loss / gain)),
    }
}

impl Strategy for MesSlimming {
    fn name(&self) -> &'static str {
        "mes_slimming"
    }

    fn exact(&self) -> bool {
        true
    }

    fn ask(&mut self, domain: &Domain, n: usize, _rng: &mut dyn Rng) -> Vec<Genome> {
        let mut unknown = self.advance(domain);
        unknown.truncate(n);
        unknown
    }

    fn tell(&mut self, done: &[Observation]) {
        for t in done {
            let stop = t.scores.as_ref().and_then(|s| {
                let (&accuracy, &score) = (s.first()?, s.get(1)?);
                Some(Stop { genome: t.genome.clone(), accuracy, score, violation: t.violation })
            });
            self.known.insert(t.genome.clone(), stop);
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
