//! How weights are trained: the keys that supernets, winners and single networks share, and the recipes that ship.

use std::path::PathBuf;

use mobilenas_heads::HeadConfig;
use mobilenas_space::ir::Regularization;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use mobilenas_data::settings::{AugmentConfig, SamplerConfig};

/// How weights are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Recipe {
    /// A recipe that ships (configs/recipes); the other keys change it.
    #[serde(rename = "recipe")]
    pub base: Option<RecipeName>,
    /// Epochs; may be a fraction.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 100000))]
    pub epochs: f64,
    /// Images in a step.
    #[schemars(range(min = 2, max = 65536))]
    pub batch: usize,
    /// Batches whose gradients are added up before a step of the optimizer.
    #[schemars(range(min = 1, max = 4096))]
    pub grad_accum_steps: u32,
    /// What turns gradients into steps.
    pub optimizer: OptimizerConfig,
    /// Peak learning rate.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 10))]
    pub lr: f64,
    /// Learning rate at the end.
    #[schemars(range(min = 0, max = 10))]
    pub min_lr: f64,
    /// The peak is for so many images in a step of the optimizer and scales with them; not scaled if left out.
    #[schemars(range(min = 1, max = 1000000))]
    pub lr_base_size: Option<u32>,
    /// Epochs of linear warm-up.
    #[schemars(range(min = 0, max = 100000))]
    pub warmup: f64,
    /// Steps of linear warm-up, instead of epochs.
    #[schemars(range(min = 0, max = 100000000))]
    pub warmup_steps: Option<u64>,
    /// Learning rate that the warm-up begins at; one step's share of the peak if left out.
    #[schemars(range(min = 0, max = 10))]
    pub warmup_lr: Option<f64>,
    /// Epochs at the lowest learning rate, after the others.
    #[schemars(range(min = 0, max = 100000))]
    pub cooldown: f64,
    /// How the learning rate falls after the warm-up.
    #[serde(skip_serializing_if = "is_cosine")]
    pub lr_schedule: Decay,
    /// Whether the learning rate moves with every step or every epoch.
    pub schedule_interval: Per,
    /// Weight decay.
    #[schemars(range(min = 0, max = 10))]
    pub weight_decay: f64,
    /// Whether norms, biases and tables decay too.
    pub decay_all: bool,
    /// How gradients are clipped.
    pub clip: ClipConfig,
    /// Share of the averaged weights (EMA) that stays in a step; none are kept if left out. All state is averaged, and the
    /// averages are what is scored and saved.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 0.9999999))]
    pub ema: Option<f64>,
    /// Label smoothing.
    #[schemars(range(min = 0, max = 0.9))]
    pub label_smoothing: f64,
    /// Dropout on what transformers add to their input.
    #[schemars(range(min = 0, max = 0.9))]
    pub dropout: f64,
    /// Dropout before the classifier.
    #[schemars(range(min = 0, max = 0.9))]
    pub head_dropout: f64,
    /// Share of images whose last residual branch is dropped, rising from 0 at the first; the family's own if left out.
    #[schemars(range(min = 0, max = 0.9))]
    pub drop_path: Option<f64>,
    /// Precision of convolutions, linear layers and products; weights and norms stay in float32.
    pub precision: Precision,
    /// Whether batch norms are trained over the batches of all processes, where there are several: then the result does not
    /// depend on their number but for rounding. Else each takes its own, and their running statistics are averaged.
    #[serde(skip_serializing_if = "is_false")]
    pub sync_batch_norms: bool,
    /// A teacher to learn from, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
    /// Augmentation of this training; if left out, that of `data`, or the recipe's where `data` says none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<AugmentConfig>,
    /// Which images a step takes; if left out, as `data` says, or as the recipe does where `data` says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<SamplerConfig>,
    /// Steps in a row whose loss or gradient is not finite before the training goes back to its last checkpoint.
    #[schemars(range(min = 1, max = 1000000))]
    pub max_nonfinite_steps: u32,
}

