//! Verdicts on model files: what was so of a file, or of an older one, against what is so now.

use mobilenas_file::compare::{self, Change, Outcome};
use mobilenas_file::{FileExact, GuardedFile};

use super::finding::{Finding, Tier, Verdict};

/// The verdicts on a file. `against` is the older file, where it is not the baseline's file that is compared with.
pub fn compare(file: &GuardedFile, against: Option<&str>, was: &FileExact, is: &FileExact) -> Vec<Finding> {
    let name = file.model().name();
    let model = against.map_or_else(|| name.clone(), |older| format!("{name} against {older}"));
    let mend = match against {
        Some(_) => "If the change is wanted, name the metric under `allow`, or bless a baseline's file.",
        None => "If the change is wanted, bless it.",
    };
    let one = |c: Change| {
        let group = c.metric.split(' ').next().unwrap_or_default();
        let group = if group == "values" { "outputs" } else { group };
        let allowed = file.allow.iter().any(|a| a == group);
        let verdict = match c.outcome {
            Outcome::Same => Verdict::Pass,
            Outcome::Changed if allowed => Verdict::Warn,
            Outcome::Changed => Verdict::Fail,
            Outcome::New => Verdict::New,
            Outcome::Left => Verdict::Skipped,
        };
        let bound = match c.metric.starts_with("values") {
            true => format!("Up to {:.0e} of the norm is rounding.", file.tolerance),
            false => "It follows from the file alone.".to_string(),
        };
        let subject = c.metric.strip_prefix("values ").map_or(c.metric.clone(), |output| format!("values of {output}"));
        let why = match verdict {
            Verdict::Pass => format!("The {subject} did not change. {bound}"),
            Verdict::Warn => format!("The {subject} changed, which `allow` permits. {bound}"),
            Verdict::New | Verdict::Skipped => "One side has no outputs. Nothing was compared.".to_string(),
            Verdict::Fail | Verdict::Missing | Verdict::Inconclusive => {
                format!("The {subject} changed. {bound} {mend}")
            }
        };
        let finding = Finding::new(Tier::Exact, &model, &c.metric, verdict);
        let numbers = c.numbers.map_or((None, None), |[was, is]| (Some(was), Some(is)));
        finding.values(numbers.0, numbers.1).because(c.words, why)
    };
    compare::compare(was, is, file.tolerance).into_iter().map(one).collect()
}
