//! Verdicts: one for each model and metric, and what a whole check comes to.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::host::Host;
use crate::stats::Interval;

/// What is said about one metric of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse, or changed where nothing may change.
    Fail,
    /// In the baseline alone. Never a pass.
    Missing,
    /// Looks worse by a rule that may only warn.
    Warn,
    /// Neither shown to be worse nor to be as good.
    Inconclusive,
    /// Not in the baseline.
    New,
    /// Not compared, for a stated reason.
    Skipped,
    /// As before, within what was asked.
    Pass,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Fail => "fail",
            Verdict::Missing => "missing",
            Verdict::Warn => "warn",
            Verdict::Inconclusive => "inconclusive",
            Verdict::New => "new",
            Verdict::Skipped => "skipped",
            Verdict::Pass => "pass",
        }
    }

    /// All of them, worst first.
    pub const ALL: [Verdict; 7] = [
        Verdict::Fail,
        Verdict::Missing,
        Verdict::Warn,
        Verdict::Inconclusive,
        Verdict::New,
        Verdict::Skipped,
        Verdict::Pass,
    ];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A kind of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Numbers that no machine changes.
    Exact,
    /// Process pairs in one job.
    Paired,
    /// Times in a file.
    Stored,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Exact => "0 exact",
            Tier::Paired => "1 paired",
            Tier::Stored => "2 stored",
        })
    }
}

/// One verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The comparison.
    pub tier: Tier,
    /// The network, or the pair that was compared.
    pub model: String,
    /// The metric, with its unit if it has one.
    pub metric: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The baseline's value, where it is a number.
    pub baseline: Option<f64>,
    /// The value now, where it is a number.
    pub candidate: Option<f64>,
    /// Relative change with its bounds, as fractions: 0.05 is 5 % more.
    pub change: Option<f64>,
    /// Bounds of the change, as fractions.
    pub interval: Option<[f64; 2]>,
    /// What changed, in words; for the table.
    pub words: String,
    /// Why this verdict, in two sentences.
    pub why: String,
}

impl Finding {
    /// A finding without numbers.
    pub fn new(tier: Tier, model: &str, metric: &str, verdict: Verdict) -> Finding {
        Finding {
            tier,
            model: model.to_string(),
            metric: metric.to_string(),
            verdict,
            baseline: None,
            candidate: None,
            change: None,
            interval: None,
            words: String::new(),
            why: String::new(),
        }
    }

    /// With the two values.
    pub fn values(mut self, baseline: Option<f64>, candidate: Option<f64>) -> Finding {
        (self.baseline, self.candidate) = (baseline, candidate);
        self.change = baseline.zip(candidate).filter(|(b, _)| *b != 0.0).map(|(b, c)| c / b - 1.0);
        self
    }

    /// With an effect in logarithms of the ratio.
    pub fn effect(mut self, log: Option<Interval>) -> Finding {
        if let Some(i) = log {
            self.change = Some(i.middle.exp_m1());
            self.interval = Some([i.low.exp_m1(), i.high.exp_m1()]);
        }
        self
    }

    /// With what changed in words, and why the verdict.
    pub fn because(mut self, words: impl Into<String>, why: impl Into<String>) -> Finding {
        (self.words, self.why) = (words.into(), why.into());
        self
    }
}

/// What else decides the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitRules {
    /// A baseline that is missing or not comparable is an error of its own.
    pub require_baseline: bool,
    /// Undecided is an error of its own.
    pub fail_on_inconclusive: bool,
}

/// Version of the report's JSON.
pub const REPORT_SCHEMA: u32 = 1;

/// Everything a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// Version of this format.
    pub schema: u32,
    /// The program and its version.
    pub program: String,
    /// The machine.
    pub host: Host,
    /// The baseline's file, if one was named.
    pub baseline: Option<String>,
    /// Why the baseline could not serve: not there, or of another machine.
    pub not_comparable: Option<String>,
    /// The verdicts.
    pub findings: Vec<Finding>,
    /// Raw samples of every timed comparison, and what else was seen while it ran.
    pub samples: Vec<Json>,
    /// Seconds that the check took.
    pub seconds: f64,
}

impl RegressionReport {
    /// How many findings have a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|f| f.verdict == verdict).count()
    }

    /// The worst verdict; `None` if nothing was compared.
    pub fn worst(&self) -> Option<Verdict> {
        self.findings.iter().map(|f| f.verdict).min()
    }

    /// 0 pass, warning or inconclusive; 3 a regression, or something of the baseline that is gone; 4 no baseline that
    /// can serve, where one is required; 5 undecided, where that is not good enough.
    pub fn exit_code(&self, rules: ExitRules) -> i32 {
        let any = |v| self.count(v) > 0;
        if any(Verdict::Fail) || any(Verdict::Missing) {
            3
        } else if rules.require_baseline && (self.not_comparable.is_some() || any(Verdict::New)) {
            4
        } else if rules.fail_on_inconclusive && any(Verdict::Inconclusive) {
            5
        } else {
            0
        }
    }

    /// The findings, worst first, otherwise as they came.
    pub fn sorted(&self) -> Vec<&Finding> {
        let mut all: Vec<&Finding> = self.findings.iter().collect();
        all.sort_by_key(|f| f.verdict);
        all
    }

    /// One line: how many findings have each verdict.
    pub fn summary(&self) -> String {
        let counts: Vec<String> = Verdict::ALL
            .iter()
            .map(|v| (self.count(*v), v))
            .filter(|(n, _)| *n > 0)
            .map(|(n, v)| format!("{n} {v}"))
            .collect();
        let counts = if counts.is_empty() { "nothing compared".to_string() } else { counts.join(", ") };
        format!("check: {counts} (in {:.0} s)", self.seconds)
    }
}