/// A recipe that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RecipeName {
    Mobilevit,
    Mobilevitv2,
    Mobilevitv3,
    Efficientformerv2,
    SsdliteCvnets,
    Deeplabv3Cvnets,
    PspnetCvnets,
    SemanticFpnSnap,
    MaskRcnnSnap,
    Small,
}

impl RecipeName {
    /// Its YAML.
    pub fn text(self) -> &'static str {
        match self {
            RecipeName::Mobilevit => include_str!("../../../configs/recipes/mobilevit.yaml"),
            RecipeName::Mobilevitv2 => include_str!("../../../configs/recipes/mobilevitv2.yaml"),
            RecipeName::Mobilevitv3 => include_str!("../../../configs/recipes/mobilevitv3.yaml"),
            RecipeName::Efficientformerv2 => include_str!("../../../configs/recipes/efficientformerv2.yaml"),
            RecipeName::SsdliteCvnets => include_str!("../../../configs/recipes/ssdlite_cvnets.yaml"),
            RecipeName::Deeplabv3Cvnets => include_str!("../../../configs/recipes/deeplabv3_cvnets.yaml"),
            RecipeName::PspnetCvnets => include_str!("../../../configs/recipes/pspnet_cvnets.yaml"),
            RecipeName::SemanticFpnSnap => include_str!("../../../configs/recipes/semantic_fpn_snap.yaml"),
            RecipeName::MaskRcnnSnap => include_str!("../../../configs/recipes/mask_rcnn_snap.yaml"),
            RecipeName::Small => include_str!("../../../configs/recipes/small.yaml"),
        }
    }
}

/// Exactly one of the optimizers; AdamWConfig if left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adamw: Option<AdamWConfig>,
    /// Stochastic gradient descent with momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sgd: Option<SgdConfig>,
}

/// Constants of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Share of the mean of gradients that stays in a step.
    #[schemars(range(min = 0, max = 0.99999))]
    pub beta1: f64,
    /// Share of the mean of squared gradients that stays in a step.
    #[schemars(range(min = 0, max = 0.9999999))]
    pub beta2: f64,
    /// Added to the root of the mean square.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub eps: f64,
}

impl Default for AdamWConfig {
    fn default() -> AdamWConfig {
        AdamWConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

/// Constants of stochastic gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Share of the step before that stays.
    #[schemars(range(min = 0, max = 0.99999))]
    pub momentum: f64,
    /// Nesterov's form.
    pub nesterov: bool,
}

impl Default for SgdConfig {
    fn default() -> SgdConfig {
        SgdConfig { momentum: 0.9, nesterov: false }
    }
}

/// What moves with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Per {
    Step,
    Epoch,
}

/// How the learning rate falls from its peak to its end: as half a cosine, as the rest of the steps to the power of 0.9
/// (mmsegmentation's poly), or to a tenth after 8 of 12 parts of the training and to a hundredth after 11 (mmdetection's
/// steps).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Decay {
    #[default]
    Cosine,
    Poly,
    Steps,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_cosine(decay: &Decay) -> bool {
    *decay == Decay::Cosine
}

/// At most one way of clipping gradients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipConfig {
    /// Largest norm of all gradients together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000000))]
    pub norm: Option<f64>,
    /// Largest value of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000000))]
    pub value: Option<f64>,
    /// Largest norm of a unit's gradients as a share of its weights' norm (Brock et al., 2021); classifiers are left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub adaptive: Option<f64>,
}

/// A teacher, and how it teaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// A TorchScript file: normalised images to logits.
    #[serde(default)]
    pub torchscript: Option<PathBuf>,
    /// A published network, with its weights. For detection and segmentation it has a head.
    #[serde(default)]
    pub model: Option<String>,
    /// Weights of the published network.
    #[serde(default)]
    pub weights: Option<PathBuf>,
    /// The published network's head; that of the student if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
    /// Side of the teacher's images in pixels; if left out, the published network's, or with a head the student's.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4096))]
    pub resolution: Option<u32>,
    /// Whether the teacher's likeliest class is learnt, or all its probabilities.
    #[serde(rename = "type", default = "hard")]
    pub kind: DistillKind,
    /// Share of the teacher's loss; the labels have the rest.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    pub alpha: f64,
    /// Temperature of soft distillation.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1000))]
    pub temperature: f64,
}

