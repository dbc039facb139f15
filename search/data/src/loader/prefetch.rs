//! Batches made ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::Batch;
use crate::DataError;

/// The batches of successive steps, a few ahead: one thread and the loader's make them, another converts them meanwhile.
/// Dropping it stops and joins them.
#[derive(Debug)]
pub struct Prefetcher<T> {
    batches: Option<Receiver<Result<T, DataError>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
}

impl<T: Send + 'static> Prefetcher<T> {
    /// `make` gives the batch of a step and may write its pixel values over old ones.
    pub(super) fn new(
        make: impl Fn(u64, Vec<f32>) -> Result<Batch, DataError> + Send + 'static,
        (first, end): (u64, u64),
        ahead: usize,
        convert: impl Fn(&Batch) -> T + Send + 'static,
    ) -> Prefetcher<T> {
        // Nothing waits between the two, and the values go back to be written again: there are never more than two.
        let (send, values) = sync_channel::<Result<Batch, DataError>>(0);
        let (back, spare) = sync_channel(2);
        let (ready, batches) = sync_channel(ahead);
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let asked = stop.clone();
        let make_all = move || {
            for step in first..end {
                if asked.load(Ordering::Relaxed) {
                    return;
                }
                let one = make(step, spare.try_recv().unwrap_or_default());
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
                let batch = one.map(|one| {
                    let batch = convert(&one);
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
        let threads = [run("batches", Box::new(make_all)), run("convert", Box::new(copy))];
        Prefetcher { batches: Some(batches), threads: threads.into_iter().flatten().collect(), stop, made }
    }

    /// The next step's batch; waits for it.
    ///
    /// # Errors
    /// When there are too many damaged images, or all steps have been given.
    pub fn take(&mut self) -> Result<T, DataError> {
        let next = self.batches.as_ref().and_then(|b| b.recv().ok());
        next.unwrap_or_else(|| Err(DataError::Threads("no further batch comes".into())))
    }

    /// Batches made so far, taken or not.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Prefetcher<T> {
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
