//! The residual branch of the EfficientFormers, with layer scale and stochastic depth.

use crate::ir::{Builder, Op, ShapeError, Val};

/// Initial layer scale: 1e-5.
const INIT_E7: u32 = 100;

/// Appends `x + drop_path(layer_scale(y))`, with the scales under `name` and a drop rate of `drop` thousandths.
///
/// # Errors
/// When the sizes differ.
pub(super) fn scaled_residual(
    b: &mut Builder,
    x: Val,
    y: Val,
    name: &'static str,
    drop: u32,
) -> Result<Val, ShapeError> {
    let mut y = b.op_at(name, Op::ChannelScale { init_e7: INIT_E7 }, &[y])?;
    if drop > 0 {
        y = b.op(Op::DropPath { permille: drop }, &[y])?;
    }
    b.add(x, y)
}
