//! The blocks of EfficientViT (Cai et al., 2022): inverted residuals, and linear attention at two scales.

use super::residual::residual;
use crate::ir::{ActFn, Block, Builder, Groups, Layout, Op, PathSegment, Sections, ShapeError, Val};

const ACT: ActFn = ActFn::HardSwish;

/// A convolution `NAME.conv` with its norm `NAME.norm`, or with a bias; depthwise without `out`.
fn unit(
    b: &mut Builder,
    name: impl Into<PathSegment>,
    x: Val,
    out: Option<Sections>,
    (kernel, stride): (u32, u32),
    normed: bool,
) -> Result<Val, ShapeError> {
    b.within(name, |b| {
        b.class("ConvNorm");
        let groups = if out.is_some() { Groups::Dense } else { Groups::Depthwise };
        let out = out.unwrap_or_else(|| b.value(x).sections.clone());
        let y = b.op_at(
            "conv",
            Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups, bias: !normed },
            &[x],
        )?;
        if normed { b.bn("norm", y) } else { Ok(y) }
    })
}

/// An inverted residual `main`, or a separable convolution.
#[derive(Clone, Debug, Hash)]
pub struct EfficientVitConv {
    /// Channels inside over those of the input; `None` leaves the expansion out.
    pub expand: Option<u32>,
    /// Output channels.
    pub out: u32,
    /// Kernel of the depthwise convolution.
    pub kernel: u32,
    /// Its stride.
    pub stride: u32,
    /// Whether each convolution has a norm, or the last alone.
    pub normed: bool,
    /// Whether the input is added.
    pub shortcut: bool,
}

impl EfficientVitConv {
    fn append(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ResidualBlock");
        let y = b.within("main", |b| {
            b.class(if self.expand.is_some() { "MbConv" } else { "DsConv" });
            let mut y = x;
            if let Some(expand) = self.expand {
                let hidden = Sections::plain(b.channels(x) * expand);
                y = unit(b, "inverted_conv", y, Some(hidden), (1, 1), self.normed)?;
                y = b.act(ACT, y)?;
            }
            y = unit(b, "depth_conv", y, None, (self.kernel, self.stride), self.normed)?;
            y = b.act(ACT, y)?;
            unit(b, "point_conv", y, Some(Sections::plain(self.out)), (1, 1), true)
        })?;
        if self.shortcut { residual(b, x, y, 0) } else { Ok(y) }
    }
}

impl Block for EfficientVitConv {
    fn kind(&self) -> &'static str {
        "efficientvit_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.append(b, x)
    }
}

/// `context_module`, linear attention, and `local_module`, an inverted residual.
#[derive(Clone, Debug, Hash)]
pub struct EfficientVit {
    /// Heads at each of the two scales.
    pub heads: u32,
    /// Channels of a query, a key and a value.
    pub head_dim: u32,
    /// Kernel of the queries, keys and values at the second scale.
    pub scale: u32,
    /// Channels inside the inverted residual over those of the map.
    pub expand: u32,
    /// Kernel of its depthwise convolution.
    pub kernel: u32,
}

impl EfficientVit {
    /// Queries, keys and values of each head follow each other. Those at the second scale are sums of neighbours, and have
    /// heads of their own.
    fn attend(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("LiteMla");
        let ((h, w), out) = (b.hw(x)?, b.value(x).sections.clone());
        let (heads, key_dim) = (self.heads, self.head_dim);
        let parts = Sections::runs(3 * heads, key_dim);
        let qkv = b.within("qkv", |b| b.conv_to("conv", x, parts.clone(), false))?;
        let wide = b.within("aggreg", |b| {
            b.within(0u32, |b| {
                let (kernel, groups) = (self.scale, Groups::Depthwise);
                let op = Op::Conv {
                    out: parts.clone(),
                    kernel,
                    stride: 1,
                    pad: kernel / 2,
                    dilation: 1,
                    groups,
                    bias: false,
                };
                let y = b.op_at(0u32, op, &[qkv])?;
                let groups = Groups::Grouped(3 * heads);
                b.op_at(
                    1u32,
                    Op::Conv { out: parts, kernel: 1, stride: 1, pad: 0, dilation: 1, groups, bias: false },
                    &[y],
                )
            })
        })?;
        let all = b.op(Op::Concat, &[qkv, wide])?;
        let (patch, layout, heads) = (1, Layout::Rows, 2 * heads);
        let rows = b.op(Op::Unfold { patch, layout }, &[all])?;
        let mut part = |i: u32| b.op(Op::SliceHeads { heads, start: i * key_dim, len: key_dim }, &[rows]);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let (q, k) = (b.act(ActFn::Relu, q)?, b.act(ActFn::Relu, k)?);
        let y = b.op(Op::LinearAttention { heads, key_dim }, &[q, k, v])?;
        let y = b.op(Op::Fold { patch, layout, h, w }, &[y])?;
        unit(b, "proj", y, Some(out), (1, 1), true)
    }
}

impl Block for EfficientVit {
    fn kind(&self) -> &'static str {
        "efficientvit"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("EfficientVitBlock");
        let x = b.within("context_module", |b| {
            b.class("ResidualBlock");
            let y = b.within("main", |b| self.attend(b, x))?;
            residual(b, x, y, 0)
        })?;
        let (expand, out, kernel) = (Some(self.expand), b.channels(x), self.kernel);
        let local = EfficientVitConv { expand, out, kernel, stride: 1, normed: false, shortcut: true };
        b.within("local_module", |b| local.append(b, x))
    }
}

/// Global average pooling, and the layers of `classifier`: linear, layer norm, activation, linear.
#[derive(Clone, Debug, Hash)]
pub struct MlpClassifier {
    /// Channels between the layers.
    pub hidden: u32,
    /// Number of classes.
    pub classes: u32,
}

impl Block for MlpClassifier {
    fn kind(&self) -> &'static str {
        "mlp_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let y = b.op(Op::GlobalPool { keep: false }, &[x])?;
        b.within("classifier", |b| {
            let y = b.op_at(0u32, Op::Linear { out: Sections::plain(self.hidden), bias: false }, &[y])?;
            let y = b.op_at(1u32, Op::layer_norm(100), &[y])?;
            let y = b.act(ACT, y)?;
            b.op_at(4u32, Op::Linear { out: Sections::plain(self.classes), bias: true }, &[y])
        })
    }
}
