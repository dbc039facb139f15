//! What a config of `mobilenas study` says: a search's config, and what is studied.

use mobilenas_bench::settings::LatencySource;
use mobilenas_record::metric::name as metric;
use mobilenas_strategy::{STRATEGIES, StrategyConfig, StrategyKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::Config;
use super::{MeasuredOn, SupernetRule, Weights};
use mobilenas_train::settings::RetrainInit;

/// A search's config and what is studied. The searches go by `search` (its objectives, bounds, trials), the last trainings
/// by `retrain` (its recipe, and `best`, the number of found networks).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct StudyConfig {
    /// The search.
    #[serde(flatten)]
    pub search: Config,
    /// What is studied.
    #[serde(default)]
    pub study: Study,
}

/// What is studied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    /// Networks drawn over the space, over each of several, spread over MACs, and trained from scratch; 0 leaves rank fidelity out.
    #[schemars(range(min = 0, max = 10000))]
    pub subnets: usize,
    /// Epochs of each of these trainings; those of `retrain` if left out.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub subnet_epochs: Option<f64>,
    /// Trainings of each drawn network, from the config's seed upwards; their mean is held against its inherited top-1.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "is_one")]
    pub subnet_seeds: u64,
    /// Rules that supernets are trained by, one supernet each; the searches are on the first's.
    #[schemars(length(min = 1))]
    pub rules: Vec<By>,
    /// Short trainings of each drawn network that begin with its inherited weights, under every rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finetune: Vec<StudyFinetune>,
    /// Strategies that search, beside `random` and that of `search.strategy`, which always do. All that support the number
    /// of objectives if left out.
    pub strategies: Vec<StrategyConfig>,
    /// Searches of each strategy, from the config's seed upwards; 0 leaves out the searches and what they would find.
    #[schemars(range(min = 0, max = 1000))]
    pub seeds: u64,
    /// Trainings of each find and of each published network, from the config's seed upwards; 0 leaves them out.
    #[schemars(range(min = 0, max = 1000))]
    pub retrain_seeds: u64,
    /// Rounds in which found networks, published networks and the reference are timed interleaved.
    #[schemars(range(min = 3, max = 10000))]
    pub rounds: usize,
    /// Trainings side by side, each in a process of its own. How many changes no result, and a study may go on with another
    /// number.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing)]
    pub workers: usize,
    /// Threads of each training; those of the config if left out. Small networks train fastest side by side with one.
    #[schemars(range(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
}

/// A short training that begins with inherited weights, by the recipe of `retrain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyFinetune {
    /// Steps of the optimizer.
    #[schemars(range(min = 1, max = 10000000))]
    pub steps: u64,
    /// Peak learning rate; that of `retrain` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 10))]
    pub lr: Option<f64>,
}

/// How a supernet is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// The rule.
    pub rule: SupernetRule,
    /// Epochs, which several spaces share; those of `supernet` if left out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub epochs: Option<f64>,
}

/// Whether a number is what it is by default: the digest of a config without it stays.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(n: &u64) -> bool {
    *n == 1
}

impl Default for Study {
    fn default() -> Study {
        let by = |rule| By { rule, epochs: None };
        Study {
            subnets: 24,
            subnet_epochs: None,
            subnet_seeds: 1,
            rules: vec![by(SupernetRule::Sandwich), by(SupernetRule::Uniform)],
            finetune: Vec::new(),
            strategies: STRATEGIES[1..].iter().map(StrategyKind::config).collect(),
            seeds: 5,
            retrain_seeds: 3,
            rounds: 30,
            workers: 1,
            threads: None,
        }
    }
}

/// What the searches of a study may be guided by beside the rest where latencies come from a table.
const BY_TABLE: [&str; 1] = [metric::LATENCY];

impl StudyConfig {
    /// Threads of a training.
    pub fn threads(&self) -> u32 {
        self.study.threads.unwrap_or(self.search.threads)
    }

    /// The strategies, each once: random search, that of the search, the others.
    pub fn strategies(&self) -> Vec<StrategyConfig> {
        let mut distinct = vec![STRATEGIES[0].config()];
        for s in std::iter::once(&self.search.search.strategy).chain(&self.study.strategies) {
            if !distinct.iter().any(|d| d.label() == s.label()) {
                distinct.push(s.clone());
            }
        }
        distinct
    }

