//! What the registry knows of a strategy, and a strategy as a config names it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mobilenas_space::Domain;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value as Json};

use crate::{STRATEGIES, Strategy, strategy};

/// Settings of a strategy: what a config says below the strategy's name.
pub trait Settings: erased_serde::Serialize + fmt::Debug + Send + Sync {
    /// Mistakes that types and ranges cannot express: the key of each below the strategy's name, and a message.
    fn validate(&self, _space: &SpaceInfo) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The strategy, before its first trial.
    fn build(&self, space: &SpaceInfo) -> Box<dyn Strategy>;
}

erased_serde::serialize_trait_object!(Settings);

/// What a strategy may know of a search space.
#[derive(Clone, Debug)]
pub struct SpaceInfo {
    /// Choices of each knob.
    pub domain: Domain,
    /// The knobs, in the domain's order.
    pub knobs: Vec<Knob>,
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

/// An entry of [`STRATEGIES`].
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

    /// The strategy with its default settings.
    pub fn config(&'static self) -> StrategyConfig {
        StrategyConfig { kind: self, settings: (self.default)() }
    }

    /// The strategy with the settings of its benchmark.
    ///
    /// # Errors
    /// When they do not match its schema; a test checks that all do.
    pub fn benchmark_config(&'static self) -> Result<StrategyConfig, StrategyError> {
        let settings = serde_json::from_str(self.benchmark.settings).and_then(self.read);
        let settings = settings.map_err(|source| StrategyError { strategy: self.name, source })?;
        Ok(StrategyConfig { kind: self, settings })
    }

    /// Checks the number of objectives.
    ///
    /// # Errors
    /// Found and expected, if it does not support the number.
    pub fn check_number(&self, objectives: usize) -> Result<(), String> {
        let range = &self.capabilities.objectives;
        let expected = match (*range.start(), *range.end()) {
            _ if range.contains(&objectives) => return Ok(()),
            (low, usize::MAX) => format!("at least {low}"),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        };
        Err(format!("found a list of {objectives}, expected {expected} for {}", self.name))
    }

    /// Checks the second objective.
    ///
    /// # Errors
    /// Found and expected, if it needs another metric there.
    pub fn check_second(&self, objectives: &[&str]) -> Result<(), String> {
        match (self.capabilities.second_objective, objectives.get(1)) {
            (Some(expected), Some(&found)) if expected != found => {
                Err(format!("found {found:?}, expected {expected}: the second objective of {}", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Settings that do not match a strategy's schema.
#[derive(Debug, thiserror::Error)]
#[error("settings of the benchmark of strategy {strategy}")]
pub struct StrategyError {
    strategy: &'static str,
    source: serde_json::Error,
}

/// A strategy with its settings, as a config names it: `{nsga2: {population: 20}}`.
#[derive(Clone, Debug)]
pub struct StrategyConfig {
    kind: &'static StrategyKind,
    settings: Arc<dyn Settings>,
}

impl StrategyConfig {
    /// Its entry in [`STRATEGIES`].
    pub fn kind(&self) -> &'static StrategyKind {
        self.kind
    }

    /// See [`Settings::validate`].
    pub fn validate(&self, space: &SpaceInfo) -> Vec<(String, String)> {
        self.settings.validate(space)
    }

    /// The strategy, before its first trial.
    pub fn build(&self, space: &SpaceInfo) -> Box<dyn Strategy> {
        self.settings.build(space)
    }
}

impl PartialEq for StrategyConfig {
    fn eq(&self, other: &StrategyConfig) -> bool {
        let settings = |c: &StrategyConfig| serde_json::to_value(&*c.settings).ok();
        self.kind.name == other.kind.name && settings(self) == settings(other)
    }
}

impl Serialize for StrategyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind.name, &*self.settings)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for StrategyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StrategyConfig, D::Error> {
        let mut map = BTreeMap::<String, Json>::deserialize(deserializer)?;
        let (Some((name, settings)), true) = (map.pop_first(), map.is_empty()) else {
            return Err(D::Error::custom("expected one strategy"));
        };
        let kind = strategy(&name).ok_or_else(|| D::Error::custom(format!("there is no strategy {name:?}")))?;
        let settings = (kind.read)(settings).map_err(|e| D::Error::custom(format!("strategy {name}: {e}")))?;
        Ok(StrategyConfig { kind, settings })
    }
}

impl JsonSchema for StrategyConfig {
    fn schema_name() -> Cow<'static, str> {
        "Strategy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut property = |kind: &StrategyKind| {
            let mut schema = (kind.schema)(generator);
            schema.insert("description".to_string(), kind.help.into());
            (kind.name.to_string(), Json::from(schema))
        };
        let properties: Map<String, Json> = STRATEGIES.iter().map(&mut property).collect();
        json_schema!({
            "type": "object",
            "description": "One strategy with its settings.",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "examples": [{ "random": {} }, { "nsga2": { "population": 20 } }],
        })
    }
}
