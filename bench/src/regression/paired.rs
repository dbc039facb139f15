//! Tier 1: baseline and candidate in fresh process pairs, with a few interim looks; a failure has to be confirmed.

use serde::{Deserialize, Serialize};

use super::exact::percent;
use super::finding::{Finding, Tier, Verdict};
use super::round::{PairedRound, PairedRounds, RoundLimits, RoundSource};
use crate::process::MeasureError;
use crate::stats::{Bootstrap, Interval};

/// The rule of a paired comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedRule {
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
    /// Which rounds are too noisy to count.
    #[serde(rename = "quarantine")]
    pub limits: RoundLimits,
}

impl Default for PairedRule {
    fn default() -> PairedRule {
        PairedRule {
            looks: vec![4, 8, 12],
            alpha: 0.05,
            threshold: 0.01,
            delta: 0.05,
            resamples: 2000,
            seed: 1,
            limits: RoundLimits::default(),
        }
    }
}

/// How one run of rounds ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedRun {
    /// Its own verdict.
    pub verdict: Verdict,
    /// The logarithm of candidate over baseline with its bounds at the last look.
    pub effect: Option<Interval>,
    /// The rounds.
    pub rounds: PairedRounds,
}

/// A comparison: one run, and a second one from scratch if the first failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// The verdict of both.
    pub verdict: Verdict,
    /// The first run.
    pub first: PairedRun,
    /// The run that was to confirm a failure.
    pub second: Option<PairedRun>,
}

impl PairedRule {
    /// Bounds of the effect over some rounds, as they are used at every look.
    pub fn effect(&self, rounds: &PairedRounds) -> Option<Interval> {
        let logs: Vec<Vec<f64>> = rounds.sound().map(PairedRound::log_ratios).collect();
        let looks = self.looks.len().max(1) as f64;
        let (lower, upper) = (self.alpha / looks, self.alpha);
        Bootstrap { resamples: self.resamples, lower, upper, seed: self.seed }.two_level(&logs)
    }

    /// The verdict at a look; `None` to go on.
    fn verdict(&self, effect: &Interval) -> Option<Verdict> {
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
    pub fn run(
        &self,
        source: &mut dyn RoundSource,
        look: &mut dyn FnMut(&PairedRounds),
    ) -> Result<PairedRun, MeasureError> {
        let (mut rounds, mut effect) = (PairedRounds::default(), None);
        let most = self.limits.tries.max(1) * self.looks.last().copied().unwrap_or(1);
        for wanted in &self.looks {
            let whole = rounds.fill(source, &self.limits, *wanted, most)?;
            if !whole {
                break;
            }
            look(&rounds);
            effect = self.effect(&rounds);
            if let Some(verdict) = effect.as_ref().and_then(|e| self.verdict(e)) {
                return Ok(PairedRun { verdict, effect, rounds });
            }
        }
        Ok(PairedRun { verdict: Verdict::Inconclusive, effect, rounds })
    }

    /// One run, and a second one from scratch if it failed: only two failures are one.
    ///
    /// # Errors
    /// Those of the source.
    pub fn compare(
        &self,
        source: &mut dyn RoundSource,
        look: &mut dyn FnMut(&PairedRounds),
    ) -> Result<PairedComparison, MeasureError> {
        let first = self.run(source, look)?;
        if first.verdict != Verdict::Fail {
            return Ok(PairedComparison { verdict: first.verdict, first, second: None });
        }
        let second = PairedRule { seed: self.seed.wrapping_add(1), ..self.clone() }.run(source, look)?;
        let verdict = if second.verdict == Verdict::Fail { Verdict::Fail } else { Verdict::Inconclusive };
        Ok(PairedComparison { verdict, first, second: Some(second) })
    }
}

impl PairedComparison {
    /// The last run.
    fn last(&self) -> &PairedRun {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// Rounds of both runs that were repeated for noise.
    pub fn repeated(&self) -> usize {
        self.first.rounds.repeated() + self.second.as_ref().map_or(0, |r| r.rounds.repeated())
    }

    /// The verdict as a finding; `pair` names what was compared.
    pub fn finding(&self, pair: &str, rule: &PairedRule) -> Finding {
        let run = self.last();
        let median = |of: fn(&PairedRound) -> &Vec<f64>| {
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

    fn why(&self, rule: &PairedRule) -> String {
        let bounds = |run: &PairedRun| {
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
