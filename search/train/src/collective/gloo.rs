//! Several processes, by c10d on gloo.

use std::sync::Arc;
use std::time::Duration;

use mobilenas_native::{NativeError, Store, StoreAddress};
use mobilenas_torch::ProcessGroup;
use tch::{Device, Tensor};

use super::error::first_line;
use super::link::Link;
use super::{Collective, CollectiveError, Ranks};

/// How long processes wait for each other in the beginning.
const JOIN: Duration = Duration::from_secs(300);

/// How long a collective may take: a rank may have to wait for another one's file or images. One that has ended is noticed
/// at once, and one whose host is lost within a minute.
const COLLECTIVE: Duration = Duration::from_secs(1800);

/// How long the news of a rank that has ended may take to arrive where a collective has failed.
const NEWS: Duration = Duration::from_secs(8);

/// A process among several.
#[derive(Debug)]
pub struct Gloo {
    rank: usize,
    ranks: usize,
    local_rank: usize,
    group: Arc<ProcessGroup>,
    link: Link,
    // Rank 0 holds the store for the others; it lives as long as they may ask.
    _store: Store,
}

impl Gloo {
    /// Meets the other processes and connects to them.
    ///
    /// # Errors
    /// When not all come in time.
    pub fn join(of: &Ranks) -> Result<Gloo, CollectiveError> {
        let Ranks { rank, ranks, .. } = *of;
        let address = format!("{}:{}", of.address, of.port);
        let failed = |what: String| CollectiveError::Join { rank, ranks, address: address.clone(), what };
        let native = |e: NativeError| failed(first_line(&e));
        let at = StoreAddress {
            host: of.address.clone(),
            port: of.port,
            serve: rank == 0 && of.agent.is_none(),
            ranks,
            prefix: of.agent.clone().unwrap_or_else(|| "mobilenas".to_string()),
        };
        let store = Store::open(&at, JOIN).map_err(native)?;
        let link = Link::open(&store, of, JOIN).map_err(failed)?;
        let group = ProcessGroup::open(&store, (rank, ranks), link.address().as_deref(), COLLECTIVE).map_err(native)?;
        let local_rank = of.local_rank.unwrap_or(rank);
        let gloo = Gloo { rank, ranks, local_rank, group: Arc::new(group), link, _store: store };
        gloo.barrier()?;
        Ok(gloo)
    }

    /// Waits for all ranks.
    ///
    /// # Errors
    /// When one does not come in time: on rank 0 with their numbers.
    pub fn barrier(&self) -> Result<(), CollectiveError> {
        self.done("a barrier", self.group.monitored_barrier(COLLECTIVE))
    }

    /// Ends well, together with the others.
    ///
    /// # Errors
    /// When one of them does not come.
    pub fn leave(self) -> Result<(), CollectiveError> {
        self.barrier()?;
        self.link.leave();
        Ok(())
    }

    /// Tells the others why this process ends. What failed may be a collective inside of an operation, since another rank has
    /// ended: then the link hears of it, and ends this process with that news while it waits here.
    pub fn fail(&self, message: &str) {
        std::thread::sleep(NEWS / 4);
        self.link.fail(message);
    }

    fn done(&self, during: &'static str, result: Result<(), NativeError>) -> Result<(), CollectiveError> {
        result.map_err(|e| {
            // Usually another rank has ended, and the link knows which; then this process ends while it waits here.
            std::thread::sleep(NEWS);
            CollectiveError::Failed { rank: self.rank, during, what: first_line(&e) }
        })
    }

    /// Runs a collective on a tensor, on a copy in the CPU's memory where it is elsewhere.
    fn run(
        &self,
        during: &'static str,
        tensor: &Tensor,
        of: impl Fn(&Tensor) -> Result<(), NativeError>,
    ) -> Result<(), CollectiveError> {
        if tensor.device() == Device::Cpu && tensor.is_contiguous() {
            return self.done(during, of(tensor));
        }
        let _guard = tch::no_grad_guard();
        let staged = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        self.done(during, of(&staged))?;
        Ok(tensor.shallow_clone().f_copy_(&staged)?)
    }
}

impl Collective for Gloo {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn local_rank(&self) -> usize {
        self.local_rank
    }

    fn all_reduce(&self, tensor: &Tensor) -> Result<(), CollectiveError> {
        self.run("an all-reduce", tensor, |t| self.group.all_reduce(t))
    }

    fn broadcast(&self, tensor: &Tensor) -> Result<(), CollectiveError> {
        self.run("a broadcast", tensor, |t| self.group.broadcast(t))
    }

    fn lead(&self, order: &str) {
        self.link.lead(order);
    }

    fn follow(&self) -> Option<String> {
        (self.rank > 0).then(|| self.link.follow())
    }

    fn answer(&self, text: &str) {
        if self.rank > 0 {
            self.link.lead(text);
        }
    }

    fn answers(&self) -> Vec<String> {
        match self.rank {
            0 => (1..self.ranks).map(|_| self.link.follow()).collect(),
            _ => Vec::new(),
        }
    }

    fn group(&self) -> Option<&Arc<ProcessGroup>> {
        Some(&self.group)
    }
}
