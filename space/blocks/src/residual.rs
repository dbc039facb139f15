//! Residual branches with stochastic depth, with layer scale or without.

use crate::ir::{Builder, Op, ScaleName, ShapeError, Val};

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
    let y = layer_scale(b, y, name)?;
    residual(b, x, y, drop)
}

/// Appends a layer scale.
///
/// # Errors
/// Never for a value with channels.
pub(super) fn layer_scale(b: &mut Builder, y: Val, name: &'static str) -> Result<Val, ShapeError> {
    b.op_at(name, Op::ChannelScale { init_e7: INIT_E7, name: ScaleName::Gamma }, &[y])
}

/// Appends `x + drop_path(y)`, with a drop rate of `drop` thousandths.
///
/// # Errors
/// When the sizes differ.
pub(super) fn residual(b: &mut Builder, x: Val, y: Val, drop: u32) -> Result<Val, ShapeError> {
    let y = if drop > 0 { b.op(Op::DropPath { permille: drop }, &[y])? } else { y };
    b.add(x, y)
}
