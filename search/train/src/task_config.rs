//! What networks are trained for.

use std::sync::Arc;

use mobilenas_data::settings::{AugmentConfig, DataConfig};
use mobilenas_heads::{Head, HeadConfig, HeadOptions, WithHead};
use mobilenas_space::PlanChange;
use mobilenas_task::{Classification, Task, of_head};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipe::{DistillConfig, Recipe};

/// What networks are trained for: a class for each image, boxes, or a class for each pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TaskName {
    #[default]
    Classification,
    Detection,
    Segmentation,
}

/// A task with the head that networks have for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskConfig {
    name: TaskName,
    config: HeadConfig,
}

impl TaskName {
    /// Whether it is the default: the digest of a config without it stays.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_classification(&self) -> bool {
        *self == TaskName::Classification
    }

    fn of_heads(self) -> Option<mobilenas_heads::Task> {
        match self {
            TaskName::Classification => None,
            TaskName::Detection => Some(mobilenas_heads::Task::Detection),
            TaskName::Segmentation => Some(mobilenas_heads::Task::Segmentation),
        }
    }
}

impl TaskConfig {
    /// A task, and what a config says of its head.
    pub fn new(name: TaskName, config: Option<&HeadConfig>) -> TaskConfig {
        TaskConfig { name, config: config.cloned().unwrap_or_default() }
    }

