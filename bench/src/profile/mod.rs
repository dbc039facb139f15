//! Profiles of networks on engines, for `mobilenas bench run`: time, throughput, cold start, memory.
//!
//! Each case runs in several fresh processes, one after the other, since speed differs between processes. In each:
//!
//! 1. the machine is watched, the idlest cores are chosen, and the process lives on them from its beginning;
//! 2. the network is prepared and runs once: the cold start;
//! 3. the warm-up: windows of calls until their medians agree ([`rules::WarmupRule`]), or its time is over;
//! 4. windows of samples until the interval of the median is narrow ([`rules::SampleRule`]), or the time is over; beside each
//!    window what the machine did;
//! 5. memory, when nothing is timed any more.
//!
//! Processes follow until the interval of the median over processes is narrow ([`rules::ProcessRule`]). No sample is
//! dropped: those of a noisy window are flagged ([`crate::noise`]), and a row is marked unreliable, with the reasons
//! ([`record`]).

mod case;
mod measure;
pub mod output;
pub mod process_run;
pub mod record;
pub mod rules;
pub mod settings;

pub use case::ProfileCase;
pub use measure::measure;

#[cfg(test)]
mod tests;
