//! Ctrl-C and SIGTERM: the step at hand is finished and saved; a second one exits at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU32>);

/// Exit code of a run that was asked to stop, as shells use it for an interrupt.
pub const EXIT_STOPPED: i32 = 130;

impl Stop {
    /// Never asked.
    pub fn never() -> Stop {
        Stop::default()
    }

    /// Listens for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> Result<Stop, ctrlc::Error> {
        let stop = Stop::default();
        let count = stop.0.clone();
        ctrlc::set_handler(move || {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                std::process::exit(EXIT_STOPPED);
            }
            eprintln!("\nstopping after this step; once more to stop at once");
        })?;
        Ok(stop)
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
