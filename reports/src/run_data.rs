//! A run read from its folder, with what follows from its rows: the front and the mobile efficiency score.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use mobilenas_record::latency_table::{LatencyTable, Source};
use mobilenas_record::metric::{LATENCY, MES, PARAMS};
use mobilenas_record::run::{
    Caveat, Done, Finetuned, JournalRow, Landmark, Origin, PredictorFit, Retrained, RunHeader, SpaceHeader, Supernet,
    Trial, TrialOutcome, Unit,
};
use mobilenas_record::{MetricInfo, pareto, score};

use crate::error::ReportError;
use crate::study::{self, Study};
use crate::{journal, metrics};

/// A run. One that is not finished, or has no scored trial, is read like any other.
#[derive(Clone, Debug)]
pub struct RunData {
    /// The first row.
    pub header: RunHeader,
    /// The reference model's latency, once measured.
    pub unit: Option<Unit>,
    /// The trained supernets, one of each space (the last row, should there be several).
    pub supernets: Vec<Supernet>,
    /// All trials in the order of the journal.
    pub trials: Vec<RunTrial>,
    /// Trials that were fine-tuned before the winners were chosen.
    pub finetuned: Vec<Finetuned>,
    /// Trials that were trained to correct the scores of others.
    pub landmarks: Vec<Landmark>,
    /// Retrained networks, one row a training.
    pub retrained: Vec<Retrained>,
    /// How well the search's predictor did, fit by fit.
    pub predictor_fits: Vec<PredictorFit>,
    /// The run's caveats, then one for each line that could not be read.
    pub caveats: Vec<Caveat>,
    /// The end, if the run reached it.
    pub done: Option<Done>,
    /// How well a table's latencies agree with measured ones (the last row, should there be several; those of all spaces
    /// together).
    pub latency_table: Option<LatencyTable>,
    /// The study in the run's folder, if there is one that can be read.
    pub study: Option<Study>,
    /// The resolved config as it stands in the run's folder, if it is there.
    pub config: Option<String>,
    /// PNG files of what a retrained network finds in images, by its trial.
    pub pictures: BTreeMap<u64, Vec<Vec<u8>>>,
}

/// A trial with what follows from it and from the others.
#[derive(Clone, Debug)]
pub struct RunTrial {
    /// The row.
    pub trial: Trial,
    /// Mobile efficiency score, if the trial was scored with a latency and the unit is known; see [`score`].
    pub mes: Option<f64>,
    /// Whether no other scored trial dominates it in accuracy and latency.
    pub on_front: bool,
}

/// Numbers of trials by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Trials with all metrics.
    pub scored: usize,
    /// Trials outside a hard bound.
    pub infeasible: usize,
    /// Trials that ended with an error.
    pub failed: usize,
}

