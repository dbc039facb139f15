//! Convolution, batch norm and activation under the names of ml-cvnets.

use mobilenas_space::ir::{ActFn, Block, Builder, Groups, Op, Sections, ShapeError, Val};

/// A convolution `block.conv` with an optional batch norm `block.norm` and an optional ReLU.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Unit {
    /// Output channels; none for a depthwise convolution.
    pub out: Option<Sections>,
    pub kernel: u32,
    pub stride: u32,
    pub dilation: u32,
    pub bias: bool,
    pub norm: bool,
    pub relu: bool,
}

impl Unit {
    /// With batch norm and ReLU.
    pub fn new(out: u32, kernel: u32) -> Unit {
        let out = Some(Sections::plain(out));
        Unit { out, kernel, stride: 1, dilation: 1, bias: false, norm: true, relu: true }
    }

    /// With a bias alone.
    pub fn linear(out: Sections) -> Unit {
        Unit { out: Some(out), bias: true, norm: false, relu: false, ..Unit::new(0, 1) }
    }

    /// Each channel by itself, 3x3, with batch norm alone.
    pub fn depthwise(stride: u32) -> Unit {
        Unit { out: None, stride, relu: false, ..Unit::new(0, 3) }
    }

    pub fn dilated(self, dilation: u32) -> Unit {
        Unit { dilation, ..self }
    }

    /// Appends the operations at the current path.
    pub fn append(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let Unit { kernel, stride, dilation, bias, .. } = *self;
        let (out, groups) = match &self.out {
            Some(out) => (out.clone(), Groups::Dense),
            None => (b.value(x).sections.clone(), Groups::Depthwise),
        };
        let pad = kernel / 2 * dilation;
        b.within("block", |b| {
            b.class("ConvNormAct");
            let mut y = b.op_at("conv", Op::Conv { out, kernel, stride, pad, dilation, groups, bias }, &[x])?;
            if self.norm {
                y = b.bn("norm", y)?;
            }
            if self.relu { b.act(ActFn::Relu, y) } else { Ok(y) }
        })
    }
}

impl Block for Unit {
    fn kind(&self) -> &'static str {
        "head_unit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.append(b, x)
    }
}
