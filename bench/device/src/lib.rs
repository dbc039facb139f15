//! Times from another device: files go there, a program there runs them, and what it prints is read. No libtorch.
//!
//! A [`Link`] is the way to a device. One file each, one line in [`DEVICES`]. A [`Runner`] says what runs a network there
//! and how its output is read; [`TOOLS`] knows some benchmark programs. A [`Session`] is a device at work.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod adb;
mod command;
mod config;
mod error;
mod kind;
mod link;
mod output;
mod pauses;
mod process;
mod record;
mod runner;
mod session;
mod shell;
mod ssh;
mod state;
mod tools;

pub use config::DeviceConfig;
pub use error::DeviceError;
pub use kind::{DeviceKind, Settings};
pub use link::Link;
pub use output::{Read, Statistic, Unit};
pub use record::DeviceRecord;
pub use runner::{Conversion, Runner};
pub use session::{Network, Session, Surroundings, rest};
pub use state::{Condition, Range, Seen};
pub use tools::{TOOLS, Tool};

/// All ways to a device.
pub static DEVICES: &[DeviceKind] = &[command::KIND, ssh::KIND, adb::KIND];

/// A way to a device by its name.
pub fn device(name: &str) -> Option<&'static DeviceKind> {
    DEVICES.iter().find(|k| k.name == name)
}
