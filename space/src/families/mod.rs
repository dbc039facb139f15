//! The families: each a typed configuration, its published variants as a table, its knobs, and how it becomes blocks.
//!
//! A new family is one file here and one line in [`FAMILIES`].

mod chassis;
mod deit;
mod efficientformer;
mod efficientformer_v2;
mod erased;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod mobilevit_v3_separable;
mod preprocessing;

use std::fmt::Debug;

pub use erased::{Family, KnobInfo, Template, VariantInfo};
pub use preprocessing::{Interpolation, Preprocessing};

use crate::ir::{Plan, ShapeError};

/// All families. The list is the plug-in system.
pub static FAMILIES: &[&dyn Family] = &[
    &erased::Of::<mobilevit_v1::MobileVitV1>::NEW,
    &erased::Of::<mobilevit_v2::MobileVitV2>::NEW,
    &erased::Of::<mobilevit_v3::MobileVitV3>::NEW,
    &erased::Of::<mobilevit_v3_separable::MobileVitV3Separable>::NEW,
    &erased::Of::<efficientformer::EfficientFormer>::NEW,
    &erased::Of::<efficientformer_v2::EfficientFormerV2>::NEW,
    &erased::Of::<mobilenet_v2::MobileNetV2>::NEW,
    &erased::Of::<mobilenet_v3::MobileNetV3>::NEW,
    &erased::Of::<deit::Deit>::NEW,
];

/// The family of a name.
pub fn family(name: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|f| f.name() == name)
}

/// The family that publishes a variant, with the variant.
pub fn variant(id: &str) -> Option<(&'static dyn Family, VariantInfo)> {
    FAMILIES.iter().find_map(|f| f.variants().into_iter().find(|v| v.id == id).map(|v| (*f, v)))
}

/// A family of networks, typed.
pub trait Spec: Send + Sync + 'static {
    /// All that may differ between two networks of the family, but the resolution and the number of classes.
    type Cfg: Clone + Debug + PartialEq + Send + Sync;
    /// The family's name in configs.
    const NAME: &'static str;
    /// Who published it.
    const CITE: &'static str;
    /// How its published weights want their images.
    const PREPROCESSING: Preprocessing;

    /// How its paper counts parameters or MACs, where that differs from the counts here; empty where it does not.
    const COUNTS: &'static str = "";

    /// The published networks.
    fn variants() -> Vec<Variant<Self::Cfg>>;

    /// What may vary, each with the choices of the family's published space.
    fn knobs() -> Vec<Knob<Self::Cfg>>;

    /// The network as a chain of blocks.
    ///
    /// # Errors
    /// When the configuration describes no network.
    fn plan(cfg: &Self::Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError>;
}

/// A published network.
#[derive(Clone, Debug)]
pub struct Variant<C> {
    /// Its id in timm, where timm has it.
    pub id: &'static str,
    /// The side of the images it was published for, in pixels.
    pub resolution: u32,
    /// Its sizes.
    pub cfg: C,
    /// What its paper says of it.
    pub published: Published,
}

/// What a paper says of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Published {
    /// Top-1 on ImageNet-1k in percent.
    pub top1: Option<f64>,
    /// Parameters in millions, as printed.
    pub params_m: Option<f64>,
    /// MACs in billions, as printed.
    pub macs_g: Option<f64>,
    /// Latency on an iPhone 12 in ms, as EfficientFormerV2's authors measured it for all the networks of their figure 1:
    /// the one set of such latencies that belongs together. Most are read off the figure, to about 0.1 ms.
    pub iphone12_ms: Option<f64>,
}

impl Published {
    /// All three, in this order.
    pub const fn all(top1: f64, params_m: f64, macs_g: f64) -> Published {
        Published { top1: Some(top1), params_m: Some(params_m), macs_g: Some(macs_g), iphone12_ms: None }
    }

    /// The same with a latency on an iPhone 12 in ms.
    pub const fn on_iphone12(mut self, ms: f64) -> Published {
        self.iphone12_ms = Some(ms);
        self
    }
}

/// What a knob's number means for the network: how it scales, and which way is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Channels: scaled with the network's width.
    Width,
    /// Number of blocks or layers.
    Depth,
    /// Channels inside a block over those outside.
    Expansion,
    /// Side of a patch in pixels: larger means less work, and no weight depends on it.
    Patch,
    /// Stride: larger means less work, and no weight depends on it.
    Stride,
    /// Number of attention heads.
    Heads,
    /// Side of a kernel in pixels.
    Kernel,
    /// Side of the image in pixels.
    Resolution,
}

impl Kind {
    /// Whether a larger number means a larger network.
    pub fn grows(self) -> bool {
        !matches!(self, Kind::Patch | Kind::Stride)
    }

    /// The largest number that is taken for meant.
    pub fn most(self) -> u32 {
        match self {
            Kind::Width => 8192,
            Kind::Depth | Kind::Heads => 256,
            Kind::Expansion => 100,
            Kind::Patch => 64,
            Kind::Stride => 8,
            Kind::Kernel => 31,
            Kind::Resolution => 4096,
        }
    }

    /// The kind in one word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Width => "width",
            Kind::Depth => "depth",
            Kind::Expansion => "expansion",
            Kind::Patch => "patch",
            Kind::Stride => "stride",
            Kind::Heads => "heads",
            Kind::Kernel => "kernel",
            Kind::Resolution => "resolution",
        }
    }
}

type Get<C> = Box<dyn Fn(&C) -> u32 + Send + Sync>;
type Set<C> = Box<dyn Fn(&mut C, u32) + Send + Sync>;

/// One thing that may vary.
pub struct Knob<C> {
    /// Its name in configs: `stages.2.width`.
    pub name: String,
    /// What its number means.
    pub kind: Kind,
    /// Choices of the published space, beside the values of the published variants.
    pub more: Vec<u32>,
    /// Reads it.
    pub get: Get<C>,
    /// Writes it.
    pub set: Set<C>,
}

impl<C> Knob<C> {
    /// A knob with no choices but those of the published variants.
    pub fn new(
        name: impl Into<String>,
        kind: Kind,
        get: impl Fn(&C) -> u32 + Send + Sync + 'static,
        set: impl Fn(&mut C, u32) + Send + Sync + 'static,
    ) -> Knob<C> {
        Knob { name: name.into(), kind, more: Vec::new(), get: Box::new(get), set: Box::new(set) }
    }

    /// The same with further choices.
    #[must_use]
    pub fn also(mut self, more: &[u32]) -> Knob<C> {
        self.more.extend_from_slice(more);
        self
    }
}

/// A [`Knob`] over one field: `knob!(Cfg: "stem.width", Width, stem.width)`.
macro_rules! knob {
    ($cfg:ty: $name:expr, $kind:ident, $($field:tt)+) => {
        $crate::families::Knob::new(
            $name,
            $crate::families::Kind::$kind,
            move |c: &$cfg| c.$($field)+,
            move |c: &mut $cfg, v| c.$($field)+ = v,
        )
    };
}
pub(crate) use knob;