    /// What the types alone cannot say: mistakes between values, each with its path.
    pub(super) fn validate(&self) -> Vec<(Vec<String>, String)> {
        let (mut all, c) = (self.search.validate(), &self.search);
        let mut add = |path: String, message: String| {
            all.push((path.split('.').map(str::to_string).collect(), message));
        };
        // What searches of a study may be guided by: nothing that depends on time.
        let accuracy = c.task_config().task().metrics()[0].name;
        let objectives = [accuracy, metric::MACS, metric::PARAMS, metric::MEMORY];
        if (1..3).contains(&self.study.subnets) {
            let found = self.study.subnets;
            add("study.subnets".into(), format!("found {found}, expected at least 3, or 0 for no rank fidelity"));
        }
        for (i, by) in self.study.rules.iter().enumerate() {
            if self.study.rules[..i].iter().any(|b| b.rule == by.rule) {
                add(
                    format!("study.rules.{i}.rule"),
                    format!("found {} twice, expected distinct rules", by.rule.name()),
                );
            }
        }
        for (i, f) in self.study.finetune.iter().enumerate() {
            if self.study.finetune[..i].iter().any(|other| other.steps == f.steps) {
                add(format!("study.finetune.{i}.steps"), format!("found {} twice, expected distinct numbers", f.steps));
            }
        }
        for (i, strategy) in self.study.strategies.iter().enumerate() {
            let (path, label) = (|| format!("study.strategies.{i}"), strategy.label());
            if self.study.strategies[..i].iter().any(|other| other.label() == label) {
                add(path(), format!("found {label} twice, expected distinct strategies"));
            }
            // In the place of its second objective a study may have another.
            if let Err(message) = strategy.check_objectives(&c.search.metrics()) {
                add(path(), message);
            }
        }
        let by_table = c.latency.source != LatencySource::Measured;
        for (i, o) in c.search.objectives.iter().enumerate() {
            let known = crate::metric::metric(&o.metric).is_some();
            let allowed = |list: &[&str]| list.contains(&o.metric.as_str());
            if known && !allowed(&objectives) && !(by_table && allowed(&BY_TABLE)) {
                let expected = format!(
                    "one of {}, or {} by a latency table: a study's searches are repeatable",
                    objectives.join(", "),
                    BY_TABLE.join(", ")
                );
                add(format!("search.objectives.{i}.metric"), format!("found {:?}, expected {expected}", o.metric));
            }
        }
        if c.search.objectives.first().is_none_or(|o| o.metric != accuracy) {
            let message = format!("found another first objective, expected {accuracy} in a study");
            add("search.objectives".into(), message);
        }
        if c.retrain.workers > 1 {
            let found = c.retrain.workers;
            add("retrain.workers".into(), format!("found {found}, expected none in a study: it has study.workers"));
        }
        if c.retrain.init != RetrainInit::Scratch {
            add("retrain.init".into(), "found supernet, expected scratch in a study".to_string());
        }
        if c.retrain.seeds > 1 {
            let found = c.retrain.seeds;
            add("retrain.seeds".into(), format!("found {found}, expected none in a study: it has study.retrain_seeds"));
        }
        match &c.workers {
            Some(workers) if workers.weights == Weights::Pipe => {
                let message = "found pipe, expected folder in a study: its trainings write into its folder";
                add("workers.weights".into(), message.into());
            }
            Some(_) if self.study.workers > 1 => {
                let found = self.study.workers;
                add("study.workers".into(), format!("found {found}, expected none beside the map workers"));
            }
            _ => {}
        }
        if c.latency.measured_on != MeasuredOn::Here {
            let message = "found another place, expected here in a study: it times networks interleaved";
            add("latency.measured_on".into(), message.into());
        }
        let timed = "found one, expected none in a study: its searches are repeatable";
        if c.search.bounds.latency_ms.is_some() {
            add("search.bounds.latency_ms".into(), timed.into());
        }
        if c.search.finetune.is_some() {
            add("search.finetune".into(), "found one, expected none in a study: it has study.finetune".into());
        }
        if c.search.landmarks > 0 {
            add("search.landmarks".into(), "found some, expected none in a study: it tries landmarks by itself".into());
        }
        if c.search.minutes.is_some() {
            add("search.minutes".into(), timed.into());
        }
        all
    }
}
