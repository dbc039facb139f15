//! The block of StarNet (Ma et al., 2024): the product of two linear maps takes the place of an activation between them.

use super::conv_bn::ConvBn;
use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// `dwconv`, the product of `act(f1)` and `f2`, `g` and `dwconv2`, with a residual.
#[derive(Clone, Debug, Hash)]
pub struct Star {
    /// Kernel of the depthwise convolutions.
    pub kernel: u32,
    /// Hidden channels over those of the map.
    pub expand: u32,
    /// Activation of one factor.
    pub act: ActFn,
    /// Drop rate of stochastic depth, in thousandths.
    pub drop: u32,
}

impl Block for Star {
    fn kind(&self) -> &'static str {
        "star"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("StarBlock");
        let (out, hidden) = (b.value(x).sections.clone(), b.channels(x) * self.expand);
        let plain = |b: &mut Builder, name, y| b.within(name, |b| b.conv("conv", y, hidden, 1, 1, true));
        let y = ConvBn::depthwise(self.kernel).bias().append(b, "dwconv", x)?;
        let (first, second) = (plain(b, "f1", y)?, plain(b, "f2", y)?);
        let first = b.act(self.act, first)?;
        let y = b.op(Op::Mul, &[first, second])?;
        let y = ConvBn::dense(Sections::plain(out.total()), 1).bias().append(b, "g", y)?;
        let y = b.within("dwconv2", |b| b.depthwise("conv", y, self.kernel, 1, true))?;
        residual(b, x, y, self.drop)
    }
}
