//! Ctrl-C and SIGTERM: the step at hand is finished and saved; a second one exits at once, as does a step that takes long.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long the step at hand may take.
pub const GRACE: Duration = Duration::from_secs(5);

/// Whether the user has asked to stop, and by which signal.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicI32>);

/// Exit code of a program that a signal ended, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
fn exit_code(signal: i32) -> i32 {
    128 + signal
}

/// Ends this process without what libtorch does at a program's end: its threads are still at work, and it would crash.
pub fn exit_at_once(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

impl Stop {
    /// Never asked.
    pub fn never() -> Stop {
        Stop::default()
    }

    /// Listens for the signals.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn on_signals() -> std::io::Result<Stop> {
        Stop::within(None)
    }

    /// Listens for the signals in a program whose work is safe at any moment: it ends [`GRACE`] after the first one, even in
    /// the middle of a step.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn within_seconds() -> std::io::Result<Stop> {
        Stop::within(Some(GRACE))
    }

    fn within(grace: Option<Duration>) -> std::io::Result<Stop> {
        let stop = Stop::default();
        let asked = stop.0.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if asked.swap(signal, Ordering::SeqCst) != 0 {
                    exit_at_once(exit_code(signal));
                }
                let latest = grace.map_or(String::new(), |grace| format!(", in {} s at the latest", grace.as_secs()));
                crate::errln!("\nstopping after this step{latest}; once more to stop at once");
                if let Some(grace) = grace {
                    std::thread::spawn(move || {
                        std::thread::sleep(grace);
                        crate::errln!("stopped in the middle of a step; the same command with --resume goes on");
                        exit_at_once(exit_code(signal));
                    });
                }
            }
        });
        Ok(stop)
    }

    /// Asks, as Ctrl-C does.
    pub fn ask(&self) {
        self.0.store(SIGINT, Ordering::SeqCst);
    }

    /// Asks, as SIGTERM does.
    pub fn terminate(&self) {
        self.0.store(SIGTERM, Ordering::SeqCst);
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
