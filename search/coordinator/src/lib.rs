//! Jobs for workers that come and go, on this machine and on others: who does which, what is tried again, and what is set
//! aside.
//!
//! [`Coordinator`] is a state machine: it is told what happened and when, and says what to do. It knows no process, no
//! clock and no file, so its tests drive it with a virtual clock. [`Pool`] drives it with processes, [`Serving`] is the
//! worker's side, and [`settings`] is what a config says of workers.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod coordinator;
mod hello;
mod launch;
mod line;
mod pool;
mod process;
pub mod room;
mod serve;
pub mod settings;

pub use coordinator::{Action, Coordinator, Death, Failure, Heard, Rules, SeatState, SeatStatus, WorkerId};
pub use hello::{Hello, PROTOCOL};
pub use launch::Needs;
pub use line::{Files, FromWorker, ToWorker};
pub use pool::{Pool, PoolConfig, PoolError};
pub use room::Room;
pub use serve::{STOPPED, ServeError, Serving};
