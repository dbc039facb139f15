//! The families: each has a typed configuration, a table of published variants, knobs, and a plan of blocks.
//!
//! A new family is one file here and one line in [`FAMILIES`].

mod deit;
mod efficientformer;
mod efficientformer_v2;
mod erased;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilevit;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod mobilevit_v3_separable;
mod naming;
mod preprocessing;
mod spec;

pub use erased::{Family, KnobInfo, Template, VariantInfo};
pub use naming::Naming;
pub use preprocessing::{Interpolation, Preprocessing};
pub use spec::{Knob, KnobKind, Published, Spec, Variant};

use crate::ir::{Plan, ShapeError};

/// The registry of families.
pub static FAMILIES: &[&dyn Family] = &[
    &erased::Erased::<mobilevit_v1::MobileVitV1>::NEW,
    &erased::Erased::<mobilevit_v2::MobileVitV2>::NEW,
    &erased::Erased::<mobilevit_v3::MobileVitV3>::NEW,
    &erased::Erased::<mobilevit_v3_separable::MobileVitV3Separable>::NEW,
    &erased::Erased::<efficientformer::EfficientFormer>::NEW,
    &erased::Erased::<efficientformer_v2::EfficientFormerV2>::NEW,
    &erased::Erased::<mobilenet_v2::MobileNetV2>::NEW,
    &erased::Erased::<mobilenet_v3::MobileNetV3>::NEW,
    &erased::Erased::<deit::Deit>::NEW,
];

/// The family of a name.
pub fn family(name: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|f| f.name() == name)
}

/// The family that publishes a variant, with the variant.
pub fn variant(id: &str) -> Option<(&'static dyn Family, VariantInfo)> {
    FAMILIES.iter().find_map(|f| f.variants().into_iter().find(|v| v.id == id).map(|v| (*f, v)))
}

/// Why there is no plan of a variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// No family publishes it.
    #[error("{id}: no family publishes this variant")]
    Unknown {
        /// The id.
        id: String,
    },
    /// The resolution does not fit it.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// The plan of a published variant, at its own resolution if none is given.
///
/// # Errors
/// When no family publishes it, or the resolution does not fit.
pub fn plan(id: &str, resolution: Option<u32>, classes: u32) -> Result<Plan, VariantError> {
    let found = variant(id).and_then(|(family, info)| family.template(id).map(|t| (t, info.resolution)));
    let (template, own) = found.ok_or_else(|| VariantError::Unknown { id: id.to_string() })?;
    Ok(template.plan(&template.values(), resolution.unwrap_or(own), classes)?)
}
