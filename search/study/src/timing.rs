//! Latency of found and published networks, interleaved with the reference: the host's drift cancels.

use std::sync::Arc;

use mobilenas_bench::engine::{self, EngineError, Session, Setting, blank, enough_cores};
use mobilenas_bench::stats::{median, quantile};
use mobilenas_bench::{Interleaving, interleave};
use mobilenas_record::run::Latency;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Names, Net, Owned, ParamStore, Values};
use tch::{Device, Tensor};

use crate::Study;
use mobilenas_bench::latency_table::{Table, TableError, networks};
use mobilenas_pipeline::experiment::ExperimentError;
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_space::seed::{Purpose, rng};

impl Study<'_> {
    /// The latencies of networks, each with the position of its space: as a table has them, or timed in rounds with the reference. Each sample is the network's
    /// time over the reference's in the same round, times the reference's median over all rounds.
    pub(super) fn latencies(&self, networks: &[(usize, Arc<Graph>)]) -> Result<Vec<Latency>, RunError> {
        let all = self.plan.experiments.all();
        let tables: Vec<&Table> = all.iter().filter_map(|p| p.table.as_ref()).collect();
        if tables.len() == all.len() {
            let one = |(space, graph): &(usize, Arc<Graph>)| -> Result<Latency, TableError> {
                let ms = tables[*space].latency(graph)?;
                Ok(Latency { median_ms: ms, p10_ms: ms, p90_ms: ms, samples: 0 })
            };
            let all: Result<Vec<_>, _> = networks.iter().map(one).collect();
            return Ok(all.map_err(ExperimentError::from)?);
        }
        let before = tch::get_num_threads();
        let graphs: Vec<Arc<Graph>> = networks.iter().map(|(_, graph)| graph.clone()).collect();
        let timed = self.in_turn(&graphs);
        tch::set_num_threads(before);
        timed
    }

    fn in_turn(&self, graphs: &[Arc<Graph>]) -> Result<Vec<Latency>, RunError> {
        let p = self.plan.experiment();
        let (reference, _) = networks::reference().ok_or(RunError::Reference)?;
        let timing = p.latency_protocol();
        let setting = Setting { batch: timing.batch, threads: timing.threads };
        enough_cores(timing.threads)?;
        let engine = engine::named(&timing.engine)?;
        let mut sessions: Vec<(Box<dyn Session>, Tensor)> = Vec::new();
        for graph in graphs.iter().cloned().chain([Arc::new(reference)]) {
            let store = ParamStore::with(&graph, Names::Standalone, Values::Quick, Device::Cpu)?;
            let net = Net::bind(graph, &Owned(&store))?;
            let session = engine.prepare(&net, setting)?;
            sessions.push((session, blank(&net, setting.batch)?));
        }
        let how = Interleaving { rounds: self.plan.config.study.rounds, warm: 3, lead: 1, again: false, references: 1 };
        let run = |i: usize| -> Result<(), EngineError> {
            let (session, images) = &mut sessions[i];
            session.run(images).map(drop)
        };
        let mut rng = rng(p.config.seed, Purpose::Timing, 1, 0);
        let (all, base) = interleave(self.clock, how, graphs.len(), &mut rng, |_| Ok(()), run)?;
        let base = median(&base).unwrap_or(f64::NAN);
        let latency = |ratios: &[f64]| {
            let ms: Vec<f64> = ratios.iter().map(|r| r * base).collect();
            let at = |q| quantile(&ms, q).unwrap_or(f64::NAN);
            Latency { median_ms: at(0.5), p10_ms: at(0.1), p90_ms: at(0.9), samples: ms.len() }
        };
        Ok(all.iter().map(|s| latency(&s.ratio)).collect())
    }
}
