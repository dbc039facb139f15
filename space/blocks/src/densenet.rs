//! The parts of DenseNet (Huang et al., 2017): layers that each read the results of all layers before them.

use super::classifier::Classifier;
use crate::ir::{ActFn, Block, Builder, Op, ShapeError, Val};

/// A norm and ReLU.
fn normed(b: &mut Builder, name: &'static str, x: Val) -> Result<Val, ShapeError> {
    let y = b.bn(name, x)?;
    b.act(ActFn::Relu, y)
}

/// `norm1`, `conv1`, `norm2` and `conv2`, whose channels are added to those of the input.
#[derive(Clone, Debug, Hash)]
pub struct DenseLayer {
    /// Channels that it adds.
    pub growth: u32,
    /// Channels between the convolutions over those that it adds.
    pub expand: u32,
}

impl Block for DenseLayer {
    fn kind(&self) -> &'static str {
        "dense_layer"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("DenseLayer");
        let y = normed(b, "norm1", x)?;
        let y = b.conv("conv1", y, self.growth * self.expand, 1, 1, false)?;
        let y = normed(b, "norm2", y)?;
        let y = b.conv("conv2", y, self.growth, 3, 1, false)?;
        b.op(Op::Concat, &[x, y])
    }
}

/// `norm`, `conv` to half of the channels, and an average pool.
#[derive(Clone, Debug, Hash)]
pub struct DenseTransition;

impl Block for DenseTransition {
    fn kind(&self) -> &'static str {
        "dense_transition"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("DenseTransition");
        let half = b.channels(x) / 2;
        let y = normed(b, "norm", x)?;
        let y = b.conv("conv", y, half, 1, 1, false)?;
        b.op(Op::AvgPool { kernel: 2, stride: 2, pad: 0 }, &[y])
    }
}

/// A last norm, global average pooling and the classifier.
#[derive(Clone, Debug, Hash)]
pub struct DenseHead {
    /// Number of classes.
    pub classes: u32,
}

impl Block for DenseHead {
    fn kind(&self) -> &'static str {
        "dense_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.within("features", |b| normed(b, "norm5", x))?;
        Classifier { fc: "classifier", classes: self.classes }.lower(b, y)
    }
}