    /// The head; none for classification.
    pub fn head(&self) -> Option<&'static dyn Head> {
        self.name.of_heads().and_then(|task| self.config.head(task))
    }

    /// The task.
    pub fn task(&self) -> &'static dyn Task {
        self.head().map_or(&Classification, |head| of_head(head, &self.config.options(0)))
    }

    /// Classes of the networks for images of so many: a detector's count the background.
    pub fn classes(&self, of_images: usize) -> u32 {
        of_images as u32 + u32::from(self.name == TaskName::Detection)
    }

    /// The head, and how it is made for training and scoring.
    pub fn head_with_options(&self) -> Option<(&'static dyn Head, HeadOptions)> {
        self.head().map(|head| (head, HeadOptions { upsample: false, ..self.config.options(0) }))
    }

    /// What gives networks for so many classes the head; none for classification. Their logits are resized to the image where
    /// `whole`; training and scoring resize the small ones to what they are compared with.
    pub fn change(&self, classes: u32, whole: bool) -> Option<Arc<dyn PlanChange>> {
        let head = self.head()?;
        let options = HeadOptions { upsample: whole, ..self.config.options(classes) };
        Some(Arc::new(WithHead { head, options }))
    }

    /// What goes into weights files.
    pub fn words(&self) -> Option<[(&'static str, String); 2]> {
        self.head().map(|head| [("task", head.task().name().to_string()), ("head", head.name().to_string())])
    }

    /// Mistakes of a config about the head.
    pub fn head_mistakes(name: TaskName, head: Option<&HeadConfig>) -> Vec<(Vec<String>, String)> {
        let at = |path: &str| path.split('.').map(str::to_string).collect();
        match (name.of_heads(), head) {
            (None, Some(_)) => {
                vec![(at("head"), "found a head, expected none for classification".to_string())]
            }
            (Some(task), Some(HeadConfig { name: Some(named), .. })) if named.head().task() != task => {
                let (head, is) = (named.head().name(), named.head().task().name());
                vec![(at("head.name"), format!("found {head}, a head for {is}, expected one for {}", task.name()))]
            }
            _ => Vec::new(),
        }
    }

    /// The same task with the head of a teacher, if it says one.
    pub(crate) fn of_teacher(&self, head: Option<&HeadConfig>) -> TaskConfig {
        TaskConfig { name: self.name, config: head.unwrap_or(&self.config).clone() }
    }

    /// Mistakes of a recipe about what teaches networks with a head: path below `distill`, and message.
    fn teacher_mistakes(&self, how: &DistillConfig) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        let Some(head) = self.head() else {
            all.extend(
                how.head.as_ref().map(|_| (".head", "found a head, expected none for classification".to_string())),
            );
            return all;
        };
        if how.torchscript.is_some() {
            let message = "found a program, expected model and weights: its outputs have no names".to_string();
            all.push((".torchscript", message));
        }
        let theirs = how.head.as_ref().and_then(|h| self.name.of_heads().and_then(|task| h.head(task)));
        if let Some(theirs) = theirs.filter(|theirs| theirs.task() != head.task()) {
            let (name, is, task) = (theirs.name(), theirs.task().name(), head.task().name());
            all.push((".head.name", format!("found {name}, a head for {is}, expected one for {task}")));
        } else if let Some(theirs) = theirs.filter(|h| self.name == TaskName::Detection && h.name() != head.name()) {
            let (found, expected) = (theirs.name(), head.name());
            all.push((
                ".head.name",
                format!("found {found}, expected {expected}: detectors have anchors of their own"),
            ));
        }
        if let Some(side) = how.resolution.filter(|_| self.name == TaskName::Detection) {
            let message = format!("found {side}, expected none: anchors of different resolutions cannot be compared");
            all.push((".resolution", message));
        }
        all
    }

    /// Mistakes of a recipe that is for another task.
    pub fn recipe_mistakes(&self, data: &DataConfig, sections: &[(&str, &Recipe)]) -> Vec<(Vec<String>, String)> {
        let name = self.name;
        let mut all = Vec::new();
        let mut add = |path: String, message: String| {
            all.push((path.split('.').map(str::to_string).collect(), message));
        };
        let augments = std::iter::once(("data", Some(&data.augment)))
            .chain(sections.iter().map(|(section, recipe)| (*section, recipe.augment.as_ref())));
        for (section, augment) in augments {
            let Some(augment) = augment else { continue };
            let other = match name {
                TaskName::Classification => of_dense(augment),
                TaskName::Detection => augment.segmentation.is_some().then_some("segmentation"),
                TaskName::Segmentation => augment.detection.is_some().then_some("detection"),
            };
            if let Some(key) = other {
                let task = name.of_task();
                add(
                    format!("{section}.augment.{key}"),
                    format!("found that of {key}, expected none, or that of {task}"),
                );
            }
            if name != TaskName::Classification && (augment.mixup > 0.0 || augment.cutmix > 0.0) {
                let key = if augment.mixup > 0.0 { "mixup" } else { "cutmix" };
                add(format!("{section}.augment.{key}"), "found it on, expected 0: classes alone are mixed".to_string());
            }
        }
        for (section, recipe) in sections {
            let Some(how) = &recipe.distill else { continue };
            for (key, message) in self.teacher_mistakes(how) {
                add(format!("{section}.distill{key}"), message);
            }
            let sampler = recipe.sampler.as_ref().unwrap_or(&data.sampler);
            if name == TaskName::Detection && sampler.multi_scale.is_some() {
                let message = "found a teacher, expected none with sampler.multi_scale: anchors of different \
                               resolutions cannot be compared";
                add(format!("{section}.distill"), message.to_string());
            }
        }
        for (section, recipe) in sections.iter().filter(|_| name != TaskName::Classification) {
            if recipe.head_dropout > 0.0 {
                let found = recipe.head_dropout;
                add(format!("{section}.head_dropout"), format!("found {found}, expected 0: heads have no classifier"));
            }
        }
        all
    }
}

impl TaskName {
    fn of_task(self) -> &'static str {
        self.of_heads().map_or("classification", mobilenas_heads::Task::name)
    }
}

fn of_dense(augment: &AugmentConfig) -> Option<&'static str> {
    match (&augment.detection, &augment.segmentation) {
        (Some(_), _) => Some("detection"),
        (None, Some(_)) => Some("segmentation"),
        (None, None) => None,
    }
}
