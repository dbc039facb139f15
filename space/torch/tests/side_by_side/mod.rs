//! Tests over many networks: several networks side by side, each on one thread. The operations of small networks are too
//! short to be split: threads that share them mostly wait for each other.
#![allow(clippy::unwrap_used)]

use std::thread::available_parallelism;

use mobilenas_torch::threads;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// What `check` gives for each item, in their order. Gradients are off, or not, by `check` itself: that is a thread's matter.
pub fn side_by_side<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    check: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    let cores = available_parallelism().map_or(1, usize::from);
    let items: Vec<T> = items.into_iter().collect();
    threads::pool(cores, 1).unwrap().install(|| items.into_par_iter().map(check).collect())
}
