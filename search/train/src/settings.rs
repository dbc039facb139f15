//! Settings of supernets and of retraining.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// Training of the supernet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct SupernetConfig {
    /// How its weights are trained.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Which subnets a step trains.
    pub rule: SupernetRule,
    /// Random subnets in a step of the sandwich, beside the largest and the smallest.
    #[schemars(range(min = 0, max = 16))]
    pub random_subnets: u32,
    /// What subnets but the largest learn.
    pub distill_subnets: SubnetLoss,
    /// Kinds of knobs (the last part of their names) in the order in which progressive training opens them; the others open
    /// in the end.
    pub progressive_order: Vec<String>,
    /// Whether subnets share batch norms, or each number of channels of a batch norm has weights and statistics of its own.
    pub batch_norms: BatchNorms,
}

impl Default for SupernetConfig {
    fn default() -> SupernetConfig {
        SupernetConfig {
            recipe: Recipe::default(),
            rule: SupernetRule::Sandwich,
            random_subnets: 2,
            distill_subnets: SubnetLoss::Kl,
            progressive_order: ["resolution", "kernel", "depth", "expand", "width"].map(String::from).to_vec(),
            batch_norms: BatchNorms::Shared,
        }
    }
}

/// Which subnets a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SupernetRule {
    Sandwich,
    Uniform,
    Progressive,
}

/// Batch norms of a supernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum BatchNorms {
    Shared,
    PerWidth,
}

/// What subnets learn: the labels, or the largest one's predictions by the Kullback-Leibler or the clipped adaptive
/// alpha-divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SubnetLoss {
    Labels,
    Kl,
    Alpha,
}

/// How winners are trained from scratch: one budget for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct RetrainConfig {
    /// How many found networks: for each published variant the best in the first objective that undercuts it in the
    /// others, then the rest of the front, best in the first objective first.
    #[schemars(range(min = 0, max = 1000))]
    pub best: usize,
    /// Whether the published variants that these networks stand against are trained, too.
    pub variants: bool,
    /// How their weights are trained.
    #[serde(flatten)]
    pub recipe: Recipe,
}

impl Default for RetrainConfig {
    fn default() -> RetrainConfig {
        RetrainConfig { best: 3, variants: true, recipe: Recipe::default() }
    }
}

impl SupernetRule {
    /// Its name in configs.
    pub fn name(self) -> &'static str {
        match self {
            SupernetRule::Sandwich => "sandwich",
            SupernetRule::Uniform => "uniform",
            SupernetRule::Progressive => "progressive",
        }
    }
}
