//! Squeeze-and-excitation (Hu et al., 2018) with the hard sigmoid of MobileNetV3: the channels are scaled by two convolutions
//! of their global average.

use crate::ir::{ActFn, Builder, Op, ShapeError, Val};

/// Appends `se.conv_reduce` and `se.conv_expand`, with `reduced` channels between.
///
/// # Errors
/// When `x` is not a map.
pub(super) fn squeeze_excite(b: &mut Builder, x: Val, reduced: u32) -> Result<Val, ShapeError> {
    let channels = b.channels(x);
    b.within("se", |b| {
        let y = b.op(Op::GlobalPool { keep: true }, &[x])?;
        let y = b.conv("conv_reduce", y, reduced, 1, 1, true)?;
        let y = b.act(ActFn::Relu, y)?;
        let y = b.conv("conv_expand", y, channels, 1, 1, true)?;
        let y = b.act(ActFn::HardSigmoid, y)?;
        b.op(Op::Mul, &[x, y])
    })
}
