//! Batches made ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::feed::Made;
use super::{Batch, Feed};
use crate::data::DataError;
use crate::train::TrainError;

/// The batches of successive steps, a few ahead: one thread and the feed's make them, another copies them into tensors
/// meanwhile. Dropping it stops and joins them: nothing runs on.
#[derive(Debug)]
pub struct Stream {
    batches: Option<Receiver<Result<Batch, TrainError>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
}

impl Stream {
    pub(super) fn new(feed: Feed, first: u64, end: u64, ahead: usize) -> Stream {
        // Nothing waits between the two, and the values go back to be written again: there are never more than two.
        let (send, values) = sync_channel(0);
        let (back, spare) = sync_channel(2);
        let (ready, batches) = sync_channel(ahead);
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let asked = stop.clone();
        let make = move || {
            for step in first..end {
                if asked.load(Ordering::Relaxed) {
                    return;
                }
                let one = feed.made(step, spare.try_recv().unwrap_or_default());
                let failed = one.is_err();
                // Nobody takes it any more, or it is the last.
                if send.send(one).is_err() || failed {
                    return;
                }
            }
        };
        let count = made.clone();
        let copy = move || {
            for one in values {
                let one: Result<Made, TrainError> = one;
                let batch = one.and_then(|one| {
                    let batch = one.batch();
                    // Where it is not taken back, the next is made anew.
                    let _ = back.try_send(one.values);
                    batch
                });
                count.fetch_add(1, Ordering::Relaxed);
                if ready.send(batch).is_err() {
                    return;
                }
            }
        };
        let run =
            |name: &str, work: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(work).ok();
        let threads = [run("batches", Box::new(make)), run("tensors", Box::new(copy))];
        Stream { batches: Some(batches), threads: threads.into_iter().flatten().collect(), stop, made }
    }

    /// The next step's batch; waits for it.
    ///
    /// # Errors
    /// When there are too many damaged images, libtorch refuses, or all steps have been given.
    pub fn take(&mut self) -> Result<Batch, TrainError> {
        let next = self.batches.as_ref().and_then(|b| b.recv().ok());
        next.unwrap_or_else(|| Err(DataError::Threads("no further batch comes".into()).into()))
    }

    /// Batches made so far, taken or not.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Who waits to hand over finds nobody there.
        drop(self.batches.take());
        for thread in self.threads.drain(..) {
            // It has nothing to say but what it has said in the batches.
            let _ = thread.join();
        }
    }
}
