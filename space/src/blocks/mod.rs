//! The published blocks, one file each, and the pieces they share.

mod classifier;
mod conv_unit;
mod efficientformer;
mod efficientformer_v2;
mod inverted_residual;
mod map_attention;
mod mobilevit_v1;
mod mobilevit_v2;
mod mobilevit_v3;
mod patches;
mod residual;
mod separable;
mod squeeze_excite;
mod tokens;
mod transformer;

pub use classifier::{Classifier, LastNorm, PooledClassifier, TwoHeads};
pub use conv_unit::{ConvUnit, Unit};
pub use efficientformer::{AttentionFormer, Flat, PoolFormer};
pub use efficientformer_v2::{ConvFormer, Mixer, Shrink};
pub use inverted_residual::{InvertedResidual, Naming};
pub use map_attention::MapHeads;
pub use mobilevit_v1::MobileVitV1;
pub use mobilevit_v2::MobileVitV2;
pub use mobilevit_v3::MobileVitV3;
pub use separable::{SeparableLayer, separable_layer};
pub use tokens::{ClassToken, PatchTokens};
pub use transformer::{Layer, transformer_layer};

/// The nearest multiple of `divisor` to `v`, at least `divisor`, and never less than nine tenths of `v`.
///
/// The rounding rule of MobileNetV2, which all families here share.
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
