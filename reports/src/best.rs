//! The five best trials of a run, printed when it ends.

use mobilenas_record::metric::{LATENCY, MACS, MES, PARAMS};
use mobilenas_record::text;

use crate::metrics;
use crate::run_data::{RunData, RunTrial};

/// Up to five trials of the front of accuracy against latency, those with the best accuracy first: a line each, with units
/// and the same columns.
pub fn five_best(run: &RunData) -> Vec<String> {
    run.front().into_iter().take(5).map(|t| line(run, t)).collect()
}

fn line(run: &RunData, t: &RunTrial) -> String {
    let shown = |name: &str, show: &dyn Fn(f64) -> String| t.metric(name).map_or_else(|| "?".to_owned(), show);
    let mut line = format!(
        "{:>6}  {} {:>5} %  {:>6} ms  {:>7} params  {:>7} MACs  MES {:>6}",
        format!("#{}", t.trial.id),
        metrics::noun(run.accuracy()),
        shown(run.accuracy().name, &|v| format!("{v:.2}")),
        shown(LATENCY.name, &|v| text::significant(v, 3)),
        shown(PARAMS.name, &text::count),
        shown(MACS.name, &text::count),
        shown(MES.name, &|v| format!("{v:.1}")),
    );
    if let Some(test) = run.test_accuracy(t.trial.id) {
        line += &format!("  retrained: {} {test:.2} %", metrics::noun(run.final_accuracy()));
    }
    if let Some(name) = t.variant() {
        line += &format!("  {name}");
    }
    if let Some(space) = &t.trial.space {
        line += &format!("  {space}");
    }
    line
}
