//! Builds a table on this machine: blocks and whole networks, interleaved with the reference.
//!
//! A block is prepared as the engine prepares a whole network, so it is fused as it would run. Each round times it
//! twice: with cold caches, after other blocks have run, and with warm ones, right after. Both times its input has just
//! been written, as by the block before it. The share of each in the block's time is fitted on whole networks.

use std::path::Path;
use std::sync::Arc;

use crate::engine::{Engine, EngineError, Session, Setting, blank, enough_cores};
use crate::{Host, Interleaving, Series, interleave, stats};
use mobilenas_host::Clock;
use mobilenas_record::run as record;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Reachable, Space};
use mobilenas_torch::{Names, Net, NetError, Owned, ParamStore};
use rand::seq::SliceRandom as _;
use sha2::{Digest as _, Sha256};
use tch::{Device, Tensor};

use super::file::{Table, TableError};
use super::networks::{self, SampledNetwork};
use super::partial::PartialTable;
use super::row::{self, FORMAT, Header, Reference, TableRow, TableSource};
use super::validate::validation;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_space::seed::{Purpose, rng};

/// Most blocks that are interleaved: libtorch remembers the kernels of a thousand convolutions, and these hold fewer.
const GROUP: usize = 40;
/// Most whole networks that are interleaved.
const NETS: usize = 12;

/// What is built, and how.
#[derive(Clone, Copy)]
pub struct TableBuilder<'a> {
    /// The space whose blocks are timed.
    pub space: &'a Space,
    /// What runs them.
    pub engine: &'a dyn Engine,
    /// Threads and batch.
    pub setting: Setting,
    /// Rounds of one pass.
    pub rounds: usize,
    /// Passes; each prepares all graphs anew, since a speed depends on where in memory they lie.
    pub passes: usize,
    /// Networks that the line is fitted on, and others that it is validated on.
    pub nets: [usize; 2],
    /// More blocks than this are not timed.
    pub most: usize,
    /// What random orders and networks derive from.
    pub seed: u64,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// libtorch.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The architecture.
    #[error(transparent)]
    Shape(#[from] mobilenas_space::ir::ShapeError),
    /// The reference network is gone.
    #[error("the reference network is not among the families")]
    Reference,
}

impl BuildError {
    /// Whether the user can mend it: another file, or fewer threads.
    pub fn is_input(&self) -> bool {
        matches!(self, BuildError::Table(_) | BuildError::Engine(EngineError::Threads { .. }))
    }
}

/// A prepared graph and its input.
struct Item {
    session: Box<dyn Session>,
    input: Tensor,
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
    how: Interleaving,
    graph: fn(&T) -> Arc<Graph>,
    key: fn(&T) -> &String,
    known: fn(&TableRow) -> Option<&String>,
    row: fn(&T, &Series) -> TableRow,
}

