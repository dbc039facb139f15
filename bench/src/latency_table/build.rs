//! Builds a table on this machine: blocks and whole networks in rounds, in random order, with the reference in each.
//!
//! A block is prepared as the engine prepares a whole network, so it is fused as it would run. It is timed twice in a round:
//! after other blocks have run, when its weights are as far from the processor as those of a network that has just done a lot of
//! other work, and right after that. Both times its input has just been written, as by the block before it. How much of which
//! makes a block's time is found on whole networks.

use std::path::Path;
use std::sync::Arc;

use crate::engine::{Engine, EngineError, Session, Setting, blank};
use crate::{Host, Rounds, Series, rounds, stats};
use mobilenas_host::Clock;
use mobilenas_record::run as record;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Reachable, Space};
use mobilenas_torch::{Names, Net, NetError, Owned, ParamStore};
use rand::seq::SliceRandom as _;
use sha2::{Digest as _, Sha256};
use tch::{Device, Tensor};

use super::file::{Table, TableError};
use super::nets::{self, Chosen};
use super::part::Part;
use super::row::{self, FORMAT, Header, Reference, Row, Source};
use super::validate::validation;
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_space::seed::{Purpose, rng};

/// Blocks timed side by side: libtorch remembers the kernels of a thousand convolutions, and these hold fewer.
const GROUP: usize = 40;
/// Whole networks timed side by side.
const NETS: usize = 12;

/// What is built, and how.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// The space whose blocks are timed.
    pub space: &'a Space,
    /// What runs them.
    pub engine: &'a dyn Engine,
    /// Threads and batch.
    pub setting: Setting,
    /// Rounds of one pass.
    pub rounds: usize,
    /// Each pass prepares all anew, so that chances of memory differ.
    pub passes: usize,
    /// Networks to fit the line on, and others to judge it by.
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

/// A graph ready to run, and what it is given.
struct Item {
    session: Box<dyn Session>,
    input: Tensor,
}

/// What is to be timed.
struct Work {
    blocks: Vec<(String, Graph)>,
    nets: Vec<Chosen>,
    reference: (Arc<Graph>, u32),
    whole: bool,
}

