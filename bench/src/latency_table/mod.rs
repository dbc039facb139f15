//! Latency tables: the time of each distinct block of a space, and a line, fitted on whole networks, that turns the sum
//! over a network's blocks into its latency.
//!
//! A table is a file of JSON lines ([`row`]). It is built here ([`builder`]), or imported from times that were taken on
//! another device ([`import`], with the list that [`jobs`] writes). It holds its own [`row::Validation`].

pub mod builder;
mod device_timer;
pub mod file;
pub mod fit;
pub mod import;
pub mod jobs;
mod lookup;
pub mod networks;
pub mod on_engine;
mod partial;
pub mod row;
pub mod timer;
mod validate;

pub use file::{Table, TableError};
pub use lookup::{LatencyCost, LatencyCoster, TableRequirements};
