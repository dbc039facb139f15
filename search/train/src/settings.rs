//! Settings of supernets and of retraining.

use std::path::{Path, PathBuf};

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
    /// A trained network that the supernet begins with; random weights if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<SupernetInit>,
}

/// A trained network of the space, a published one or a found one, or a trained supernet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupernetInit {
    /// A published network of the space's family (`mobilenas models` lists them), scaled like the space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Or a genome, as runs write it for their winners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genome: Option<PathBuf>,
    /// Its weights: safetensors, or a state dict that torch.save wrote. Classifiers of another number of classes are
    /// initialised anew.
    #[serde(skip_serializing_if = "no_file")]
    pub weights: PathBuf,
    /// Or the supernet of a run, its `supernet.safetensors`: of the same widths, with a classifier or with the same head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supernet: Option<PathBuf>,
}

impl SupernetInit {
    /// What is wrong with it, if anything is.
    pub fn mistake(&self) -> Option<&'static str> {
        let named = [self.model.is_some(), self.genome.is_some(), self.supernet.is_some()];
        if named.into_iter().filter(|given| *given).count() != 1 {
            return Some("found no single network, expected model, genome or supernet");
        }
        match (self.supernet.is_some(), no_file(&self.weights)) {
            (false, true) => Some("found no weights, expected the file of its weights"),
            (true, false) => Some("found weights beside supernet, expected one of them"),
            _ => None,
        }
    }
}

fn no_file(path: &Path) -> bool {
    path.as_os_str().is_empty()
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
            init: None,
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

/// How winners are trained: one budget for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub struct RetrainConfig {
    /// How many found networks: for each published variant the best in the first objective that undercuts it in the
    /// others, then the rest of the front, best in the first objective first.
    #[schemars(range(min = 0, max = 1000))]
    pub best: usize,
    /// Whether the published variants that these networks stand against are trained, too. A study trains all variants.
    pub variants: bool,
    /// Trainings of each of these networks, with one seed each, so that error bars show the spread over seeds. Every network
    /// is trained with the first seed before one is with the second. A study has its own.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "is_one")]
    pub seeds: usize,
    /// Trainings side by side, each in a process of its own with `threads / workers` threads, at least one. Small networks
    /// train fastest with one. The number changes results only where it changes the threads of each. A study has its own.
    #[schemars(range(min = 1, max = 256))]
    #[serde(skip_serializing_if = "is_one")]
    pub workers: usize,
    /// The weights that they begin with. Landmarks begin with the same. A study trains from scratch.
    #[serde(skip_serializing_if = "RetrainInit::is_default")]
    pub init: RetrainInit,
    /// How their weights are trained.
    #[serde(flatten)]
    pub recipe: Recipe,
}

/// The weights that a winner's training begins with: new ones, or those that it inherits from the supernet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RetrainInit {
    #[default]
    Scratch,
    Supernet,
}

impl RetrainInit {
    fn is_default(&self) -> bool {
        *self == RetrainInit::default()
    }
}

impl Default for RetrainConfig {
    fn default() -> RetrainConfig {
        RetrainConfig {
            best: 3,
            variants: true,
            seeds: 1,
            workers: 1,
            init: RetrainInit::Scratch,
            recipe: Recipe::default(),
        }
    }
}

/// Whether a number is what it is by default: the digest of a config without it stays.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(n: &usize) -> bool {
    *n == 1
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
