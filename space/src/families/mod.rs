//! The families: each has a typed configuration, a table of published variants, knobs, and a plan of blocks.
//!
//! A new family is one file here and one line in [`FAMILIES`].

mod botnet;
mod cait;
mod convit;
mod crossvit;
mod deit;
mod densenet;
mod edgenext;
mod efficientformer;
mod efficientformer_v2;
mod efficientnet;
mod efficientnet_lite;
mod efficientvit;
mod efficientvit_m;
mod erased;
mod fastvit;
mod ghostnet;
mod iformer;
mod levit;
mod mbconv;
mod mixnet;
mod mnasnet;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod mobilenet_v4;
mod mobilenet_v4_hybrid;
mod mobileone;
mod mobilevit;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod mobilevit_v3_separable;
mod naming;
mod pit;
mod poolformer;
mod preprocessing;
mod pvt_v2;
mod repvit;
mod resnet;
mod shufflenet_v2;
mod shvit;
mod spec;
mod starnet;
mod swiftformer;
mod tiny_vit;

pub use erased::{Family, KnobInfo, Template, VariantInfo};
pub use naming::{Naming, Translate};
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
    &erased::Erased::<mobilenet_v1::MobileNetV1>::NEW,
    &erased::Erased::<mobilenet_v1::MobileNetV1Head>::NEW,
    &erased::Erased::<mobilenet_v2::MobileNetV2>::NEW,
    &erased::Erased::<mobilenet_v3::MobileNetV3>::NEW,
    &erased::Erased::<mobilenet_v4::MobileNetV4Small>::NEW,
    &erased::Erased::<mobilenet_v4::MobileNetV4>::NEW,
    &erased::Erased::<mobilenet_v4::MobileNetV4Averaged>::NEW,
    &erased::Erased::<mobilenet_v4_hybrid::Medium>::NEW,
    &erased::Erased::<mobilenet_v4_hybrid::Large>::NEW,
    &erased::Erased::<mnasnet::MnasNet>::NEW,
    &erased::Erased::<efficientnet::EfficientNet>::NEW,
    &erased::Erased::<efficientnet_lite::EfficientNetLite>::NEW,
    &erased::Erased::<mixnet::MixNetS>::NEW,
    &erased::Erased::<mixnet::MixNet>::NEW,
    &erased::Erased::<ghostnet::GhostNet>::NEW,
    &erased::Erased::<ghostnet::GhostNetV2>::NEW,
    &erased::Erased::<shufflenet_v2::ShuffleNetV2>::NEW,
    &erased::Erased::<mobileone::MobileOneSmall>::NEW,
    &erased::Erased::<mobileone::MobileOne>::NEW,
    &erased::Erased::<mobileone::MobileOneSqueezed>::NEW,
    &erased::Erased::<repvit::RepVitLegacy>::NEW,
    &erased::Erased::<repvit::RepVit>::NEW,
    &erased::Erased::<fastvit::FastVit>::NEW,
    &erased::Erased::<fastvit::FastVitAttention>::NEW,
    &erased::Erased::<shvit::ShVit>::NEW,
    &erased::Erased::<starnet::StarNet>::NEW,
    &erased::Erased::<levit::Levit128>::NEW,
    &erased::Erased::<levit::Levit>::NEW,
    &erased::Erased::<efficientvit::EfficientVit>::NEW,
    &erased::Erased::<efficientvit_m::EfficientVitM>::NEW,
    &erased::Erased::<swiftformer::SwiftFormer>::NEW,
    &erased::Erased::<edgenext::EdgeNext>::NEW,
    &erased::Erased::<edgenext::EdgeNextRw>::NEW,
    &erased::Erased::<iformer::IFormer<false>>::NEW,
    &erased::Erased::<iformer::IFormer<true>>::NEW,
    &erased::Erased::<poolformer::PoolFormer<false>>::NEW,
    &erased::Erased::<poolformer::PoolFormer<true>>::NEW,
    &erased::Erased::<tiny_vit::TinyVit<7>>::NEW,
    &erased::Erased::<tiny_vit::TinyVit<12>>::NEW,
    &erased::Erased::<pvt_v2::PvtV2>::NEW,
    &erased::Erased::<pit::Pit<false, false>>::NEW,
    &erased::Erased::<pit::Pit<false, true>>::NEW,
    &erased::Erased::<pit::Pit<true, false>>::NEW,
    &erased::Erased::<pit::Pit<true, true>>::NEW,
    &erased::Erased::<cait::Cait<224>>::NEW,
    &erased::Erased::<cait::Cait<384>>::NEW,
    &erased::Erased::<convit::ConVit>::NEW,
    &erased::Erased::<crossvit::CrossVit>::NEW,
    &erased::Erased::<densenet::DenseNet<121>>::NEW,
    &erased::Erased::<densenet::DenseNet<161>>::NEW,
    &erased::Erased::<densenet::DenseNet<169>>::NEW,
    &erased::Erased::<densenet::DenseNet<201>>::NEW,
    &erased::Erased::<resnet::ResNetBasic>::NEW,
    &erased::Erased::<resnet::ResNet>::NEW,
    &erased::Erased::<resnet::SeResNet>::NEW,
    &erased::Erased::<botnet::BotNet>::NEW,
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
