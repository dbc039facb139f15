//! What the registry knows of a strategy.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mobilenas_space::Domain;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::strategy::Strategy;

/// Settings of a strategy: what a config says below the strategy's name.
pub trait Settings: erased_serde::Serialize + fmt::Debug + Send + Sync {
    /// Mistakes that types and ranges cannot express: the key of each below the strategy's name, and a message.
    fn validate(&self, _space: &SpaceInfo) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The strategy, before its first trial.
    fn build(&self, space: &SpaceInfo) -> Box<dyn Strategy>;

    /// Metrics that these settings need among the objectives, of which there may then be any number. `None` for what the
    /// strategy needs whatever its settings.
    fn needed_objectives(&self) -> Option<Vec<&str>> {
        None
    }

    /// What tells the strategy from the same one with other settings, where a study compares both.
    fn variation(&self) -> Option<String> {
        None
    }
}

erased_serde::serialize_trait_object!(Settings);

/// What a strategy may know of a search space.
#[derive(Clone, Debug)]
pub struct SpaceInfo {
    /// Choices of each knob.
    pub domain: Domain,
    /// The knobs, in the domain's order.
    pub knobs: Vec<Knob>,
    /// Metrics of the objectives, in the order of an observation's scores.
    pub objectives: Vec<String>,
}

/// A knob of a search space.
#[derive(Clone, Debug)]
pub struct Knob {
    /// Its name, such as `stages.2.width`.
    pub name: String,
    /// Its kind, such as `width`.
    pub kind: &'static str,
}

/// What a strategy can work with. It is checked when a config is read, before anything is trained.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Numbers of objectives that it supports.
    pub objectives: RangeInclusive<usize>,
    /// The metric that has to be the second objective, if it needs one. A study may use another metric in its place.
    pub second_objective: Option<&'static str>,
    /// Whether its genomes are scored as they are, even if infeasible or already scored. Otherwise others are drawn.
    pub exact: bool,
}

impl Capabilities {
    /// Any number of objectives; infeasible and known genomes are replaced.
    pub const ANY: Capabilities = Capabilities { objectives: 1..=usize::MAX, second_objective: None, exact: false };
}

/// How `mobilenas bench search` runs a strategy.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// Settings, in JSON.
    pub settings: &'static str,
    /// Candidates of a search, at most.
    pub max_candidates: usize,
    /// Candidates asked for at a time.
    pub batch: usize,
}

impl Benchmark {
    /// Default settings, 100 candidates at a time.
    pub const DEFAULT: Benchmark = Benchmark { settings: "{}", max_candidates: usize::MAX, batch: 100 };
}

/// An entry of [`STRATEGIES`](crate::STRATEGIES).
#[derive(Debug)]
pub struct StrategyKind {
    /// Its name in configs.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What it can work with.
    pub capabilities: Capabilities,
    /// How it is benchmarked.
    pub benchmark: Benchmark,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) read: fn(Json) -> serde_json::Result<Arc<dyn Settings>>,
    pub(crate) default: fn() -> Arc<dyn Settings>,
}

impl StrategyKind {
    /// A strategy with these settings and no restrictions.
    pub const fn new<S>(name: &'static str, help: &'static str) -> StrategyKind
    where
        S: Settings + Default + DeserializeOwned + JsonSchema + 'static,
    {
        StrategyKind {
            name,
            help,
            capabilities: Capabilities::ANY,
            benchmark: Benchmark::DEFAULT,
            schema: |generator| generator.subschema_for::<S>(),
            read: |json| Ok(Arc::new(serde_json::from_value::<S>(json)?)),
            default: || Arc::new(S::default()),
        }
    }

    /// Checks the number of objectives.
    ///
    /// # Errors
    /// Found and expected, if it does not support the number.
    pub(crate) fn check_number(&self, objectives: usize) -> Result<(), String> {
        let range = &self.capabilities.objectives;
        let expected = match (*range.start(), *range.end()) {
            _ if range.contains(&objectives) => return Ok(()),
            (low, usize::MAX) => format!("at least {low}"),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        };
        Err(format!("found a list of {objectives}, expected {expected} for {}", self.name))
    }
}

/// Settings that do not match a strategy's schema.
#[derive(Debug, thiserror::Error)]
#[error("settings of the benchmark of strategy {strategy}")]
pub struct StrategyError {
    pub(crate) strategy: &'static str,
    pub(crate) source: serde_json::Error,
}
