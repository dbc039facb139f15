//! What a config of `mobilenas train` says: one network, images, a recipe.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_space::families::{self, FAMILIES};
use mobilenas_space::{ChangeError, RESOLUTION, Space, SpaceConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataConfig, Device, HeadConfig, Recipe, TaskConfig, TaskName, defaults, nearest};
use crate::experiment::ExperimentError;

/// One network, trained from scratch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the training; the file's name without its ending if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Every random choice derives from it.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// Threads.
    #[serde(default = "defaults::threads")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: u32,
    /// Where it runs. Not part of what a training is: another device may go on with it.
    #[serde(default, skip_serializing)]
    pub device: Device,
    /// What it is trained for.
    #[serde(default, skip_serializing_if = "TaskName::is_classification")]
    pub task: TaskName,
    /// The head that it has in place of its classifier, for detection or segmentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
    /// Which network.
    pub network: Network,
    /// Which images.
    #[serde(default)]
    pub data: DataConfig,
    /// How its weights are trained.
    #[serde(default)]
    pub train: Recipe,
    /// Seconds between two checkpoints.
    #[serde(default = "defaults::checkpoint_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub checkpoint_seconds: f64,
}

/// A network: a published one, with other values of some knobs if wanted, or a genome's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// A published network (`mobilenas models` lists them).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Knobs of the published network's family and the values to give them; the others stay as published.
    pub knobs: BTreeMap<String, i64>,
    /// A genome, as runs write it for their winners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genome: Option<PathBuf>,
    /// Weights to begin with, of this very network; made anew if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl Network {
    /// The published network with its knobs changed, as a space of one network; `None` for others.
    ///
    /// Its side is the published one unless a head has its own.
    pub(super) fn design(&self, classes: u32, side: Option<u32>) -> Option<SpaceConfig> {
        let name = self.model.as_deref()?;
        let (family, _) = families::variant(name)?;
        let knobs = BTreeMap::new();
        let published =
            Space::new(&SpaceConfig { family: family.name().into(), width: 1.0, divisor: 8, knobs, classes }).ok()?;
        let mut values = published.values(&published.variant(name).ok()?);
        values.extend(side.map(|side| (RESOLUTION.to_string(), i64::from(side))));
        values.extend(self.knobs.clone());
        let knobs = values.into_iter().map(|(knob, value)| (knob, vec![value])).collect();
        Some(SpaceConfig { family: family.name().to_string(), width: 1.0, divisor: 8, knobs, classes })
    }

    /// The network for a number of classes, as a space of one.
    ///
    /// # Errors
    /// When the genome cannot be read, or the choices make no network.
    pub fn space(&self, classes: u32) -> Result<Space, ExperimentError> {
        self.with_head(&TaskConfig::default(), classes, true)
    }

    /// The same with the head of a task, whose logits are resized to the image where `whole`.
    ///
    /// # Errors
    /// As for [`Network::space`], and when the head does not fit.
    pub fn with_head(&self, task: &TaskConfig, classes: u32, whole: bool) -> Result<Space, ExperimentError> {
        let change = task.change(classes, whole);
        if let Some(file) = &self.genome {
            return Ok(super::genome::load_genome(file, classes, change)?);
        }
        let side = task.head().map(|head| head.resolution());
        let design = self.design(classes, side).ok_or(ExperimentError::Network { found: None })?;
        super::genome::changed(&design, change).map_err(|e| match e {
            ChangeError::Unfit(e) => e.into(),
            ChangeError::Space(all) => ExperimentError::Network {
                found: all.first().map(|e| format!("{}: found {}, expected {}", e.at.join("."), e.found, e.expected)),
            },
        })
    }
}

impl TrainConfig {
    /// What it is trained for.
    pub fn task_config(&self) -> TaskConfig {
        TaskConfig::new(self.task, self.head.as_ref())
    }

    /// Name of the training.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("train")
    }

    /// Mistakes that no single key shows, as path and message.
    pub(super) fn validate(&self) -> Vec<(Vec<String>, String)> {
        let n = &self.network;
        let mut all = Vec::new();
        let mut add = |key: &str, message: String| {
            all.push((["network", key].iter().filter(|k| !k.is_empty()).map(ToString::to_string).collect(), message));
        };
        match (&n.model, &n.genome) {
            (Some(_), Some(_)) => add("", "found two networks, expected one of model, genome".to_string()),
            (None, None) => add("", "found no network, expected one of model, genome".to_string()),
            (None, Some(_)) if !n.knobs.is_empty() => {
                add("knobs", "found some beside a genome, expected none: a genome has its own".to_string());
            }
            (Some(model), None) if families::variant(model).is_none() => {
                let names = FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id).collect::<Vec<_>>();
                let hint = nearest(model, names.iter().copied()).map(|n| format!("; did you mean {n}?"));
                let expected = "a published network (`mobilenas models` lists them)";
                add("model", format!("found {model:?}, expected {expected}{}", hint.unwrap_or_default()));
            }
            _ => {}
        }
        let at = |path: String| path.split('.').map(str::to_string).collect();
        all.extend(self.data.augment.validate().into_iter().map(|(key, m)| (at(format!("data.augment.{key}")), m)));
        all.extend(TaskConfig::head_mistakes(self.task, self.head.as_ref()));
        all.extend(self.task_config().recipe_mistakes(&self.data, &[("train", &self.train)]));
        all.extend(self.train.validate().into_iter().map(|(key, m)| (at(format!("train.{key}")), m)));
        all
    }
}
