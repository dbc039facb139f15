//! Squeeze-and-excitation (Hu et al., 2018): the channels are scaled by two convolutions of their global average.

use crate::ir::{ActFn, Builder, Op, ShapeError, Val};

/// Squeeze-and-excitation: its width and its two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqueezeExcite {
    /// Channels between the two convolutions.
    pub reduced: u32,
    /// Activation between them.
    pub act: ActFn,
    /// Function of the scales.
    pub gate: ActFn,
}

impl SqueezeExcite {
    /// That of MobileNetV3: ReLU and the hard sigmoid.
    pub fn hard(reduced: u32) -> SqueezeExcite {
        SqueezeExcite { reduced, act: ActFn::Relu, gate: ActFn::HardSigmoid }
    }

    /// That of timm's `SqueezeExcite`: ReLU and the sigmoid.
    pub fn plain(reduced: u32) -> SqueezeExcite {
        SqueezeExcite { reduced, act: ActFn::Relu, gate: ActFn::Sigmoid }
    }

    /// That of EfficientNet: the activation of the network and the sigmoid, with `percent` of the channels that the block
    /// reads, given those inside the block and their ratio; `None` for 0 percent.
    pub fn of_input(percent: u32, mid: u32, expand: u32, act: ActFn) -> Option<SqueezeExcite> {
        let ratio = f64::from(percent) / 100.0 / f64::from(expand.max(1));
        let reduced = (f64::from(mid) * ratio).round_ties_even().max(1.0) as u32;
        (percent > 0).then_some(SqueezeExcite { reduced, act, gate: ActFn::Sigmoid })
    }

    /// Appends `se.conv_reduce` and `se.conv_expand`.
    ///
    /// # Errors
    /// When `x` is not a map.
    pub(super) fn append(self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.append_as(b, x, "se", ["conv_reduce", "conv_expand"])
    }

    /// Appends two convolutions of the given names under `name`.
    ///
    /// # Errors
    /// When `x` is not a map.
    pub(super) fn append_as(
        self,
        b: &mut Builder,
        x: Val,
        name: &'static str,
        [reduce, expand]: [&'static str; 2],
    ) -> Result<Val, ShapeError> {
        let out = b.value(x).sections.clone();
        b.within(name, |b| {
            b.class("SqueezeExcite");
            let y = b.op(Op::GlobalPool { keep: true }, &[x])?;
            let y = b.conv(reduce, y, self.reduced, 1, 1, true)?;
            let y = b.act(self.act, y)?;
            let y = b.conv_to(expand, y, out, true)?;
            let y = b.act(self.gate, y)?;
            b.op(Op::Mul, &[x, y])
        })
    }
}
