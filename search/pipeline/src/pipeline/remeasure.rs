//! The end of a search: trials near the front are measured again, together and in more processes. A few processes tell
//! networks apart that differ by some percent; neighbours on a front often differ by less.

use std::collections::{BTreeMap, HashMap, HashSet};

use mobilenas_bench::process::InterleavedProcesses;
use mobilenas_record::metric::name as metric;
use mobilenas_record::pareto::dominates;
use mobilenas_record::run::{JournalRow, Latency, Origin, Remeasured, Trial, TrialOutcome};
use mobilenas_record::score;

use super::ask::{values, violation};
use super::scoring::missed_in_words;
use super::{RunError, SearchPipeline};
use crate::config::{Bounds, Config};
use mobilenas_bench::paired_latency::DigestedDesign;
use mobilenas_host::cache::Cache;

/// Share of latency by which two equal networks are allowed to differ after the first processes: a choice, not measured here.
const NOISE: f64 = 0.03;
/// Trials in one block: as many as are made ready in one process.
const BLOCK: usize = 16;

impl Config {
    /// Processes in which trials near the front are timed once more, if they are.
    pub fn remeasure(&self) -> Option<usize> {
        let timed = |name: &str| name == metric::LATENCY || name == metric::MES;
        let asked = self.latency.processes > 0 && self.latency.remeasure_processes > 0;
        (asked && self.search.objectives.iter().any(|o| timed(&o.metric))).then_some(self.latency.remeasure_processes)
    }
}

