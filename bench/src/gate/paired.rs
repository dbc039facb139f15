//! Tier 1: baseline and candidate in fresh process pairs, looked at a few times, a failure confirmed.

use serde::{Deserialize, Serialize};

use super::GateError;
use super::exact::percent;
use super::finding::{Finding, Tier, Verdict};
use super::rounds::{Quarantine, Rounds, Source};
use crate::stats::{Bootstrap, Interval};

/// The rule by which a pair is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Numbers of rounds after which the intervals are looked at.
    pub looks: Vec<usize>,
    /// Chance of calling an unchanged pair slower in one run, shared by the looks.
    pub alpha: f64,
    /// A failure needs a lower bound above it, as a fraction.
    pub threshold: f64,
    /// A pass needs an upper bound below it, as a fraction.
    pub delta: f64,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Every random choice derives from it.
    pub seed: u64,
    /// Which rounds do not count.
    pub quarantine: Quarantine,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            looks: vec![4, 8, 12],
            alpha: 0.05,
            threshold: 0.01,
            delta: 0.05,
            resamples: 2000,
            seed: 1,
            quarantine: Quarantine::default(),
        }
    }
}

/// How one run of rounds ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it says by itself.
    pub verdict: Verdict,
    /// The logarithm of candidate over baseline with its bounds at the last look.
    pub effect: Option<Interval>,
    /// The rounds.
    pub rounds: Rounds,
}

/// A comparison: one run, and a second one from scratch if the first failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// What both say.
    pub verdict: Verdict,
    /// The first run.
    pub first: Run,
    /// The run that was to confirm a failure.
    pub second: Option<Run>,
}

impl Rule {
    /// Bounds of the effect over some rounds, as they are used at every look.
    pub fn effect(&self, rounds: &Rounds) -> Option<Interval> {
        let logs: Vec<Vec<f64>> = rounds.sound().map(super::rounds::Round::log_ratios).collect();
        let looks = self.looks.len().max(1) as f64;
        let (lower, upper) = (self.alpha / looks, self.alpha);
        Bootstrap { resamples: self.resamples, lower, upper, seed: self.seed }.two_level(&logs)
    }

    /// What an effect says at a look; `None` to go on.
    fn says(&self, effect: &Interval) -> Option<Verdict> {
        if effect.low > self.threshold.ln_1p() {
            Some(Verdict::Fail)
        } else if effect.high < self.delta.ln_1p() {
            Some(Verdict::Pass)
        } else {
            None
        }
    }

    /// One run: rounds until a look decides, or the last look does not.
    ///
    /// # Errors
    /// Those of the source.
    pub fn run(&self, source: &mut dyn Source, look: &mut dyn FnMut(&Rounds)) -> Result<Run, GateError> {
        let (mut rounds, mut effect) = (Rounds::default(), None);
        let most = self.quarantine.tries.max(1) * self.looks.last().copied().unwrap_or(1);
        for wanted in &self.looks {
            let whole = rounds.fill(source, &self.quarantine, *wanted, most)?;
            if !whole {
                break;
            }
            look(&rounds);
            effect = self.effect(&rounds);
            if let Some(verdict) = effect.as_ref().and_then(|e| self.says(e)) {
                return Ok(Run { verdict, effect, rounds });
            }
        }
        Ok(Run { verdict: Verdict::Inconclusive, effect, rounds })
    }

    /// One run, and a second one from scratch if it failed: only two failures are one.
    ///
    /// # Errors
    /// Those of the source.
    pub fn compare(&self, source: &mut dyn Source, look: &mut dyn FnMut(&Rounds)) -> Result<Paired, GateError> {
        let first = self.run(source, look)?;
        if first.verdict != Verdict::Fail {
            return Ok(Paired { verdict: first.verdict, first, second: None });
        }
        let second = Rule { seed: self.seed.wrapping_add(1), ..self.clone() }.run(source, look)?;
        let verdict = if second.verdict == Verdict::Fail { Verdict::Fail } else { Verdict::Inconclusive };
        Ok(Paired { verdict, first, second: Some(second) })
    }
}

impl Paired {
    /// The run that spoke last.
    fn last(&self) -> &Run {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// Rounds of both runs that were repeated for noise.
    pub fn repeated(&self) -> usize {
        self.first.rounds.repeated() + self.second.as_ref().map_or(0, |r| r.rounds.repeated())
    }

    /// The verdict as a finding; `pair` names what was compared.
    pub fn finding(&self, pair: &str, rule: &Rule) -> Finding {
        let run = self.last();
        let median = |of: fn(&super::rounds::Round) -> &Vec<f64>| {
            crate::stats::median(&run.rounds.sound().flat_map(|r| of(r).iter().copied()).collect::<Vec<_>>())
        };
        let rounds = run.rounds.sound().count();
        let noise = match self.repeated() {
            0 => String::new(),
            n => format!("; {n} noisy rounds repeated"),
        };
        let again = if self.second.is_some() { ", second run" } else { "" };
        Finding::new(Tier::Paired, pair, "latency_ms", self.verdict)
            .values(median(|r| &r.baseline_ms), median(|r| &r.candidate_ms))
            .effect(run.effect)
            .because(format!("{rounds} rounds{again}{noise}"), self.why(rule))
    }

    fn why(&self, rule: &Rule) -> String {
        let bounds = |run: &Run| {
            let of =
                |f: fn(&Interval) -> f64| run.effect.as_ref().map_or_else(|| "?".into(), |i| percent(f(i).exp_m1()));
            (of(|i| i.middle), of(|i| i.low), of(|i| i.high))
        };
        let ((middle, low, high), rounds) = (bounds(self.last()), self.last().rounds.sound().count());
        let (threshold, delta) = (percent(rule.threshold), percent(rule.delta));
        let seen = format!("{rounds} pairs of fresh processes put the change at {middle}, between {low} and {high}");
        match (self.verdict, &self.second) {
            (Verdict::Fail, _) => format!("{seen}. The lower bound is above {threshold} in two runs from scratch."),
            (Verdict::Pass, _) => format!("{seen}. The upper bound is below {delta}, so that more is ruled out."),
            (_, Some(_)) => format!(
                "A first run was above {threshold}, and a second one from scratch did not confirm it. In the second, {seen}."
            ),
            (_, None) if rounds < rule.looks.last().copied().unwrap_or(0) => {
                format!(
                    "The machine was too noisy for enough rounds: {} did not count. Run it again when it is calmer.",
                    self.repeated()
                )
            }
            _ => format!("{seen}. It is neither surely above {threshold} nor surely below {delta}."),
        }
    }
}

#[cfg(test)]
#[path = "paired_tests.rs"]
mod tests;
