//! GitHub's annotations: lines on standard output that a workflow shows beside the job.

use crate::regression::finding::{RegressionReport, Verdict};

/// GitHub shows so many of each kind in a step.
const SHOWN: usize = 10;

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A line for each failure and warning, worst first, at most as many as are shown, then one that counts the rest.
pub fn annotations(report: &RegressionReport) -> String {
    let kind = |v: Verdict| match v {
        Verdict::Fail | Verdict::Missing => Some("error"),
        Verdict::Warn | Verdict::Inconclusive => Some("warning"),
        _ => None,
    };
    let mut out = String::new();
    for wanted in ["error", "warning"] {
        let all: Vec<_> = report.sorted().into_iter().filter(|f| kind(f.verdict) == Some(wanted)).collect();
        let shown = if all.len() > SHOWN { SHOWN - 1 } else { all.len() };
        for f in &all[..shown] {
            let title = format!("{} {}: {}", f.model, f.metric, f.verdict);
            out += &format!("::{wanted} title={}::{}\n", property(&title), data(&format!("{}. {}", f.words, f.why)));
        }
        if all.len() > shown {
            out += &format!("::{wanted} title=check::and {} more; see the summary\n", all.len() - shown);
        }
    }
    out
}