/// Whether a key is what it is by default: the digest of a config without it stays.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(said: &bool) -> bool {
    !*said
}

fn hard() -> DistillKind {
    DistillKind::Hard
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

/// What a teacher teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DistillKind {
    Hard,
    Soft,
}

/// Precision of the heavy operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Precision {
    Float32,
    Bfloat16,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            base: None,
            epochs: 10.0,
            batch: 128,
            grad_accum_steps: 1,
            optimizer: OptimizerConfig::default(),
            lr: 2e-3,
            min_lr: 0.0,
            lr_base_size: None,
            warmup: 0.5,
            warmup_steps: None,
            warmup_lr: None,
            cooldown: 0.0,
            lr_schedule: Decay::Cosine,
            schedule_interval: Per::Step,
            weight_decay: 0.01,
            decay_all: false,
            clip: ClipConfig { norm: Some(1.0), ..ClipConfig::default() },
            ema: None,
            label_smoothing: 0.1,
            dropout: 0.0,
            head_dropout: 0.0,
            drop_path: None,
            precision: Precision::Float32,
            sync_batch_norms: false,
            distill: None,
            augment: None,
            sampler: None,
            max_nonfinite_steps: 10,
        }
    }
}

impl Recipe {
    /// What training drops.
    pub fn regularize(&self) -> Regularization {
        Regularization { dropout: self.dropout, head_dropout: self.head_dropout, drop_path: self.drop_path }
    }

    /// Mistakes that no single key shows, as key and message.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let augment = self.augment.iter().flat_map(AugmentConfig::validate);
        let mut all: Vec<_> = augment.map(|(_, m)| ("augment.rand_augment", m)).collect();
        if self.min_lr > self.lr {
            all.push(("min_lr", format!("found {}, expected at most lr, {}", self.min_lr, self.lr)));
        }
        if let Some(from) = self.warmup_lr.filter(|w| *w > self.lr) {
            all.push(("warmup_lr", format!("found {from}, expected at most lr, {}", self.lr)));
        }
        if self.warmup_steps.is_none() && self.warmup > self.epochs {
            all.push(("warmup", format!("found {}, expected at most epochs, {}", self.warmup, self.epochs)));
        }
        if self.optimizer.adamw.is_some() && self.optimizer.sgd.is_some() {
            all.push(("optimizer", "found 2 optimizers, expected one of adamw, sgd".to_string()));
        }
        if let Some(d) = &self.distill {
            let sources = usize::from(d.torchscript.is_some()) + usize::from(d.model.is_some());
            if sources != 1 || d.model.is_some() != d.weights.is_some() {
                let message = "found no single teacher, expected torchscript, or model and weights";
                all.push(("distill", message.to_string()));
            }
        }
        let ways = [self.clip.norm, self.clip.value, self.clip.adaptive].iter().flatten().count();
        if ways > 1 {
            all.push(("clip", format!("found {ways} ways, expected at most one of norm, value, adaptive")));
        }
        all
    }
}

/// Puts the recipe that a section names below the section's own keys, but for those that `said` names.
pub fn layer(section: &mut Json, bases: &dyn Fn(RecipeName) -> Json, said: &[String]) {
    let Some(own) = section.as_object_mut() else { return };
    let Some(name) = own.get("recipe").and_then(|n| RecipeName::deserialize(n).ok()) else { return };
    if let Json::Object(base) = bases(name) {
        for (key, value) in base.into_iter().filter(|(key, _)| !said.contains(key)) {
            own.entry(key).or_insert(value);
        }
    }
}
