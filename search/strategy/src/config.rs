//! A strategy as a config names it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value as Json};

use crate::{STRATEGIES, Settings, SpaceInfo, Strategy, StrategyError, StrategyKind, strategy};

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

    /// Its name, with what tells it from the same strategy with other settings.
    pub fn label(&self) -> String {
        let name = self.kind.name;
        self.settings.variation().map_or_else(|| name.to_string(), |variation| format!("{name}({variation})"))
    }

    /// Checks the number of objectives, or that the metrics that the settings need are among them.
    ///
    /// # Errors
    /// Found and expected.
    pub fn check_objectives(&self, objectives: &[&str]) -> Result<(), String> {
        let Some(needed) = self.settings.needed_objectives() else { return self.kind.check_number(objectives.len()) };
        match needed.into_iter().find(|metric| !objectives.contains(metric)) {
            Some(missing) => Err(format!(
                "found {}, expected {missing} among them: the gain of {}",
                objectives.join(", "),
                self.kind.name
            )),
            None => Ok(()),
        }
    }

    /// The metric that has to be the second objective, if one has to.
    pub fn second_objective(&self) -> Option<&'static str> {
        self.kind.capabilities.second_objective.filter(|_| self.settings.needed_objectives().is_none())
    }

    /// Checks the second objective.
    ///
    /// # Errors
    /// Found and expected, if the strategy needs another metric there.
    pub fn check_second(&self, objectives: &[&str]) -> Result<(), String> {
        match (self.second_objective(), objectives.get(1)) {
            (Some(expected), Some(&found)) if expected != found => {
                Err(format!("found {found:?}, expected {expected}: the second objective of {}", self.kind.name))
            }
            _ => Ok(()),
        }
    }

    /// The strategy, before its first trial.
    pub fn build(&self, space: &SpaceInfo) -> Box<dyn Strategy> {
        self.settings.build(space)
    }
}

impl StrategyKind {
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