impl TableBuilder<'_> {
    fn work(&self) -> Result<Work, BuildError> {
        let reachable = Reachable::of(self.space, self.most, &mut rng(self.seed, Purpose::Timing, 0, 0))?;
        let nets = networks::choose(self.space, &reachable, self.nets, &mut rng(self.seed, Purpose::Timing, 1, 0))?;
        let mut blocks = reachable.blocks().to_vec();
        blocks.sort_by(|a, b| a.0.cmp(&b.0));
        blocks.shuffle(&mut rng(self.seed, Purpose::Timing, 2, 0));
        let (graph, side) = networks::reference().ok_or(BuildError::Reference)?;
        Ok(Work { blocks, nets, reference: (Arc::new(graph), side), whole: reachable.complete })
    }

    /// Blocks run twice; networks once, after a run that is not timed.
    fn how(&self, again: bool) -> Interleaving {
        Interleaving { rounds: self.rounds, warm: 3, lead: usize::from(!again), again, references: 2 }
    }

    fn header(&self, work: &Work) -> Header {
        let mut list = Sha256::new();
        let keys = work.blocks.iter().map(|(k, _)| k).chain(work.nets.iter().map(|n| &n.digest));
        keys.for_each(|k| list.update(format!("{k}\n")));
        let protocol = format!(
            "{} passes of {} rounds, in each every block or network once and {} twice, in random order; up to {GROUP} \
             blocks or {NETS} networks side by side; medians over rounds of the time over the round's {}; blocks after \
             other work and once more right after, with their input just written, networks after one run of their own",
            self.passes,
            self.rounds,
            networks::REFERENCE,
            networks::REFERENCE
        );
        Header {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_string(),
            source: TableSource::Measured,
            family: self.space.family().name().to_string(),
            classes: self.space.classes(),
            blocks: work.blocks.len(),
            whole: work.whole,
            list: list.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect(),
            engine: record::Engine {
                name: self.engine.name().to_string(),
                version: self.engine.version(),
                precision: self.engine.precision().to_string(),
                threads: self.setting.threads,
                batch: self.setting.batch,
                protocol,
                table: None,
            },
            host: Some(Host::read().machine),
            device: None,
            seed: self.seed,
        }
    }

    /// Builds the table, or goes on where it was stopped; `None` if it was asked to stop.
    ///
    /// # Errors
    /// When the engine or the disk refuses, or the part that is there is of another table.
    pub fn run(
        &self,
        out: &Path,
        clock: &dyn Clock,
        stop: &Stop,
        progress: fn(&'static str) -> Progress,
    ) -> Result<Option<Table>, BuildError> {
        enough_cores(self.setting.threads)?;
        let work = self.work()?;
        let mut part = PartialTable::open(out, &self.header(&work))?;
        let blocks = Phase {
            items: &work.blocks,
            group: GROUP,
            how: self.how(true),
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
            how: self.how(false),
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
        if !self.phase(&blocks, &work, &mut part, clock, stop, &progress("blocks"))?
            || !self.phase(&nets, &work, &mut part, clock, stop, &progress("networks"))?
        {
            return Ok(None);
        }
        close(&mut part)?;
        Ok(Some(part.finish()?))
    }

    /// Times what the table has no rows of yet; false if it was asked to stop.
    fn phase<T>(
        &self,
        phase: &Phase<'_, T>,
        work: &Work,
        part: &mut PartialTable,
        clock: &dyn Clock,
        stop: &Stop,
        bar: &Progress,
    ) -> Result<bool, BuildError> {
        let known = part.known(phase.known);
        bar.begin(phase.items.len() as u64, known.len() as u64);
        let left: Vec<&T> = phase.items.iter().filter(|i| !known.contains((phase.key)(i))).collect();
        let mut done = known.len();
        for group in left.chunks(phase.group) {
            let graphs: Vec<Arc<Graph>> = group.iter().map(|i| (phase.graph)(i)).collect();
            let Some((series, base)) = self.time(&graphs, work, phase.how, clock, stop)? else { return Ok(false) };
            let rows = group.iter().zip(&series).map(|(i, s)| (phase.row)(i, s));
            part.append(rows.chain([TableRow::Rounds(base)]))?;
            done += group.len();
            bar.at(done as u64, "");
        }
        bar.done();
        Ok(true)
    }

    /// Times graphs interleaved with the reference; `None` if it was asked to stop.
    fn time(
        &self,
        graphs: &[Arc<Graph>],
        work: &Work,
        how: Interleaving,
        clock: &dyn Clock,
        stop: &Stop,
    ) -> Result<Option<(Vec<Series>, Reference)>, BuildError> {
        let (mut all, mut base) = (vec![Series::default(); graphs.len()], Vec::new());
        for pass in 0..self.passes as u64 {
            if stop.asked() {
                return Ok(None);
            }
            let items = graphs.iter().chain([&work.reference.0]).map(|g| self.item(g));
            let mut items: Vec<Item> = items.collect::<Result<_, _>>()?;
            // One order for each pass; which one does not matter to a group that is timed again.
            let mut random = rng(self.seed, Purpose::Timing, 3, pass);
            let inputs: Vec<Tensor> = items.iter().map(|i| i.input.shallow_clone()).collect();
            let ready = |i: usize| -> Result<(), EngineError> {
                let mut input = inputs[i].shallow_clone();
                input.f_zero_().map(drop).map_err(torch)
            };
            let run = |i: usize| -> Result<(), EngineError> {
                let item = &mut items[i];
                item.session.run(&item.input).map(drop)
            };
            let (series, reference) = interleave(clock, how, graphs.len(), &mut random, ready, run)?;
            all.iter_mut().zip(&series).for_each(|(a, s)| a.join(s));
            base.extend(reference);
        }
        let at = |q: f64| stats::quantile(&base, q).unwrap_or(f64::NAN);
        let latency = record::Latency { median_ms: at(0.5), p10_ms: at(0.1), p90_ms: at(0.9), samples: base.len() };
        let reference = Reference { model: networks::REFERENCE.to_string(), resolution: work.reference.1, latency };
        Ok(Some((all, reference)))
    }

    fn item(&self, graph: &Arc<Graph>) -> Result<Item, BuildError> {
        let store = ParamStore::init(graph, Names::Standalone, 0, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let session = self.engine.prepare(&net, self.setting)?;
        let input = blank(&net, self.setting.batch)?;
        // Images are contiguous; other feature maps have the layout that the block before leaves.
        let inner = graph.input().hw().is_some() && graph.input().channels() != 3;
        let input = if inner && self.engine.channels_last() {
            let last = input.f_permute([0, 2, 3, 1]).and_then(|t| t.f_contiguous());
            last.and_then(|t| t.f_permute([0, 3, 1, 2])).map_err(torch)?
        } else {
            input
        };
        Ok(Item { session, input })
    }
}

fn torch(e: tch::TchError) -> EngineError {
    EngineError::Net(NetError::Torch { at: "images".into(), message: e.to_string() })
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
    let reference = seen.first().map(|r| Reference { latency, ..(*r).clone() });
    let ms = reference.as_ref().map(|r| r.latency.median_ms);
    let validation = validation(&part.rows, ms);
    part.append(reference.map(TableRow::Reference).into_iter().chain(validation.map(TableRow::Validation)))
}
