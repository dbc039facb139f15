//! Times graphs on this machine.
//!
//! A block is prepared as the engine prepares a whole network, so it is fused as it would run. Each round times it
//! twice: with cold caches, after other blocks have run, and with warm ones, right after. Both times its input has just
//! been written, as by the block before it. The share of each in the block's time is fitted on whole networks.

use std::sync::Arc;

use mobilenas_host::{Clock, Stop};
use mobilenas_record::run as record;
use mobilenas_space::ir::{Graph, Value};
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_torch::{Names, Net, NetError, Owned, ParamStore, Values};
use tch::{Device, Tensor};

use super::networks::REFERENCE;
use super::row::TableSource;
use super::timer::{BuildError, GROUP, NETS, Place, Timed, Timer};
use crate::engine::{Engine, EngineError, Session, Setting, blanks, enough_cores};
use crate::{Host, Interleaving, Series, interleave};

/// An engine on this machine.
pub struct OnEngine<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// Threads and batch.
    pub setting: Setting,
    /// Rounds of one pass.
    pub rounds: usize,
    /// Passes; each prepares all graphs anew, since a speed depends on where in memory they lie.
    pub passes: usize,
    /// What random orders derive from.
    pub seed: u64,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Whether the user asks to stop.
    pub stop: &'a Stop,
}

/// A prepared graph and what it reads.
struct Item {
    session: Box<dyn Session>,
    inputs: Vec<Tensor>,
}

impl Timer for OnEngine<'_> {
    fn engine(&self) -> record::Engine {
        let protocol = format!(
            "{} passes of {} rounds, in each every block or network once and {REFERENCE} twice, in random order; up to \
             {GROUP} blocks or {NETS} networks side by side; medians over rounds of the time over the round's {REFERENCE}; \
             blocks after other work and once more right after, with their input just written, networks after one run of \
             their own",
            self.passes, self.rounds
        );
        record::Engine {
            name: self.engine.name().to_string(),
            version: self.engine.version(),
            precision: self.engine.precision().to_string(),
            threads: self.setting.threads,
            batch: self.setting.batch,
            protocol,
            table: None,
        }
    }

    fn place(&self) -> Place {
        Place { source: TableSource::Measured, host: Some(Host::read().machine), device: None }
    }

    fn takes_several(&self) -> bool {
        self.engine.takes_several()
    }

    fn time(
        &mut self,
        graphs: &[Arc<Graph>],
        reference: &Arc<Graph>,
        twice: bool,
        at: &dyn Fn(&str),
    ) -> Result<Option<Timed>, BuildError> {
        enough_cores(self.setting.threads)?;
        // Networks run once in a round, after a run that is not timed.
        let how = Interleaving { rounds: self.rounds, warm: 3, lead: usize::from(!twice), again: twice, references: 2 };
        let (mut all, mut base) = (vec![Series::default(); graphs.len()], Vec::new());
        for pass in 0..self.passes as u64 {
            let mut items: Vec<Item> = Vec::with_capacity(graphs.len() + 1);
            for graph in graphs.iter().chain([reference]) {
                // An engine that converts takes seconds for each.
                if self.stop.asked() {
                    return Ok(None);
                }
                at(&format!("preparing {} of {}", items.len() + 1, graphs.len() + 1));
                items.push(self.item(graph)?);
            }
            at("");
            // One order for each pass; which one does not matter to a group that is timed again.
            let mut random = rng(self.seed, Purpose::Timing, 3, pass);
            let inputs: Vec<Vec<Tensor>> =
                items.iter().map(|i| i.inputs.iter().map(Tensor::shallow_clone).collect()).collect();
            let ready = |i: usize| -> Result<(), EngineError> {
                let mut all = inputs[i].iter().map(Tensor::shallow_clone);
                all.try_for_each(|mut input| input.f_zero_().map(drop)).map_err(torch)
            };
            let run = |i: usize| -> Result<(), EngineError> {
                let item = &mut items[i];
                item.session.run_block(&item.inputs).map(drop)
            };
            let (series, reference) = interleave(self.clock, how, graphs.len(), &mut random, ready, run)?;
            all.iter_mut().zip(&series).for_each(|(a, s)| a.join(s));
            base.extend(reference);
        }
        Ok(Some(Timed { series: all, reference: base, seen: None }))
    }
}

impl OnEngine<'_> {
    fn item(&self, graph: &Arc<Graph>) -> Result<Item, BuildError> {
        let store = ParamStore::with(graph, Names::Standalone, Values::Quick, Device::Cpu)?;
        let net = Net::bind(graph.clone(), &Owned(&store))?;
        let session = self.engine.prepare(&net, self.setting)?;
        let laid_out = |(value, input): (&Value, Tensor)| {
            // Images are contiguous; other feature maps have the layout that the block before leaves.
            let inner = value.hw().is_some() && value.channels() != 3;
            if !(inner && self.engine.channels_last()) {
                return Ok(input);
            }
            let last = input.f_permute([0, 2, 3, 1]).and_then(|t| t.f_contiguous());
            last.and_then(|t| t.f_permute([0, 3, 1, 2])).map_err(torch)
        };
        let blank = blanks(&net, self.setting.batch)?;
        let inputs = graph.inputs().zip(blank).map(laid_out).collect::<Result<_, EngineError>>()?;
        Ok(Item { session, inputs })
    }
}

fn torch(e: tch::TchError) -> EngineError {
    EngineError::Net(NetError::Torch { at: "images".into(), message: e.to_string() })
}
