//! Families as trait objects, by one blanket implementation for all of them.

use std::marker::PhantomData;

use super::naming::Naming;
use super::preprocessing::Preprocessing;
use super::spec::{Knob, KnobKind, Published, Spec, Variant};
use crate::ir::{Plan, ShapeError};

/// A family of networks.
pub trait Family: Send + Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;
    /// Its paper.
    fn cite(&self) -> &'static str;
    /// How its paper's counts differ from the counts here; empty if they do not.
    fn counting_note(&self) -> &'static str;
    /// The preprocessing that the published weights of most of its variants expect.
    fn preprocessing(&self) -> Preprocessing;
    /// Gain of weights by the formula.
    fn formula_gain(&self) -> f64;
    /// How its authors name tensors, where they do so otherwise than timm.
    fn namings(&self) -> &'static [Naming];
    /// Its published networks.
    fn variants(&self) -> Vec<VariantInfo>;
    /// A published network with all knobs of the family; `None` for an unknown id.
    fn template(&self, variant: &str) -> Option<Box<dyn Template>>;
}

/// A published network, without its configuration.
#[derive(Clone, Debug)]
pub struct VariantInfo {
    /// Its id in timm, where timm has it.
    pub id: &'static str,
    /// Side of its images in pixels.
    pub resolution: u32,
    /// The figures of its paper.
    pub published: Published,
    /// The preprocessing that its published weights expect.
    pub preprocessing: Preprocessing,
}

/// A knob, without its configuration.
#[derive(Clone, Debug)]
pub struct KnobInfo {
    /// Its name.
    pub name: String,
    /// What its number means.
    pub kind: KnobKind,
    /// The choices of the family's published space, ascending.
    pub choices: Vec<u32>,
}

/// A network with knobs: from the values of the knobs to a plan.
pub trait Template: Send + Sync {
    /// The knobs, in order.
    fn knobs(&self) -> Vec<KnobInfo>;
    /// The values of the published network, one for each knob.
    fn values(&self) -> Vec<u32>;
    /// The network with the given values, one for each knob.
    ///
    /// # Errors
    /// When the values do not form a network.
    fn plan(&self, values: &[u32], resolution: u32, classes: u32) -> Result<Plan, ShapeError>;
}

/// A [`Spec`] as a trait object.
pub(super) struct Erased<S>(PhantomData<fn() -> S>);

impl<S> Erased<S> {
    pub(super) const NEW: Erased<S> = Erased(PhantomData);
}

impl<S: Spec> Family for Erased<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn cite(&self) -> &'static str {
        S::CITE
    }

    fn counting_note(&self) -> &'static str {
        S::COUNTING_NOTE
    }

    fn preprocessing(&self) -> Preprocessing {
        S::PREPROCESSING
    }

    fn formula_gain(&self) -> f64 {
        S::FORMULA_GAIN
    }

    fn namings(&self) -> &'static [Naming] {
        S::NAMINGS
    }

    fn variants(&self) -> Vec<VariantInfo> {
        let info = |v: Variant<S::Cfg>| VariantInfo {
            id: v.id,
            resolution: v.resolution,
            published: v.published,
            preprocessing: S::preprocessing(v.id),
        };
        S::variants().into_iter().map(info).collect()
    }

    fn template(&self, variant: &str) -> Option<Box<dyn Template>> {
        let cfg = S::variants().into_iter().find(|v| v.id == variant)?.cfg;
        Some(Box::new(Typed::<S> { cfg, knobs: S::knobs() }))
    }
}

struct Typed<S: Spec> {
    cfg: S::Cfg,
    knobs: Vec<Knob<S::Cfg>>,
}

impl<S: Spec> Template for Typed<S> {
    fn knobs(&self) -> Vec<KnobInfo> {
        let variants = S::variants();
        let info = |k: &Knob<S::Cfg>| {
            let mut choices: Vec<u32> =
                variants.iter().map(|v| (k.get)(&v.cfg)).chain(k.more.iter().copied()).collect();
            choices.sort_unstable();
            choices.dedup();
            KnobInfo { name: k.name.clone(), kind: k.kind, choices }
        };
        self.knobs.iter().map(info).collect()
    }

    fn values(&self) -> Vec<u32> {
        self.knobs.iter().map(|k| (k.get)(&self.cfg)).collect()
    }

    fn plan(&self, values: &[u32], resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let mut cfg = self.cfg.clone();
        for (knob, value) in self.knobs.iter().zip(values) {
            (knob.set)(&mut cfg, *value);
        }
        S::plan(&cfg, resolution, classes)
    }
}