impl Build<'_> {
    fn work(&self) -> Result<Work, BuildError> {
        let reachable = Reachable::of(self.space, self.most, &mut rng(self.seed, Purpose::Timing, 0, 0))?;
        let nets = nets::choose(self.space, &reachable, self.nets, &mut rng(self.seed, Purpose::Timing, 1, 0))?;
        let mut blocks = reachable.blocks().to_vec();
        blocks.sort_by(|a, b| a.0.cmp(&b.0));
        blocks.shuffle(&mut rng(self.seed, Purpose::Timing, 2, 0));
        let (graph, side) = nets::reference().ok_or(BuildError::Reference)?;
        Ok(Work { blocks, nets, reference: (Arc::new(graph), side), whole: reachable.complete })
    }

    /// Blocks run twice; networks once, after a run that is not timed.
    fn how(&self, again: bool) -> Rounds {
        Rounds { rounds: self.rounds, warm: 3, lead: usize::from(!again), again, references: 2 }
    }

    fn header(&self, work: &Work) -> Header {
        let host = Host::read();
        let mut list = Sha256::new();
        let keys = work.blocks.iter().map(|(k, _)| k).chain(work.nets.iter().map(|n| &n.digest));
        keys.for_each(|k| list.update(format!("{k}\n")));
        let protocol = format!(
            "{} passes of {} rounds, in each every block or network once and {} twice, in random order; up to {GROUP} \
             blocks or {NETS} networks side by side; medians over rounds of the time over the round's {}; blocks after \
             other work and once more right after, with their input just written, networks after one run of their own",
            self.passes,
            self.rounds,
            nets::REFERENCE,
            nets::REFERENCE
        );
        Header {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_string(),
            source: Source::Measured,
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
            host: Some(record::Host { cpu: host.cpu, cores: host.cores, memory: host.memory, os: host.os }),
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
        let work = self.work()?;
        let mut part = Part::open(out, &self.header(&work))?;
        if !self.blocks(&work, &mut part, clock, stop, &progress("blocks"))?
            || !self.nets(&work, &mut part, clock, stop, &progress("networks"))?
        {
            return Ok(None);
        }
        close(&mut part)?;
        Ok(Some(part.finish()?))
    }

    fn blocks(
        &self,
        work: &Work,
        part: &mut Part,
        clock: &dyn Clock,
        stop: &Stop,
        bar: &Progress,
    ) -> Result<bool, BuildError> {
        let known = part.known(|r| match r {
            Row::Block(b) => Some(&b.key),
            _ => None,
        });
        bar.begin(work.blocks.len() as u64, known.len() as u64);
        let left: Vec<&(String, Graph)> = work.blocks.iter().filter(|(k, _)| !known.contains(k)).collect();
        for (n, group) in left.chunks(GROUP).enumerate() {
            let graphs: Vec<Arc<Graph>> = group.iter().map(|(_, g)| Arc::new(g.clone())).collect();
            let Some((series, base)) = self.time(&graphs, work, self.how(true), clock, stop)? else { return Ok(false) };
            let rows = group.iter().zip(&series).map(|((key, _), s)| {
                Row::Block(row::Block {
                    key: key.clone(),
                    ms: stats::median(&s.ms).unwrap_or(f64::NAN),
                    ratio: Some(s.ratio()),
                    again: s.again(),
                    count: s.ms.len(),
                    spread: Some(s.spread()),
                })
            });
            part.append(rows.chain([Row::Rounds(base)]))?;
            bar.at((known.len() + (n * GROUP + group.len())) as u64, "");
        }
        bar.done();
        Ok(true)
    }

    fn nets(
        &self,
        work: &Work,
        part: &mut Part,
        clock: &dyn Clock,
        stop: &Stop,
        bar: &Progress,
    ) -> Result<bool, BuildError> {
        let known = part.known(|r| match r {
            Row::Net(n) => Some(&n.digest),
            _ => None,
        });
        bar.begin(work.nets.len() as u64, known.len() as u64);
        let left: Vec<&Chosen> = work.nets.iter().filter(|n| !known.contains(&n.digest)).collect();
        for (n, group) in left.chunks(NETS).enumerate() {
            let graphs: Vec<Arc<Graph>> = group.iter().map(|c| c.graph.clone()).collect();
            let Some((series, base)) = self.time(&graphs, work, self.how(false), clock, stop)? else {
                return Ok(false);
            };
            let rows = group.iter().zip(&series).map(|(c, s)| {
                Row::Net(row::Net {
                    set: c.set,
                    digest: c.digest.clone(),
                    genome: c.genome.clone(),
                    blocks: c.blocks.clone(),
                    ms: stats::median(&s.ms).unwrap_or(f64::NAN),
                    ratio: Some(s.ratio()),
                    count: s.ms.len(),
                    spread: Some(s.spread()),
                })
            });
            part.append(rows.chain([Row::Rounds(base)]))?;
            bar.at((known.len() + (n * NETS + group.len())) as u64, "");
        }
        bar.done();
        Ok(true)
    }

    /// Times graphs side by side with the reference; `None` if it was asked to stop.
    fn time(
        &self,
        graphs: &[Arc<Graph>],
        work: &Work,
        how: Rounds,
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
            let (series, reference) = rounds(clock, how, graphs.len(), &mut random, ready, run)?;
            all.iter_mut().zip(&series).for_each(|(a, s)| a.join(s));
            base.extend(reference);
        }
        let at = |q: f64| stats::quantile(&base, q).unwrap_or(f64::NAN);
        let latency = record::Latency { median_ms: at(0.5), p10_ms: at(0.1), p90_ms: at(0.9), samples: base.len() };
        let reference = Reference { model: nets::REFERENCE.to_string(), resolution: work.reference.1, latency };
        Ok(Some((all, reference)))
    }

    fn item(&self, graph: &Arc<Graph>) -> Result<Item, BuildError> {
        let store = ParamStore::init(graph, Names::Standalone, 0, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let session = self.engine.prepare(&net, self.setting)?;
        let input = blank(&net, self.setting.batch)?;
        // The image comes as images come; every other map as the block before leaves it.
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
fn close(part: &mut Part) -> Result<(), TableError> {
    let seen: Vec<&Reference> = part
        .rows
        .iter()
        .filter_map(|r| match r {
            Row::Rounds(r) => Some(r),
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
    part.append(reference.map(Row::Reference).into_iter().chain(validation.map(Row::Validation)))
}
