//! The residual branch of the EfficientFormers: a learnt factor a channel, then, in training, whole images dropped.

use crate::ir::{Builder, Op, ShapeError, Val};

/// Layer scale begins at 1e-5.
const INIT_E7: u32 = 100;

/// Appends `x + drop(scale(y))`, with the factors under `name` and the branch dropped in `drop` of 1000 images.
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
