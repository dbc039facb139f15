//! What a family defines: its variants, its knobs, and the plan of a configuration.

use std::fmt::Debug;

use super::naming::Naming;
use super::preprocessing::Preprocessing;
use crate::ir::{Plan, ShapeError};

/// A family of networks, typed.
pub trait Spec: Send + Sync + 'static {
    /// Everything in which two networks of the family can differ, apart from resolution and number of classes.
    type Cfg: Clone + Debug + PartialEq + Send + Sync;
    /// The family's name in configs.
    const NAME: &'static str;
    /// Its paper.
    const CITE: &'static str;
    /// The preprocessing that its published weights expect.
    const PREPROCESSING: Preprocessing;

    /// How its authors name tensors, where they do so otherwise than timm.
    const NAMINGS: &'static [Naming] = &[];

    /// How its paper's counts of parameters or MACs differ from the counts here; empty if they do not.
    const COUNTING_NOTE: &'static str = "";

    /// Gain of weights by the formula: below 1 where residual branches would add up until rounding moves the logits.
    const FORMULA_GAIN: f64 = 1.0;

    /// The preprocessing that the published weights of a variant expect, where it is not that of the others.
    fn preprocessing(_id: &str) -> Preprocessing {
        Self::PREPROCESSING
    }

    /// The published networks.
    fn variants() -> Vec<Variant<Self::Cfg>>;

    /// The knobs, each with the choices of the family's published space.
    fn knobs() -> Vec<Knob<Self::Cfg>>;

    /// The network as a chain of blocks.
    ///
    /// # Errors
    /// When the configuration does not form a network.
    fn plan(cfg: &Self::Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError>;
}

/// A published network.
#[derive(Clone, Debug)]
pub struct Variant<C> {
    /// Its id in timm, where timm has it.
    pub id: &'static str,
    /// Side of the images it was published for, in pixels.
    pub resolution: u32,
    /// Its configuration.
    pub cfg: C,
    /// The figures of its paper.
    pub published: Published,
}

/// The figures of a network as published: in its paper or, where no paper has it, with timm's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Published {
    /// Top-1 on ImageNet-1k in percent.
    pub top1: Option<f64>,
    /// Parameters in millions, as printed.
    pub params_m: Option<f64>,
    /// MACs in billions, as printed.
    pub macs_g: Option<f64>,
    /// Latency on an iPhone 12 in ms, as the authors of EfficientFormerV2 measured it for all networks of their figure 1: the
    /// one comparable set of such latencies. Most are read off the figure, to about 0.1 ms.
    pub iphone12_ms: Option<f64>,
}

impl Published {
    /// No figures: a network that only timm publishes.
    pub const NONE: Published = Published { top1: None, params_m: None, macs_g: None, iphone12_ms: None };

    /// Top-1, parameters and MACs.
    pub const fn all(top1: f64, params_m: f64, macs_g: f64) -> Published {
        Published { top1: Some(top1), params_m: Some(params_m), macs_g: Some(macs_g), iphone12_ms: None }
    }

    /// With a latency on an iPhone 12 in ms.
    pub const fn on_iphone12(mut self, ms: f64) -> Published {
        self.iphone12_ms = Some(ms);
        self
    }
}

/// What a knob's number means: whether the width multiplier scales it, and whether a larger number is a larger network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnobKind {
    /// Channels: scaled by the width multiplier.
    Width,
    /// Number of blocks or layers.
    Depth,
    /// Channels inside a block over those outside.
    Expansion,
    /// Side of a patch in pixels: larger is less work, and no tensor depends on it.
    Patch,
    /// Stride: larger is less work, and no tensor depends on it.
    Stride,
    /// Number of attention heads.
    Heads,
    /// Side of a kernel in pixels.
    Kernel,
    /// Side of the image in pixels.
    Resolution,
    /// Pixels of the image between two positions of the last feature map: larger is less work, and no tensor depends on it.
    OutputStride,
}

impl KnobKind {
    /// Whether a larger number means a larger network.
    pub fn grows(self) -> bool {
        !matches!(self, KnobKind::Patch | KnobKind::Stride | KnobKind::OutputStride)
    }

    /// The largest number that a configuration may give.
    pub fn max(self) -> u32 {
        match self {
            KnobKind::Width => 8192,
            KnobKind::Depth | KnobKind::Heads => 256,
            KnobKind::Expansion => 100,
            KnobKind::Patch | KnobKind::OutputStride => 64,
            KnobKind::Stride => 8,
            KnobKind::Kernel => 31,
            KnobKind::Resolution => 4096,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            KnobKind::Width => "width",
            KnobKind::Depth => "depth",
            KnobKind::Expansion => "expansion",
            KnobKind::Patch => "patch",
            KnobKind::Stride => "stride",
            KnobKind::Heads => "heads",
            KnobKind::Kernel => "kernel",
            KnobKind::Resolution => "resolution",
            KnobKind::OutputStride => "output_stride",
        }
    }
}

type Get<C> = Box<dyn Fn(&C) -> u32 + Send + Sync>;
type Set<C> = Box<dyn Fn(&mut C, u32) + Send + Sync>;

/// One thing that can vary.
pub struct Knob<C> {
    /// Its name in configs: `stages.2.width`.
    pub name: String,
    /// What its number means.
    pub kind: KnobKind,
    /// Choices of the published space besides the values of the variants.
    pub more: Vec<u32>,
    /// Reads it.
    pub get: Get<C>,
    /// Writes it.
    pub set: Set<C>,
}

impl<C> Knob<C> {
    /// A knob whose choices are the values of the published variants.
    pub fn new(
        name: impl Into<String>,
        kind: KnobKind,
        get: impl Fn(&C) -> u32 + Send + Sync + 'static,
        set: impl Fn(&mut C, u32) + Send + Sync + 'static,
    ) -> Knob<C> {
        Knob { name: name.into(), kind, more: Vec::new(), get: Box::new(get), set: Box::new(set) }
    }

    /// With further choices.
    #[must_use]
    pub fn also(mut self, more: impl IntoIterator<Item = u32>) -> Knob<C> {
        self.more.extend(more);
        self
    }
}

/// A [`Knob`] over one field: `knob!(Cfg: "stem.width", Width, stem.width)`.
macro_rules! knob {
    ($cfg:ty: $name:expr, $kind:ident, $($field:tt)+) => {
        $crate::families::spec::Knob::new(
            $name,
            $crate::families::spec::KnobKind::$kind,
            move |c: &$cfg| c.$($field)+,
            move |c: &mut $cfg, v| c.$($field)+ = v,
        )
    };
}
pub(crate) use knob;
