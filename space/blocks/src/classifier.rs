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
        b.class("Classifier");
        let y = b.op(Op::GlobalPool { keep: false }, &[x])?;
        b.linear(self.fc, y, Sections::plain(self.classes))
    }
}

/// The head of MobileNetV3 (Howard et al., 2019) and of networks after it: global average pooling, then `conv_head`, with a
/// batch norm or with a bias, an activation, and `classifier`.
#[derive(Clone, Debug, Hash)]
pub struct PooledClassifier {
    /// Output channels of `conv_head`.
    pub width: u32,
    /// Name of the batch norm after it.
    pub norm: Option<&'static str>,
    /// Activation.
    pub act: ActFn,
    /// Number of classes.
    pub classes: u32,
}

impl Block for PooledClassifier {
    fn kind(&self) -> &'static str {
        "pooled_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let mut y = b.op(Op::GlobalPool { keep: true }, &[x])?;
        y = b.conv("conv_head", y, self.width, 1, 1, self.norm.is_none())?;
        if let Some(norm) = self.norm {
            y = b.bn(norm, y)?;
        }
        y = b.act(self.act, y)?;
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

impl FinalNorm {
    fn op(self) -> Op {
        match self {
            FinalNorm::Batch => Op::BatchNorm,
            FinalNorm::Layer => Op::layer_norm(100),
        }
    }
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
        let y = b.op_at("norm", self.norm.op(), &[x])?;
        let y = b.op(Op::GlobalPool { keep: false }, &[y])?;
        let first = b.linear("head", y, Sections::plain(self.classes))?;
        let second = b.linear("head_dist", y, Sections::plain(self.classes))?;
        b.head(first);
        b.head(second);
        b.op(Op::Mean, &[first, second])
    }
}

/// Global average pooling and a classifier after a batch norm: `head.bn` and its linear layer. With distillation there is a
/// second one, `head_dist`, and their mean is the output.
#[derive(Clone, Debug, Hash)]
pub struct NormedClassifier {
    /// Name of the linear layers.
    pub linear: &'static str,
    /// Whether there are two.
    pub distilled: bool,
    /// Number of classes.
    pub classes: u32,
}

impl NormedClassifier {
    fn one(&self, b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
        let y = b.within(name, |b| {
            b.class("NormLinear");
            let y = b.bn("bn", x)?;
            b.linear(self.linear, y, Sections::plain(self.classes))
        })?;
        b.head(y);
        Ok(y)
    }
}

impl Block for NormedClassifier {
    fn kind(&self) -> &'static str {
        "normed_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let x = b.op(Op::GlobalPool { keep: false }, &[x])?;
        let first = self.one(b, "head", x)?;
        if !self.distilled {
            return Ok(first);
        }
        let second = self.one(b, "head_dist", x)?;
        b.op(Op::Mean, &[first, second])
    }
}

/// Global average pooling, a layer norm `norm` and the classifier `fc`.
#[derive(Clone, Debug, Hash)]
pub struct PooledNormClassifier {
    /// Epsilon of the norm in units of 1e-7.
    pub eps_e7: u32,
    /// Number of classes.
    pub classes: u32,
}

impl Block for PooledNormClassifier {
    fn kind(&self) -> &'static str {
        "pooled_norm_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op(Op::GlobalPool { keep: false }, &[x])?;
        let y = b.op_at("norm", Op::layer_norm(self.eps_e7), &[y])?;
        b.linear("fc", y, Sections::plain(self.classes))
    }
}

/// `norm`, global average pooling and the classifier `head`.
#[derive(Clone, Debug, Hash)]
pub struct FinalClassifier {
    /// The norm.
    pub norm: FinalNorm,
    /// Number of classes.
    pub classes: u32,
}

impl Block for FinalClassifier {
    fn kind(&self) -> &'static str {
        "final_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op_at("norm", self.norm.op(), &[x])?;
        let y = b.op(Op::GlobalPool { keep: false }, &[y])?;
        b.linear("head", y, Sections::plain(self.classes))
    }
}
