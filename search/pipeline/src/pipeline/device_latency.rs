//! Latencies that another device takes: each batch of candidates in rounds beside the reference network.

use std::sync::Arc;

use mobilenas_bench::latency_table::networks;
use mobilenas_bench::on_device::{OnDevice, OnDeviceError, Voice};
use mobilenas_bench::paired_latency;
use mobilenas_bench::stats::quantile;
use mobilenas_device::{DeviceError, Session, Surroundings};
use mobilenas_record::run::{Engine, JournalRow, Latency, Unit};
use mobilenas_space::ir::Graph;

use super::ask::Proposal;
use super::scoring::ScoringSession;
use super::{REFERENCE, RunError, SearchPipeline};
use crate::config::MeasuredOn;
use crate::evaluator::RemoteLatency;

/// Networks that are on the device and timed together, at most.
const TOGETHER: usize = 12;

impl SearchPipeline<'_> {
    /// The device that takes latencies, if one does: it is asked what it is.
    pub(super) fn device<'d>(
        &self,
        around: Surroundings<'d>,
        voice: &'d Voice,
    ) -> Result<Option<OnDevice<'d>>, RunError> {
        let config = &self.experiment().config;
        let l = &config.latency;
        let Some(device) = l.device.as_ref().filter(|_| l.measured_on == MeasuredOn::Device) else { return Ok(None) };
        let session = Session::open(device, l.threads, around).map_err(OnDeviceError::from)?;
        Ok(Some(OnDevice { session, voice, batch: l.batch, rounds: l.rounds, seed: config.seed }))
    }

    /// One unit of latency in ms: the reference network is timed on the device once a run.
    pub(super) fn unit_on(&mut self, device: &mut OnDevice<'_>) -> Result<f64, RunError> {
        if !self.folder.rows.iter().any(|r| matches!(r, JournalRow::Unit(_))) {
            let (graph, resolution) = networks::reference().ok_or(RunError::Reference)?;
            let (graph, bar) = (Arc::new(graph), (self.progress)("device"));
            device.voice.set(bar.teller());
            bar.begin(1, 0);
            let tell = |message: &str| bar.at(0, &format!("{REFERENCE}, {message}"));
            let (series, _, _) = device.rounds(std::slice::from_ref(&graph), &graph, 1, &tell)?;
            bar.done();
            let ms = series.first().map_or(&[][..], |s| &s.ms);
            let at = |q: f64| quantile(ms, q).ok_or(RunError::Reference);
            let latency = Latency { median_ms: at(0.5)?, p10_ms: at(0.1)?, p90_ms: at(0.9)?, samples: ms.len() };
            let host = Some(device.session.record().caption());
            self.folder.append(JournalRow::Unit(Unit { model: REFERENCE.to_string(), resolution, latency, host }))?;
        }
        self.known_unit()
    }

    /// Has the device time networks of the space at a position, those that are not known. False if the run was asked to stop.
    pub(super) fn time_on_device(
        &self,
        position: usize,
        fresh: &[&Proposal],
        session: &mut ScoringSession<'_>,
    ) -> Result<bool, RunError> {
        let ScoringSession { scorers, device: Some(device), .. } = session else { return Ok(true) };
        let Some(known) = scorers[position].remote_latencies() else { return Ok(true) };
        let reference = Arc::new(networks::reference().ok_or(RunError::Reference)?.0);
        let reference_ms = self.known_unit()? * self.experiment().config.mes.reference_units;
        let new: Vec<&&Proposal> = fresh.iter().filter(|one| !known.knows(&one.digest)).collect();
        for block in new.chunks(TOGETHER) {
            let (graphs, from) = (block.iter().map(|one| one.graph.clone()).collect::<Vec<_>>(), self.clock.now());
            let all = match latencies(device, &graphs, (&reference, reference_ms)) {
                Err(OnDeviceError::Device(DeviceError::Stopped)) => return Ok(false),
                other => other?,
            };
            let seconds = (self.clock.now() - from).as_secs_f64() / block.len().max(1) as f64;
            for (one, latency) in block.iter().zip(all) {
                known.take(one.digest.clone(), RemoteLatency { latency, seconds });
            }
        }
        Ok(true)
    }
}

/// Times networks together. A block in which one fails is taken apart, so that only what cannot be timed has no latency.
fn latencies(
    device: &mut OnDevice<'_>,
    graphs: &[Arc<Graph>],
    (reference, reference_ms): (&Arc<Graph>, f64),
) -> Result<Vec<Result<Latency, String>>, OnDeviceError> {
    match device.rounds(graphs, reference, 2, &|_| ()) {
        Ok((series, _, _)) => Ok(series.iter().map(|s| paired_latency::by_ratio(s, reference_ms)).collect()),
        Err(e) if e.is_of_network() && graphs.len() > 1 => {
            let one = |graph| latencies(device, std::slice::from_ref(graph), (reference, reference_ms));
            Ok(graphs.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat())
        }
        Err(e) if e.is_of_network() => Ok(vec![Err(e.to_string())]),
        Err(e) => Err(e),
    }
}

/// What latencies of a device are of.
pub(super) fn engine(device: &OnDevice<'_>) -> Engine {
    let r = device.session.record();
    let protocol = format!(
        "on {}: {} rounds, in each every network of a batch once and {REFERENCE} twice, in random order, each the {}; the \
         median ratio to the round's {REFERENCE}, times its latency",
        r.caption(),
        device.rounds,
        device.session.protocol()
    );
    Engine {
        name: r.engine(),
        version: r.version.clone(),
        precision: r.precision.clone(),
        threads: r.threads,
        batch: device.batch,
        protocol,
        table: None,
    }
}
