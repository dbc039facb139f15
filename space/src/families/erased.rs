//! Families without their type: what the rest of the program works with. One blanket implementation serves them all.

use std::marker::PhantomData;

use super::{Kind, Knob, Preprocessing, Published, Spec};
use crate::ir::{Plan, ShapeError};

/// A family of networks.
pub trait Family: Send + Sync {
    /// Its name in configs.
    fn name(&self) -> &'static str;
    /// Who published it.
    fn cite(&self) -> &'static str;
    /// How its paper counts, where that differs from the counts here.
    fn counts(&self) -> &'static str;
    /// How its published weights want their images.
    fn preprocessing(&self) -> Preprocessing;
    /// Its published networks.
    fn variants(&self) -> Vec<VariantInfo>;
    /// One published network with every knob of the family on it; `None` for an id the family does not have.
    fn template(&self, variant: &str) -> Option<Box<dyn Template>>;
}

/// A published network, without its configuration.
#[derive(Clone, Debug)]
pub struct VariantInfo {
    /// Its id in timm, where timm has it.
    pub id: &'static str,
    /// The side of its images in pixels.
    pub resolution: u32,
    /// What its paper says of it.
    pub published: Published,
}

/// A knob, without its configuration.
#[derive(Clone, Debug)]
pub struct KnobInfo {
    /// Its name.
    pub name: String,
    /// What its number means.
    pub kind: Kind,
    /// Choices of the family's published space, ascending.
    pub choices: Vec<u32>,
}

/// One network with knobs: values in, chain of blocks out.
pub trait Template: Send + Sync {
    /// The knobs, in order.
    fn knobs(&self) -> Vec<KnobInfo>;
    /// The values of the network as published, a knob each.
    fn values(&self) -> Vec<u32>;
    /// The network with the given values, a knob each.
    ///
    /// # Errors
    /// When the values describe no network.
    fn plan(&self, values: &[u32], resolution: u32, classes: u32) -> Result<Plan, ShapeError>;
}

/// The erased form of a [`Spec`].
pub(super) struct Of<S>(PhantomData<fn() -> S>);

impl<S> Of<S> {
    pub(super) const NEW: Of<S> = Of(PhantomData);
}

impl<S: Spec> Family for Of<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn cite(&self) -> &'static str {
        S::CITE
    }

    fn counts(&self) -> &'static str {
        S::COUNTS
    }

    fn preprocessing(&self) -> Preprocessing {
        S::PREPROCESSING
    }

    fn variants(&self) -> Vec<VariantInfo> {
        let info =
            |v: super::Variant<S::Cfg>| VariantInfo { id: v.id, resolution: v.resolution, published: v.published };
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
