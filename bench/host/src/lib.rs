//! What touches the operating system: clocks, signals, progress bars, memory, load, settings of the C runtime. No libtorch.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cache;
pub mod clock;
pub mod json_file;
pub mod load;
pub mod lock;
pub mod memory;
pub mod output;
pub mod problems;
pub mod program;
pub mod progress;
pub mod runtime_env;
pub mod stop;
pub mod worker;
pub mod write;

pub use clock::{Clock, FakeClock, WallClock, time_ms, unix_now};
pub use lock::{Lock, LockError};
pub use output::OutputError;
pub use problems::{Problem, Problems, nearest, printable};
pub use progress::Progress;
pub use stop::Stop;
pub use worker::{Worker, WorkerError};
