//! The published blocks, one file each, and the parts they share.

mod attention_2d;
mod botnet;
mod cait;
mod cascaded;
mod classifier;
mod conv_bn;
mod convit;
mod crossvit;
mod densenet;
mod edgenext;
mod efficientformer;
mod efficientformer_v2;
mod efficientvit;
mod fastvit;
mod fused_residual;
mod ghost;
mod iformer;
mod inverted_residual;
mod levit;
mod mixed;
mod mobile_attention;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod parallel;
mod patches;
mod pit;
mod poolformer;
mod pvt;
mod repvit;
mod residual;
mod resnet;
mod separable;
mod separable_conv;
mod shuffle;
mod shvit;
mod squeeze_excite;
mod star;
mod swiftformer;
mod tiny_vit;
mod transformer;
mod universal;
mod vit;

use mobilenas_ir as ir;

pub use attention_2d::Attention2d;
pub use botnet::{BotNet, TieredStem};
pub use cait::{Cait, CaitEmbed, ClassToken};
pub use cascaded::{Cascaded, CascadedDownsample, CascadedStem};
pub use classifier::{
    Classifier, DistilledHead, FinalClassifier, FinalNorm, NormedClassifier, PooledClassifier, PooledNormClassifier,
};
pub use conv_bn::{ConvBn, ConvBnAct};
pub use convit::{ConVit, ConVitEmbed, LateToken};
pub use crossvit::{CrossVitEmbed, CrossVitFusion, CrossVitHead, CrossVitToken};
pub use densenet::{DenseHead, DenseLayer, DenseTransition};
pub use edgenext::{EdgeNextConv, NormedConv, SplitTranspose};
pub use efficientformer::{Flat, MetaBlock1d, MetaBlock2d, NormedMap};
pub use efficientformer_v2::{Downsample, EfficientFormerV2Block, TokenMixer};
pub use efficientvit::{EfficientVit, EfficientVitConv, MlpClassifier};
pub use fastvit::{FastVit, FastVitDownsample, FastVitMixer, FastVitStem, PositionalConv};
pub use fused_residual::FusedResidual;
pub use ghost::GhostBottleneck;
pub use iformer::{IFormer, IFormerStem};
pub use inverted_residual::{InvertedResidual, Naming};
pub use levit::{Levit, LevitDownsample, LevitHeads, LevitStem};
pub use mixed::MixedResidual;
pub use mobile_attention::MobileAttention;
pub use mobilevit_v1::MobileVitV1;
pub use mobilevit_v2::MobileVitV2;
pub use mobilevit_v3::MobileVitV3;
pub use parallel::Parallel;
pub use pit::{PitEmbed, PitPool, TokenHead};
pub use poolformer::{PatchConv, PatchConvNorm, PoolFormer, PoolFormerV2};
pub use pvt::{PositionNorm, Pvt};
pub use repvit::{RepVit, RepVitDownsample, RepVitStem};
pub use resnet::{ResNetBlock, ResNetStem};
pub use separable::{SeparableLayer, separable_layer};
pub use separable_conv::SeparableConv;
pub use shuffle::{MaxPool, ShuffleUnit};
pub use shvit::{Partial, ShVit, ShVitDownsample, ShVitStem};
pub use squeeze_excite::SqueezeExcite;
pub use star::Star;
pub use swiftformer::{SwiftFormer, SwiftFormerStem};
pub use tiny_vit::{TinyVit, TinyVitConv, TinyVitDownsample};
pub use transformer::{TransformerLayer, transformer_layer};
pub use universal::UniversalResidual;
pub use vit::{ClassTokenHead, PatchEmbed};

/// The nearest multiple of `divisor` to `v`, at least `divisor` and at least nine tenths of `v`: the rounding of MobileNetV2,
/// which all families here share.
pub fn make_divisible(v: f64, divisor: u32) -> u32 {
    let near = nearest_multiple(v, divisor);
    if f64::from(near) < 0.9 * v { near + divisor.max(1) } else { near }
}

/// The nearest multiple of `divisor` to `v`, at least `divisor`, also if that is much less than `v`.
pub fn nearest_multiple(v: f64, divisor: u32) -> u32 {
    let d = f64::from(divisor.max(1));
    (((v + d / 2.0) / d).floor().max(1.0) * d) as u32
}

#[cfg(test)]
mod tests {
    use super::make_divisible;

    #[test]
    fn rounds_as_mobilenet_v2_does() {
        // Widths of MobileNetV2 x1.4, from its published table.
        let widths: Vec<u32> = [16., 24., 32., 64., 96., 160., 320.].map(|w| make_divisible(w * 1.4, 8)).to_vec();
        assert_eq!(widths, [24, 32, 48, 88, 136, 224, 448]);
        assert_eq!(make_divisible(3.0, 8), 8);
    }
}
