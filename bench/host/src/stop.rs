//! Ctrl-C and SIGTERM: the step at hand is finished and saved; a second one exits at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the user has asked to stop, and by which signal.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicI32>);

/// Exit code of a program that a signal ended, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
fn exit_code(signal: i32) -> i32 {
    128 + signal
}

impl Stop {
    /// Never asked.
    pub fn never() -> Stop {
        Stop::default()
    }

    /// Listens for the signals in a process that works for another one, which decides what a second signal means.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn of_a_worker() -> std::io::Result<Stop> {
        let stop = Stop::default();
        let (asked, mut signals) = (stop.0.clone(), Signals::new([SIGINT, SIGTERM])?);
        std::thread::spawn(move || signals.forever().for_each(|signal| asked.store(signal, Ordering::SeqCst)));
        Ok(stop)
    }

    /// Listens for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> std::io::Result<Stop> {
        let stop = Stop::default();
        let asked = stop.0.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if asked.swap(signal, Ordering::SeqCst) != 0 {
                    // Without what libtorch does at a program's end: its threads are still at work, and it would crash.
                    signal_hook::low_level::exit(exit_code(signal));
                }
                crate::errln!("\nstopping after this step; once more to stop at once");
            }
        });
        Ok(stop)
    }

    /// Asks, as Ctrl-C does.
    pub fn ask(&self) {
        self.0.store(SIGINT, Ordering::SeqCst);
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Exit code of a program that stopped because it was asked to.
    pub fn exit_code(&self) -> i32 {
        exit_code(self.0.load(Ordering::SeqCst))
    }
}
