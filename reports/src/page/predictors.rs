//! `report/predictors.csv`: how well proxies, parameters and MACs order the candidates by top-1.

use super::{Report, Site};
use crate::predictors::predictors;
use crate::{Frame, ReportError};

/// The table of predictors.
pub struct Predictors;

impl Report for Predictors {
    fn name(&self) -> &str {
        "predictors"
    }

    fn render(&self, f: &Frame, out: &mut Site) -> Result<(), ReportError> {
        let number = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.4}"));
        let mut text = String::from("metric,trials,kendall_top1,spearman_top1\n");
        for p in predictors(f) {
            // Names of metrics are words of ours, without commas or quotes; others are left out of a file for spreadsheets.
            if p.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                text.push_str(&format!("{},{},{},{}\n", p.name, p.trials, number(p.kendall), number(p.spearman)));
            }
        }
        out.write("report/predictors.csv", text.as_bytes())
    }
}