impl RunTrial {
    /// A metric's value by its name, if it is known and finite: of a scored trial, or known before a bound was missed.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let known = match &self.trial.outcome {
            TrialOutcome::Scored(metrics) | TrialOutcome::Infeasible { metrics, .. } => metrics.get(name).copied(),
            TrialOutcome::Failed { .. } => None,
        };
        match name {
            name if name == MES.name => self.mes,
            name if name == LATENCY.name => known.or(self.trial.latency.as_ref().map(|l| l.median_ms)),
            _ => known,
        }
        .filter(|v| v.is_finite())
    }

    /// The values of several metrics, if all are known.
    pub fn values<const N: usize>(&self, metrics: [&MetricInfo; N]) -> Option<[f64; N]> {
        let mut out = [0.0; N];
        for (value, metric) in out.iter_mut().zip(metrics) {
            *value = self.metric(metric.name)?;
        }
        Some(out)
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

impl RunData {
    /// Reads the run in `run_dir`.
    ///
    /// # Errors
    /// If the journal cannot be read, has no header, or has an unknown format. Damaged lines become caveats.
    pub fn read(run_dir: &Path) -> Result<RunData, ReportError> {
        let read = journal::read(run_dir)?;
        let mut run = RunData {
            header: read.header,
            unit: None,
            supernets: Vec::new(),
            trials: Vec::new(),
            finetuned: Vec::new(),
            landmarks: Vec::new(),
            retrained: Vec::new(),
            predictor_fits: Vec::new(),
            caveats: Vec::new(),
            done: None,
            latency_table: None,
            study: None,
            config: journal::config(run_dir),
            pictures: BTreeMap::new(),
        };
        let mut damage = read.damage;
        if Study::is_in(run_dir) {
            match Study::read(run_dir) {
                Ok(study) => run.study = Some(study),
                Err(_) => damage.push(format!("{} has no header that this program can read: left out", study::FILE)),
            }
        }
        let mut ids = HashSet::new();
        for (line, row) in read.rows {
            match row {
                JournalRow::Trial(trial) if !ids.insert(trial.id) => {
                    damage.push(format!("{} line {line} repeats trial {}: left out", journal::FILE, trial.id));
                }
                row => run.take(row),
            }
        }
        run.caveats.extend(damage.into_iter().map(|text| Caveat { text }));
        run.compute_mes();
        for i in run.front_against(&LATENCY) {
            run.trials[i].on_front = true;
        }
        run.pictures = run.retrained.iter().map(|r| (r.trial, pictures(run_dir, r.trial))).collect();
        run.pictures.retain(|_, pictures| !pictures.is_empty());
        Ok(run)
    }

    /// Puts a row where it belongs.
    fn take(&mut self, row: JournalRow) {
        match row {
            JournalRow::Run(_) => {}
            // The unit that the first trials were scored with stays the unit.
            JournalRow::Unit(unit) => {
                self.unit.get_or_insert(unit);
            }
            JournalRow::LatencyTable(table) => match &mut self.latency_table {
                // Each of several spaces has a table: their networks are judged together.
                Some(all) if !self.header.spaces.is_empty() => {
                    all.entries += table.entries;
                    all.pairs.extend(table.pairs);
                }
                last => *last = Some(table),
            },
            JournalRow::Supernet(supernet) => {
                self.supernets.retain(|s| s.space != supernet.space);
                self.supernets.push(supernet);
            }
            JournalRow::Trial(trial) => self.trials.push(RunTrial { trial, mes: None, on_front: false }),
            JournalRow::Remeasured(again) => {
                if let Some(entry) = self.trials.iter_mut().find(|t| t.trial.id == again.trial) {
                    again.apply(&mut entry.trial);
                }
            }
            JournalRow::Finetuned(finetuned) => self.finetuned.push(finetuned),
            JournalRow::Landmark(landmark) => self.landmarks.push(landmark),
            JournalRow::Retrained(retrained) => self.retrained.push(retrained),
            JournalRow::PredictorFit(fit) => self.predictor_fits.push(fit),
            JournalRow::Caveat(caveat) => self.caveats.push(caveat),
            JournalRow::Done(done) => self.done = Some(done),
        }
    }

    fn compute_mes(&mut self) {
        let Some(unit) = self.unit_latency_ms() else { return };
        for trial in self.trials.iter_mut().filter(|t| t.is_scored()) {
            if let Some([params, latency]) = trial.values([&PARAMS, &LATENCY]) {
                trial.mes = score::mes(&self.header.mes, params, latency, unit);
            }
        }
    }

    /// The score's unit of latency in ms, once the reference model was measured.
    pub fn unit_latency_ms(&self) -> Option<f64> {
        self.unit.as_ref().map(|u| score::unit_latency_ms(&self.header.mes, u.latency.median_ms))
    }

    /// The formula of the mobile efficiency score with this run's constants.
    pub fn mes_formula(&self) -> String {
        score::formula(&self.header.mes, self.unit_latency_ms())
    }

    /// Whether the trials' latencies are sums over a table, and not each measured.
    pub fn predicted_latency(&self) -> bool {
        let by_row = self.latency_table.as_ref().is_some_and(|t| t.source != Source::Measured);
        by_row || self.header.engine.table.is_some()
    }

    /// The metric that ranks candidates: on the search-validation split, with weights inherited from the supernet.
    pub fn accuracy(&self) -> &'static MetricInfo {
        &metrics::judged(&self.header.metric)[0]
    }

    /// The same on the test split, after retraining.
    pub fn final_accuracy(&self) -> &'static MetricInfo {
        &metrics::judged(&self.header.metric)[1]
    }

    /// Numbers of trials by outcome.
    pub fn counts(&self) -> OutcomeCounts {
        self.trials.iter().fold(OutcomeCounts::default(), |mut c, t| {
            match t.trial.outcome {
                TrialOutcome::Scored(_) => c.scored += 1,
                TrialOutcome::Infeasible { .. } => c.infeasible += 1,
                TrialOutcome::Failed { .. } => c.failed += 1,
            }
            c
        })
    }

    /// What to call a trial: its label, with its space where a run has several.
    pub fn title(&self, t: &RunTrial) -> String {
        let Some(space) = &t.trial.space else { return t.label() };
        // A published variant that lies in one space alone needs no more than its name.
        let twin = |o: &&RunTrial| o.trial.origin == t.trial.origin && o.trial.space != t.trial.space;
        match t.variant().is_some() && self.trials.iter().all(|o| !twin(&o)) {
            true => t.label(),
            false => format!("{} of {space}", t.label()),
        }
    }

    /// The run of each of its spaces, for what can only be said of one: its trials, with their places on the common front,
    /// and what was found out about them. A run over one space is its own.
    pub fn by_space(&self) -> Vec<Cow<'_, RunData>> {
        if self.header.spaces.is_empty() {
            return vec![Cow::Borrowed(self)];
        }
        let one = |space: &SpaceHeader| {
            let is = |name: &Option<String>| name.as_ref() == Some(&space.name);
            let mut own = self.clone();
            own.header.family.clone_from(&space.family);
            own.header.name.clone_from(&space.name);
            own.trials.retain(|t| is(&t.trial.space));
            let ids: HashSet<u64> = own.trials.iter().map(|t| t.trial.id).collect();
            own.finetuned.retain(|f| ids.contains(&f.trial));
            own.landmarks.retain(|l| ids.contains(&l.trial));
            own.retrained.retain(|r| ids.contains(&r.trial));
            own.predictor_fits.retain(|f| is(&f.space));
            own.supernets.retain(|s| is(&s.space));
            Cow::Owned(own)
        };
        self.header.spaces.iter().map(one).collect()
    }

    /// The scored trials.
    pub fn scored(&self) -> impl Iterator<Item = &RunTrial> {
        self.trials.iter().filter(|t| t.is_scored())
    }

    /// Indices into [`RunData::trials`], ascending, of the front of accuracy against one other metric.
    pub fn front_against(&self, other: &MetricInfo) -> Vec<usize> {
        let scored = self.trials.iter().enumerate().filter(|(_, t)| t.is_scored());
        let (indices, points): (Vec<usize>, Vec<[f64; 2]>) =
            scored.filter_map(|(i, t)| Some((i, t.values([self.accuracy(), other])?))).unzip();
        pareto::front(&points, &[self.accuracy().goal, other.goal]).into_iter().map(|i| indices[i]).collect()
    }

    /// The front of accuracy against latency, best accuracy first; equals in the order of the journal.
    pub fn front(&self) -> Vec<&RunTrial> {
        let mut front: Vec<&RunTrial> = self.trials.iter().filter(|t| t.on_front).collect();
        let accuracy = |t: &RunTrial| t.metric(self.accuracy().name).unwrap_or(f64::NEG_INFINITY);
        front.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)));
        front
    }

    /// The trial with this id.
    pub fn trial(&self, id: u64) -> Option<&RunTrial> {
        // Ids count from 0 in the order of the journal, so the first look nearly always finds it.
        let guess = usize::try_from(id).ok().and_then(|i| self.trials.get(i)).filter(|t| t.trial.id == id);
        guess.or_else(|| self.trials.iter().find(|t| t.trial.id == id))
    }

    /// Accuracy on the test split of one training, if it is a number.
    pub fn final_accuracy_of(&self, r: &Retrained) -> Option<f64> {
        r.metrics.get(self.final_accuracy().name).copied().filter(|v| v.is_finite())
    }

    /// How its retrained networks and its landmarks were trained.
    pub fn retraining(&self) -> &'static str {
        match self.retrained.iter().any(|r| r.inherited) || self.landmarks.iter().any(|l| l.inherited) {
            true => "trained on from the supernet's weights",
            false => "trained from scratch",
        }
    }

    /// Accuracy on the test split of a retrained trial, in percent: the mean over its trainings.
    pub fn test_accuracy(&self, id: u64) -> Option<f64> {
        let own = self.retrained.iter().filter(|r| r.trial == id);
        let known: Vec<f64> = own.filter_map(|r| self.final_accuracy_of(r)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

/// The pictures beside a retrained network's weights, `winners/12.0.png` and so on. A file that is larger than those that a
/// run writes is none of them.
fn pictures(run_dir: &Path, trial: u64) -> Vec<Vec<u8>> {
    const MOST: (usize, u64) = (16, 1 << 20);
    let files = (0..MOST.0).map(|n| run_dir.join(format!("winners/{trial}.{n}.png")));
    let read = |path: &PathBuf| fs::metadata(path).ok().filter(|m| m.len() <= MOST.1).and_then(|_| fs::read(path).ok());
    files.map_while(|path| read(&path)).collect()
}