impl SearchPipeline<'_> {
    /// Times trials near the front once more, where that is wanted. False if the run was asked to stop.
    pub(super) fn remeasure(&mut self, unit_ms: f64) -> Result<bool, RunError> {
        let (p, over) = (self.experiment(), self.is_done());
        let Some(processes) = p.config.remeasure().filter(|_| !over) else { return Ok(true) };
        let Some(mut blocks) = self.blocks(unit_ms, Cache::none())? else { return Ok(true) };
        // Other orders than those of the first times.
        blocks.how = InterleavedProcesses { processes, seed: blocks.how.seed.wrapping_add(1), ..blocks.how };
        let bar = (self.progress)("remeasure");
        let (mut done, mut broken) = (0, HashSet::new());
        // A trial that turns out slower than it seemed may let another onto the front, which is then remeasured, too.
        loop {
            let known = self.timed();
            let is_left = |t: &Trial| !known.contains_key(&t.id) && !broken.contains(&t.id);
            let left: Vec<Trial> = self.near_front(unit_ms).into_iter().filter(is_left).collect();
            if left.is_empty() {
                break;
            }
            bar.begin(done + left.len() as u64, done);
            for block in left.chunks(BLOCK) {
                let candidate = |t: &Trial| -> Result<DigestedDesign, RunError> {
                    let space = &self.experiment_of(t)?.space;
                    let genome = space.genome(&t.genome).map_err(RunError::Genome)?;
                    Ok((t.digest.clone(), space.config_of(&genome)))
                };
                let candidates = block.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
                if !blocks.time(&candidates, self.clock, self.stop) {
                    return Ok(false);
                }
                for trial in block {
                    let found = blocks.get(&trial.digest).map(|b| (b.latency.clone(), b.seconds));
                    match found.unwrap_or_else(|| (Err("it was in no block that was timed".to_string()), 0.0)) {
                        (Ok(latency), seconds) => {
                            let row = self.once_more(trial, latency, unit_ms, seconds);
                            self.folder.append(JournalRow::Remeasured(row))?;
                        }
                        (Err(why), _) => {
                            broken.insert(trial.id);
                            self.caveat(format!("Trial {} was not timed once more: {why}.", trial.id))?;
                        }
                    }
                }
                done += block.len() as u64;
                bar.at(done, "trials near the front");
            }
        }
        bar.done();
        Ok(true)
    }

    /// Remeasured latencies, by trial.
    fn timed(&self) -> HashMap<u64, &Remeasured> {
        let rows = self.folder.rows.iter();
        rows.filter_map(|r| match r {
            JournalRow::Remeasured(t) => Some((t.trial, t)),
            _ => None,
        })
        .collect()
    }

    /// All trials, remeasured latencies in the place of the first ones.
    pub(super) fn as_timed(&self) -> impl Iterator<Item = Trial> {
        let timed = self.timed();
        self.folder.rows.iter().filter_map(move |r| {
            let JournalRow::Trial(t) = r else { return None };
            let mut t = t.clone();
            if let Some(once_more) = timed.get(&t.id) {
                once_more.apply(&mut t);
            }
            Some(t)
        })
    }

    /// Scored trials and variants that no other beats by more than the noise of the first times.
    fn near_front(&self, unit_ms: f64) -> Vec<Trial> {
        let objectives = &self.experiment().config.search.objectives;
        let scored = |t: Trial| {
            let TrialOutcome::Scored(m) = &t.outcome else { return None };
            let (is, may) = (values(m, objectives)?, values(&self.faster(m, unit_ms), objectives)?);
            Some((t, is, may))
        };
        let all: Vec<(Trial, Vec<f64>, Vec<f64>)> = self.as_timed().filter_map(scored).collect();
        let (is, may): (Vec<_>, Vec<_>) = all.iter().map(|(_, is, may)| (is.clone(), may.clone())).unzip();
        unbeaten(&is, &may).into_iter().map(|i| all[i].0.clone()).collect()
    }

    /// Metrics as they are if the trial is faster than was seen by as much as noise allows.
    fn faster(&self, metrics: &BTreeMap<String, f64>, unit_ms: f64) -> BTreeMap<String, f64> {
        let ms = metrics.get(metric::LATENCY).map_or(f64::NAN, |ms| ms * (1.0 - NOISE));
        self.with_latency(metrics, ms, unit_ms)
    }

    /// Metrics with another latency, and what follows from it.
    fn with_latency(&self, metrics: &BTreeMap<String, f64>, ms: f64, unit_ms: f64) -> BTreeMap<String, f64> {
        let (mut all, constants) = (metrics.clone(), self.experiment().constants());
        all.insert(metric::LATENCY.to_string(), ms);
        let params = metrics.get(metric::PARAMS).copied().unwrap_or(f64::NAN);
        if let (true, Some(mes)) = (metrics.contains_key(metric::MES), score::mes(&constants, params, ms, unit_ms)) {
            all.insert(metric::MES.to_string(), mes);
        }
        all
    }

    fn once_more(&self, trial: &Trial, latency: Latency, unit_ms: f64, seconds: f64) -> Remeasured {
        let before = match &trial.outcome {
            TrialOutcome::Scored(metrics) => metrics.clone(),
            _ => BTreeMap::new(),
        };
        let all = self.with_latency(&before, latency.median_ms, unit_ms);
        let bounds = match trial.origin {
            Origin::Search => self.experiment().config.search.bounds.clone(),
            Origin::Variant(_) => Bounds::default(),
        };
        let missed = (violation(&all, &bounds) > 0.0).then(|| missed_in_words(&all, &bounds));
        let metrics = all.into_iter().filter(|(name, v)| before.get(name) != Some(v)).collect();
        Remeasured { trial: trial.id, latency, metrics, missed, seconds }
    }
}

/// Positions of what no other beats: `is` are the values with larger better, `may` what they may be at best.
fn unbeaten(is: &[Vec<f64>], may: &[Vec<f64>]) -> Vec<usize> {
    let beaten = |i: usize| is.iter().enumerate().any(|(j, other)| j != i && dominates(other, &may[i]));
    (0..is.len()).filter(|i| !beaten(*i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_beaten_by_less_than_noise_stays() {
        let is = [vec![90.0, -2.0], vec![90.0, -2.05], vec![90.0, -2.1], vec![80.0, -1.0], vec![80.0, -1.0]];
        let may: Vec<Vec<f64>> = is.iter().map(|v| vec![v[0], v[1] * (1.0 - NOISE)]).collect();
        // The third is slower than the first by 5 %; equals stay together.
        assert_eq!(unbeaten(&is, &may), [0, 1, 3, 4]);
    }
}
