//! The published blocks, one file each, and the parts they share.

mod attention_2d;
mod classifier;
mod conv_bn;
mod efficientformer;
mod efficientformer_v2;
mod inverted_residual;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod patches;
mod residual;
mod separable;
mod squeeze_excite;
mod transformer;
mod vit;

pub use attention_2d::Attention2d;
pub use classifier::{Classifier, DistilledHead, FinalNorm, PooledClassifier};
pub use conv_bn::{ConvBn, ConvBnAct};
pub use efficientformer::{Flat, MetaBlock1d, MetaBlock2d};
pub use efficientformer_v2::{Downsample, EfficientFormerV2Block, TokenMixer};
pub use inverted_residual::{InvertedResidual, Naming};
pub use mobilevit_v1::MobileVitV1;
pub use mobilevit_v2::MobileVitV2;
pub use mobilevit_v3::MobileVitV3;
pub use separable::{SeparableLayer, separable_layer};
pub use transformer::{TransformerLayer, transformer_layer};
pub use vit::{ClassTokenHead, PatchEmbed};

/// The nearest multiple of `divisor` to `v`, at least `divisor` and at least nine tenths of `v`: the rounding of MobileNetV2,
/// which all families here share.
pub fn make_divisible(v: f64, divisor: u32) -> u32 {
    let d = f64::from(divisor.max(1));
    let near = ((v + d / 2.0) / d).floor().max(1.0) * d;
    let kept = if near < 0.9 * v { near + d } else { near };
    kept as u32
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
