//! Mean over the positions and a linear layer: one number a class.

use crate::ir::{Block, Builder, Op, Sections, ShapeError, Val};

/// Global mean, then a linear layer called `fc` under the block's path.
#[derive(Clone, Debug, Hash)]
pub struct Classifier {
    /// Name of the linear layer under the block's path.
    pub fc: &'static str,
    /// Number of classes.
    pub classes: u32,
}

impl Block for Classifier {
    fn kind(&self) -> &'static str {
        "classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op(Op::GlobalPool { keep: false }, &[x])?;
        b.linear(self.fc, y, Sections::plain(self.classes))
    }
}
