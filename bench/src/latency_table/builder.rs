//! Builds a table: blocks and whole networks, interleaved with the reference, on this machine or on another device.

use std::path::Path;
use std::sync::Arc;

use crate::engine::ENGINES;
use crate::{Series, stats};
use mobilenas_record::run as record;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Reachable, Space};
use rand::seq::SliceRandom as _;
use sha2::{Digest as _, Sha256};

use super::file::{Table, TableError};
use super::networks::{self, SampledNetwork};
use super::partial::PartialTable;
use super::row::{self, FORMAT, Header, Reference, TableRow};
pub use super::timer::BuildError;
use super::timer::{GROUP, NETS, Timed, Timer};
use super::validate::validation;
use mobilenas_host::Progress;
use mobilenas_space::seed::{Purpose, rng};

/// What is built, and how.
#[derive(Clone, Copy)]
pub struct TableBuilder<'a> {
    /// The space whose blocks are timed.
    pub space: &'a Space,
    /// Networks that the line is fitted on, and others that it is validated on.
    pub nets: [usize; 2],
    /// More blocks than this are not timed.
    pub most: usize,
    /// What random orders and networks derive from.
    pub seed: u64,
}

/// What is to be timed.
struct Work {
    blocks: Vec<(String, Graph)>,
    nets: Vec<SampledNetwork>,
    reference: (Arc<Graph>, u32),
    whole: bool,
}

/// Things of one kind that are timed, and how they become rows.
struct Phase<'a, T> {
    items: &'a [T],
    /// Things that are interleaved.
    group: usize,
    /// Whether each is timed twice in a round.
    twice: bool,
    graph: fn(&T) -> Arc<Graph>,
    key: fn(&T) -> &String,
    known: fn(&TableRow) -> Option<&String>,
    row: fn(&T, &Series) -> TableRow,
}

impl TableBuilder<'_> {
    fn work(&self, timer: &dyn Timer) -> Result<Work, BuildError> {
        let reachable = Reachable::of(self.space, self.most, &mut rng(self.seed, Purpose::Timing, 0, 0))?;
        let several = reachable.blocks().iter().find(|(_, block)| block.inputs().count() > 1);
        if let Some((_, block)) = several.filter(|_| !timer.takes_several()) {
            let others: Vec<&str> = ENGINES.iter().filter(|e| e.takes_several()).map(|e| e.name()).collect();
            let block = block.blocks.first().map_or("one", |b| b.kind);
            return Err(BuildError::SeveralInputs { engine: timer.engine().name, block, others: others.join(", ") });
        }
        let nets = networks::choose(self.space, &reachable, self.nets, &mut rng(self.seed, Purpose::Timing, 1, 0))?;
        let mut blocks = reachable.blocks().to_vec();
        blocks.sort_by(|a, b| a.0.cmp(&b.0));
        blocks.shuffle(&mut rng(self.seed, Purpose::Timing, 2, 0));
        let (graph, side) = networks::reference().ok_or(BuildError::Reference)?;
        Ok(Work { blocks, nets, reference: (Arc::new(graph), side), whole: reachable.complete })
    }

    fn header(&self, work: &Work, timer: &dyn Timer) -> Header {
        let mut list = Sha256::new();
        let keys = work.blocks.iter().map(|(k, _)| k).chain(work.nets.iter().map(|n| &n.digest));
        keys.for_each(|k| list.update(format!("{k}\n")));
        let place = timer.place();
        Header {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_string(),
            source: place.source,
            family: self.space.family().name().to_string(),
            classes: self.space.classes(),
            blocks: work.blocks.len(),
            whole: work.whole,
            list: list.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect(),
            engine: timer.engine(),
            host: place.host,
            device: place.device.as_ref().map(mobilenas_device::DeviceRecord::caption),
            on: place.device,
            seed: self.seed,
        }
    }

    /// Builds the table, or goes on where it was stopped; `None` if it was asked to stop.
    ///
    /// # Errors
    /// When the engine or the disk refuses, or the part that is there is of another table.
    pub fn run(
        &self,
        timer: &mut dyn Timer,
        out: &Path,
        progress: fn(&'static str) -> Progress,
    ) -> Result<Option<Table>, BuildError> {
        let work = self.work(timer)?;
        let mut part = PartialTable::open(out, &self.header(&work, timer))?;
        let blocks = Phase {
            items: &work.blocks,
            group: GROUP,
            twice: true,
            graph: |(_, graph)| Arc::new(graph.clone()),
            key: |(key, _)| key,
            known: |row| if let TableRow::Block(b) = row { Some(&b.key) } else { None },
            row: |(key, _), s| {
                TableRow::Block(row::BlockTime {
                    key: key.clone(),
                    ms: stats::median(&s.ms).unwrap_or(f64::NAN),
                    ratio: Some(s.ratio()),
                    again: s.again(),
                    count: s.ms.len(),
                    spread: Some(s.spread()),
                })
            },
        };
        let nets = Phase {
            items: &work.nets,
            group: NETS,
            twice: false,
            graph: |net| net.graph.clone(),
            key: |net| &net.digest,
            known: |row| if let TableRow::Net(n) = row { Some(&n.digest) } else { None },
            row: |net, s| {
                TableRow::Net(row::NetworkTime {
                    set: net.set,
                    digest: net.digest.clone(),
                    genome: net.genome.clone(),
                    blocks: net.blocks.clone(),
                    ms: stats::median(&s.ms).unwrap_or(f64::NAN),
                    ratio: Some(s.ratio()),
                    count: s.ms.len(),
                    spread: Some(s.spread()),
                })
            },
        };
        if !phase(&blocks, &work, timer, &mut part, &progress("blocks"))?
            || !phase(&nets, &work, timer, &mut part, &progress("networks"))?
        {
            return Ok(None);
        }
        close(&mut part)?;
        Ok(Some(part.finish()?))
    }
}

