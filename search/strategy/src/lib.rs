//! Search strategies: which genomes to score next. A strategy is asked for genomes and told their scores. It sees the
//! choices of each knob, and never a network. One file each, one line in [`STRATEGIES`].

mod allocation;
pub mod analytic;
mod config;
mod kind;
mod mes_slimming;
mod nsga2;
mod predictor;
mod random;
mod regularized_evolution;
mod strategy;
#[cfg(test)]
mod tests;

pub use allocation::{Allocation, Allocator};
pub use config::StrategyConfig;
pub use kind::{Benchmark, Capabilities, Knob, Settings, SpaceInfo, StrategyError, StrategyKind};
pub use strategy::{Observation, Strategy};

/// All strategies. Random search comes first: the others are compared with it.
pub static STRATEGIES: &[StrategyKind] =
    &[random::KIND, regularized_evolution::KIND, nsga2::KIND, mes_slimming::KIND, predictor::KIND];

/// A strategy by name.
pub fn strategy(name: &str) -> Option<&'static StrategyKind> {
    STRATEGIES.iter().find(|k| k.name == name)
}
