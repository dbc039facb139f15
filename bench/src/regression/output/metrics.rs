//! Bencher's metric format: benchmark to measure to value, with bounds where there are any.

use serde_json::{Map, Value as Json, json};

use crate::regression::finding::RegressionReport;

/// The candidate's numbers as Bencher Metric Format; bounds of a time are those of its change.
pub fn bencher(report: &RegressionReport) -> Json {
    let mut all = Map::new();
    for f in &report.findings {
        let Some(value) = f.candidate else { continue };
        let mut metric = json!({ "value": value });
        if let (Some(base), Some([low, high])) = (f.baseline, f.interval) {
            metric["lower_value"] = json!(base * (1.0 + low));
            metric["upper_value"] = json!(base * (1.0 + high));
        }
        let model = all.entry(f.model.clone()).or_insert_with(|| json!({}));
        model[f.metric.as_str()] = metric;
    }
    Json::Object(all)
}