/// Times what the table has no rows of yet; false if it was asked to stop.
fn phase<T>(
    phase: &Phase<'_, T>,
    work: &Work,
    timer: &mut dyn Timer,
    part: &mut PartialTable,
    bar: &Progress,
) -> Result<bool, BuildError> {
    let known = part.known(phase.known);
    bar.begin(phase.items.len() as u64, known.len() as u64);
    timer.tell(bar.teller());
    let left: Vec<&T> = phase.items.iter().filter(|i| !known.contains((phase.key)(i))).collect();
    let mut done = known.len();
    for group in left.chunks(phase.group) {
        let graphs: Vec<Arc<Graph>> = group.iter().map(|i| (phase.graph)(i)).collect();
        let at = |message: &str| bar.at(done as u64, message);
        let timed = match timer.time(&graphs, &work.reference.0, phase.twice, &at) {
            Err(e) if e.is_stop() => return Ok(false),
            other => other?,
        };
        let Some(Timed { series, reference: base, seen }) = timed else { return Ok(false) };
        let at = |q: f64| stats::quantile(&base, q).unwrap_or(f64::NAN);
        let latency = record::Latency { median_ms: at(0.5), p10_ms: at(0.1), p90_ms: at(0.9), samples: base.len() };
        let model = networks::REFERENCE.to_string();
        let base = Reference { model, resolution: work.reference.1, latency, seen };
        let rows = group.iter().zip(&series).map(|(i, s)| (phase.row)(i, s));
        part.append(rows.chain([TableRow::Rounds(base)]))?;
        done += group.len();
        bar.at(done as u64, "");
    }
    bar.done();
    Ok(true)
}

/// Adds the reference over all rounds, and the validation.
fn close(part: &mut PartialTable) -> Result<(), TableError> {
    let seen: Vec<&Reference> = part
        .rows
        .iter()
        .filter_map(|r| match r {
            TableRow::Rounds(r) => Some(r),
            _ => None,
        })
        .collect();
    let middle = |of: fn(&record::Latency) -> f64| {
        let all: Vec<f64> = seen.iter().map(|r| of(&r.latency)).collect();
        stats::median(&all).unwrap_or(f64::NAN)
    };
    let latency = record::Latency {
        median_ms: middle(|l| l.median_ms),
        p10_ms: middle(|l| l.p10_ms),
        p90_ms: middle(|l| l.p90_ms),
        samples: seen.iter().map(|r| r.latency.samples).sum(),
    };
    let reference = seen.first().map(|r| Reference { latency, seen: None, ..(*r).clone() });
    let ms = reference.as_ref().map(|r| r.latency.median_ms);
    let validation = validation(&part.rows, ms);
    part.append(reference.map(TableRow::Reference).into_iter().chain(validation.map(TableRow::Validation)))
}
