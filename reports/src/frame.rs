//! A run as read from its folder, sorted, with what follows from its rows: front membership and MES.

use std::collections::HashSet;
use std::path::Path;

use crate::study::{self, Study};
use crate::{ReportError, journal};
use mobilenas_record::latency_table::{LatencyTable, Source};
use mobilenas_record::metric::name as metric;
use mobilenas_record::run::{
    Caveat, Done, JournalRow, Origin, PredictorFit, Retrained, RunHeader, Supernet, Trial, TrialOutcome, Unit,
};
use mobilenas_record::score;
use mobilenas_record::{Goal, pareto};

/// A run, read and sorted. A run that is still going, or that has no scored trial, is a frame like any other.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The header.
    pub run: RunHeader,
    /// The reference model's latency, once measured.
    pub unit: Option<Unit>,
    /// The supernet, once trained (the last row, should there be several).
    pub supernet: Option<Supernet>,
    /// All trials in the order of the journal.
    pub trials: Vec<Entry>,
    /// Winners retrained from scratch.
    pub retrained: Vec<Retrained>,
    /// How well the search's predictor foretold, fit by fit.
    pub foretold: Vec<PredictorFit>,
    /// The run's caveats, then one for each line that could not be read.
    pub caveats: Vec<Caveat>,
    /// The end, if the run reached it.
    pub done: Option<Done>,
    /// How well a table's latencies agree with measured ones (the last row, should there be several).
    pub latency_table: Option<LatencyTable>,
    /// The study in the run's folder, if there is one that can be read.
    pub study: Option<Study>,
    /// The resolved config as it stands in the run's folder, if it is there.
    pub config: Option<String>,
}

/// A trial with what follows from it and from the others.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The row.
    pub trial: Trial,
    /// Mobile efficiency score, if the trial was scored with a latency and the unit is known; see [`score`].
    pub mes: Option<f64>,
    /// Whether no other scored trial is at least as good in top-1 and latency and better in one.
    pub on_front: bool,
}

/// How many trials ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trials with all metrics.
    pub scored: usize,
    /// Trials outside a hard bound.
    pub infeasible: usize,
    /// Trials that broke.
    pub failed: usize,
}

impl Entry {
    /// A metric's value by its name, if it is known and finite: of a scored trial, or known before a bound was missed.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let known = match &self.trial.outcome {
            TrialOutcome::Scored(metrics) | TrialOutcome::Infeasible { metrics, .. } => metrics.get(name).copied(),
            TrialOutcome::Failed { .. } => None,
        };
        match name {
            metric::MES => self.mes,
            metric::LATENCY => known.or(self.trial.latency.as_ref().map(|l| l.median_ms)),
            _ => known,
        }
        .filter(|v| v.is_finite())
    }

    /// Whether the trial was scored.
    pub fn is_scored(&self) -> bool {
        matches!(self.trial.outcome, TrialOutcome::Scored(_))
    }

    /// The published variant that the trial is, if it is one.
    pub fn variant(&self) -> Option<&str> {
        match &self.trial.origin {
            Origin::Variant(name) => Some(name),
            Origin::Search => None,
        }
    }

    /// What to call it: the variant's name, or `#12`.
    pub fn label(&self) -> String {
        self.variant().map_or_else(|| format!("#{}", self.trial.id), str::to_owned)
    }
}

impl Frame {
    /// Reads the run in `run_dir`.
    ///
    /// # Errors
    /// If the journal cannot be read, has no header, or has another format. Damaged lines are caveats, not errors.
    pub fn read(run_dir: &Path) -> Result<Frame, ReportError> {
        let read = journal::read(run_dir)?;
        let mut frame = Frame {
            run: read.header,
            unit: None,
            supernet: None,
            trials: Vec::new(),
            retrained: Vec::new(),
            foretold: Vec::new(),
            caveats: Vec::new(),
            done: None,
            latency_table: None,
            study: None,
            config: journal::config(run_dir),
        };
        let mut damage = read.damage;
        if Study::is_in(run_dir) {
            match Study::read(run_dir) {
                Ok(study) => frame.study = Some(study),
                Err(_) => damage.push(format!("{} has no header that this program can read: left out", study::FILE)),
            }
        }
        let mut ids = HashSet::new();
        for (line, row) in read.rows {
            match row {
                JournalRow::Trial(trial) if !ids.insert(trial.id) => {
                    damage.push(format!("{} line {line} has trial {} once more: left out", journal::FILE, trial.id));
                }
                row => frame.take(row),
            }
        }
        frame.caveats.extend(damage.into_iter().map(|text| Caveat { text }));
        frame.find_scores();
        frame.find_front();
        Ok(frame)
    }

