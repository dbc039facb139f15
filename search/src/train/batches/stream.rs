//! Batches made ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::{Batch, Feed};
use crate::data::DataError;
use crate::train::TrainError;

/// The batches of successive steps, made by a thread of its own and the feed's, a few ahead. Dropping it stops and joins
/// them: nothing runs on.
#[derive(Debug)]
pub struct Stream {
    batches: Option<Receiver<Result<Batch, TrainError>>>,
    maker: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
}

impl Stream {
    pub(super) fn new(feed: Feed, first: u64, end: u64, ahead: usize) -> Stream {
        let (send, batches) = sync_channel(ahead);
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked, count) = (stop.clone(), made.clone());
        let work = move || {
            for step in first..end {
                if asked.load(Ordering::Relaxed) {
                    return;
                }
                let batch = feed.at(step);
                let failed = batch.is_err();
                count.fetch_add(1, Ordering::Relaxed);
                // Nobody takes it any more, or it is the last.
                if send.send(batch).is_err() || failed {
                    return;
                }
            }
        };
        let maker = std::thread::Builder::new().name("batches".into()).spawn(work).ok();
        Stream { batches: Some(batches), maker, stop, made }
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
        // A maker that waits to hand over finds nobody there.
        drop(self.batches.take());
        if let Some(maker) = self.maker.take() {
            // It has nothing to say but what it has said in the batches.
            let _ = maker.join();
        }
    }
}
