//! Classifier heads: global pooling and linear layers to one logit per class.

use crate::ir::{ActFn, Block, Builder, Op, Sections, ShapeError, Val};

/// Global average pooling, then a linear layer.
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

/// The head of MobileNetV3 (Howard et al., 2019): global average pooling, then `conv_head` and `classifier`.
#[derive(Clone, Debug, Hash)]
pub struct PooledClassifier {
    /// Output channels of `conv_head`.
    pub width: u32,
    /// Number of classes.
    pub classes: u32,
}

impl Block for PooledClassifier {
    fn kind(&self) -> &'static str {
        "pooled_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op(Op::GlobalPool { keep: true }, &[x])?;
        let y = b.conv("conv_head", y, self.width, 1, 1, true)?;
        let y = b.act(ActFn::HardSwish, y)?;
        Classifier { fc: "classifier", classes: self.classes }.lower(b, y)
    }
}

/// The norm before a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinalNorm {
    /// Batch norm.
    Batch,
    /// Layer norm over rows.
    Layer,
}

/// The head of the EfficientFormers: `norm`, global average pooling, and two classifiers, `head` and `head_dist`. The second
/// is meant for distillation; their mean is the output.
#[derive(Clone, Debug, Hash)]
pub struct DistilledHead {
    /// The norm.
    pub norm: FinalNorm,
    /// Number of classes.
    pub classes: u32,
}

impl Block for DistilledHead {
    fn kind(&self) -> &'static str {
        "two_heads"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let norm = match self.norm {
            FinalNorm::Batch => Op::BatchNorm,
            FinalNorm::Layer => Op::LayerNorm { eps_e7: 100 },
        };
        let y = b.op_at("norm", norm, &[x])?;
        let y = b.op(Op::GlobalPool { keep: false }, &[y])?;
        let first = b.linear("head", y, Sections::plain(self.classes))?;
        let second = b.linear("head_dist", y, Sections::plain(self.classes))?;
        b.head(first);
        b.head(second);
        b.op(Op::Mean, &[first, second])
    }
}
