//! Latencies that workers measure, all on hosts of one kind: that which the config names, else that of the first worker, and
//! from the row of the unit of latency on that of the row.

use std::collections::BTreeMap;

use mobilenas_bench::latency_table::networks;
use mobilenas_record::metric::LATENCY;
use mobilenas_record::run::{JournalRow, Latency, Unit};
use mobilenas_space::cost;

use super::ask::Proposal;
use super::scoring::ScoringSession;
use super::scoring_pool::ScoringPool;
use super::{REFERENCE, RunError, SearchPipeline};
use crate::config::MeasuredOn;
use crate::evaluator::RemoteLatency;
use crate::worker::{Found, Job};

impl SearchPipeline<'_> {
    /// Whether workers measure latencies.
    pub(super) fn workers_measure(&self) -> bool {
        self.experiment().config.latency.measured_on == MeasuredOn::Workers
    }

    /// Has workers measure from now on, if the config wants that: the reference network first, unless its row is there. False
    /// if the run was asked to stop.
    pub(super) fn begin_on_workers(&mut self, session: &mut ScoringSession<'_>) -> Result<bool, RunError> {
        if !self.workers_measure() {
            return Ok(true);
        }
        let rows = self.folder.rows.iter();
        let known = rows.clone().find_map(|r| if let JournalRow::Unit(u) = r { u.host.clone() } else { None });
        let named = self.experiment().config.latency.host.clone();
        if let Some(ScoringPool::Workers(pool)) = &mut session.pool {
            pool.one_kind(named.or(known));
        }
        if !rows.clone().any(|r| matches!(r, JournalRow::Unit(_))) {
            let (_, resolution) = networks::reference().ok_or(RunError::Reference)?;
            let job = Job { reference: true, ..self.latency_job(0, BTreeMap::new(), 0) };
            let mut found = None;
            self.measured_by_workers(&[job], session, |_, _, one| found = Some(one))?;
            let Some(found) = found else { return Ok(false) };
            let latency =
                found.map_err(|why| RunError::Training { name: "the reference network's latency".to_string(), why })?;
            let host = match &session.pool {
                Some(ScoringPool::Workers(pool)) => pool.kind().to_string(),
                _ => String::new(),
            };
            self.caveat(format!("Latency is that of workers on hosts of one kind: {host}."))?;
            let unit = Unit { model: REFERENCE.to_string(), resolution, latency, host: Some(host) };
            self.folder.append(JournalRow::Unit(unit))?;
        }
        let unit_ms = self.known_unit()?;
        session.scorers.iter_mut().for_each(|scorer| scorer.measured_elsewhere(unit_ms));
        Ok(true)
    }

    /// Has workers measure networks of the space at a position, those that are not known. False if the run was asked to stop.
    pub(super) fn time_on_workers(
        &self,
        position: usize,
        fresh: &[&Proposal],
        session: &mut ScoringSession<'_>,
    ) -> Result<bool, RunError> {
        let known = session.scorers[position].remote_latencies();
        let is_new = |one: &&&Proposal| known.as_ref().is_none_or(|known| !known.knows(&one.digest));
        let new: Vec<&&Proposal> = fresh.iter().filter(is_new).collect();
        let space = &self.experiments.all()[position].space;
        let job =
            |one: &&&Proposal| self.latency_job(position, space.values(&one.genome), cost::graph(&one.graph).macs);
        let jobs: Vec<Job> = new.iter().map(job).collect();
        let mut all = Vec::new();
        self.measured_by_workers(&jobs, session, |i, seconds, latency| {
            all.push((i, RemoteLatency { latency, seconds }))
        })?;
        let whole = all.len() == jobs.len();
        if let Some(known) = session.scorers[position].remote_latencies() {
            all.into_iter().for_each(|(i, found)| known.take(new[i].digest.clone(), found));
        }
        Ok(whole)
    }

    fn latency_job(&self, space: usize, genome: BTreeMap<String, i64>, macs: u64) -> Job {
        Job { space, genome, metrics: vec![LATENCY.name.to_string()], of_study: None, reference: false, macs }
    }

    fn measured_by_workers(
        &self,
        jobs: &[Job],
        session: &mut ScoringSession<'_>,
        mut take: impl FnMut(usize, f64, Result<Latency, String>),
    ) -> Result<(), RunError> {
        let Some(pool) = &mut session.pool else { return Ok(()) };
        let stop = self.stop;
        let mut here = |_: &Job| Err("workers measure, not this process".to_string());
        pool.run(
            (jobs, self.clock),
            || !stop.asked(),
            &mut here,
            |i, seconds, outcome| {
                let none = || "the worker told no latency".to_string();
                let latency = outcome.map_err(|failure| failure.to_string());
                take(i, seconds, latency.and_then(|Found { latency, .. }| latency.ok_or_else(none)));
                Ok(())
            },
        )
    }
}
