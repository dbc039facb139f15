//! The five best of a run, to be printed when it ends.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Entry, Frame};
use mobilenas_record::metric::name as metric;
use mobilenas_record::text;

/// One of the best: a trial on the front of top-1 against latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The trial's id.
    pub id: u64,
    /// The published variant that it is, if it is one.
    pub variant: Option<String>,
    /// Top-1 on the search-validation split, inherited weights, percent.
    pub top1: f64,
    /// Median latency, ms.
    pub latency_ms: f64,
    /// Parameters.
    pub params: Option<f64>,
    /// Multiply-accumulates of one image.
    pub macs: Option<f64>,
    /// Mobile efficiency score with the run's constants.
    pub mes: Option<f64>,
    /// Top-1 on the test split after retraining from scratch, percent.
    pub retrained_test_top1: Option<f64>,
    /// Knob to value.
    pub genome: BTreeMap<String, i64>,
}

/// Up to five trials of the front of top-1 against latency: those with the best top-1, best first.
pub fn five_best(frame: &Frame) -> Vec<Best> {
    let best = |e: &Entry| {
        Some(Best {
            id: e.trial.id,
            variant: e.variant().map(str::to_owned),
            top1: e.metric(metric::TOP1)?,
            latency_ms: e.metric(metric::LATENCY)?,
            params: e.metric(metric::PARAMS),
            macs: e.metric(metric::MACS),
            mes: e.mes,
            retrained_test_top1: frame.retrained_test_top1(e.trial.id),
            genome: e.trial.genome.clone(),
        })
    };
    frame.front().into_iter().filter_map(best).take(5).collect()
}

impl fmt::Display for Best {
    /// One line with units; every line of a list has the same columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |v: Option<f64>| v.map_or_else(|| "?".to_owned(), text::count);
        let mes = self.mes.map_or_else(|| "?".to_owned(), |v| format!("{v:.1}"));
        write!(
            f,
            "{:>6}  top-1 {:5.2} %  {:>6} ms  {:>7} params  {:>7} MACs  MES {mes:>6}",
            format!("#{}", self.id),
            self.top1,
            text::significant(self.latency_ms, 3),
            count(self.params),
            count(self.macs),
        )?;
        if let Some(test) = self.retrained_test_top1 {
            write!(f, "  retrained: test top-1 {test:.2} %")?;
        }
        if let Some(name) = &self.variant {
            write!(f, "  {name}")?;
        }
        Ok(())
    }
}