    /// Puts a row where it belongs.
    fn take(&mut self, row: JournalRow) {
        match row {
            JournalRow::Run(_) => {}
            // The unit that the first trials were scored with stays the unit.
            JournalRow::Unit(unit) => {
                self.unit.get_or_insert(unit);
            }
            JournalRow::LatencyTable(table) => self.latency_table = Some(table),
            JournalRow::Supernet(supernet) => self.supernet = Some(supernet),
            JournalRow::Trial(trial) => self.trials.push(Entry { trial, mes: None, on_front: false }),
            JournalRow::Remeasured(timed) => {
                if let Some(entry) = self.trials.iter_mut().find(|e| e.trial.id == timed.trial) {
                    timed.apply(&mut entry.trial);
                }
            }
            JournalRow::Retrained(retrained) => self.retrained.push(retrained),
            JournalRow::PredictorFit(foretold) => self.foretold.push(foretold),
            JournalRow::Caveat(caveat) => self.caveats.push(caveat),
            JournalRow::Done(done) => self.done = Some(done),
        }
    }

    fn find_scores(&mut self) {
        let Some(unit) = self.unit_latency_ms() else {
            return;
        };
        for entry in self.trials.iter_mut().filter(|e| e.is_scored()) {
            if let (Some(params), Some(latency)) = (entry.metric(metric::PARAMS), entry.metric(metric::LATENCY)) {
                entry.mes = score::mes(&self.run.mes, params, latency, unit);
            }
        }
    }

    fn find_front(&mut self) {
        for i in self.front_against(metric::LATENCY, Goal::Minimize) {
            self.trials[i].on_front = true;
        }
    }

    /// The score's unit of latency in ms, once the reference model was measured.
    pub fn unit_latency_ms(&self) -> Option<f64> {
        self.unit.as_ref().map(|u| score::unit_latency_ms(&self.run.mes, u.latency.median_ms))
    }

    /// Whether the trials' latencies are sums over a table, and not each measured.
    pub fn predicted_latency(&self) -> bool {
        let by_row = self.latency_table.as_ref().is_some_and(|t| t.source != Source::Measured);
        by_row || self.run.engine.table.is_some()
    }

    /// What a trial's latency is, for axes and heads.
    pub fn latency_word(&self) -> &'static str {
        if self.predicted_latency() { "Latency predicted by a table" } else { "Median latency" }
    }

    /// How many trials ended how.
    pub fn counts(&self) -> Counts {
        self.trials.iter().fold(Counts::default(), |mut c, e| {
            match e.trial.outcome {
                TrialOutcome::Scored(_) => c.scored += 1,
                TrialOutcome::Infeasible { .. } => c.infeasible += 1,
                TrialOutcome::Failed { .. } => c.failed += 1,
            }
            c
        })
    }

    /// Indices into [`Frame::trials`], ascending, of the front of top-1 (to be large) against one other metric.
    pub fn front_against(&self, other: &str, goal: Goal) -> Vec<usize> {
        let known: Vec<(usize, [f64; 2])> = self
            .trials
            .iter()
            .enumerate()
            .filter(|(_, e)| e.is_scored())
            .filter_map(|(i, e)| Some((i, [e.metric(metric::TOP1)?, e.metric(other)?])))
            .collect();
        let points: Vec<[f64; 2]> = known.iter().map(|(_, p)| *p).collect();
        pareto::front(&points, &[Goal::Maximize, goal]).into_iter().map(|i| known[i].0).collect()
    }

    /// The main front (top-1 against latency), best top-1 first; equals in the order of the journal.
    pub fn front(&self) -> Vec<&Entry> {
        let mut front: Vec<&Entry> = self.trials.iter().filter(|e| e.on_front).collect();
        let top1 = |e: &Entry| e.metric(metric::TOP1).unwrap_or(f64::NEG_INFINITY);
        front.sort_by(|a, b| top1(b).total_cmp(&top1(a)));
        front
    }

    /// The trial with this id.
    pub fn trial(&self, id: u64) -> Option<&Entry> {
        // Ids count from 0 in the order of the journal, so the first look nearly always finds it.
        let guess = usize::try_from(id).ok().and_then(|i| self.trials.get(i)).filter(|e| e.trial.id == id);
        guess.or_else(|| self.trials.iter().find(|e| e.trial.id == id))
    }

    /// Top-1 on the test split (percent) of a trial retrained from scratch: the mean over its retrainings.
    pub fn retrained_test_top1(&self, id: u64) -> Option<f64> {
        let tops: Vec<f64> = self
            .retrained
            .iter()
            .filter(|r| r.trial == id)
            .filter_map(|r| r.metrics.get(metric::TEST_TOP1).copied())
            .filter(|v| v.is_finite())
            .collect();
        (!tops.is_empty()).then(|| tops.iter().sum::<f64>() / tops.len() as f64)
    }
}
