//! The inverted residual of MixNet (Tan and Le, 2019): the channels of a convolution are split into equal parts, and each
//! part has a convolution of its own, the depthwise ones with kernels of 3, 5, 7 and so on.

use super::residual::residual;
use super::squeeze_excite::SqueezeExcite;
use crate::ir::{ActFn, Block, Builder, Groups, Op, Section, Sections, ShapeError, Val};

/// Expands to `mid` channels, filters them in parts, projects to `out`; with a residual if the shape stays the
/// same. The channels between blocks are halves, which is what blocks read and write in parts.
#[derive(Clone, Debug, Hash)]
pub struct MixedResidual {
    /// Channels after the expansion; `None` leaves the expansion out.
    pub mid: Option<u32>,
    /// Output channels.
    pub out: u32,
    /// Parts of the expansion, of the depthwise convolution, and of the projection.
    pub parts: [u32; 3],
    /// Stride of the depthwise convolution.
    pub stride: u32,
    /// Activation after the first two convolutions.
    pub act: ActFn,
    /// Squeeze-and-excitation before the projection.
    pub squeeze: Option<SqueezeExcite>,
}

/// Ends of `parts` equal parts; the first part gets what is left over.
fn ends(channels: u32, parts: u32) -> impl Iterator<Item = u32> {
    let each = channels / parts.max(1);
    (0..parts).map(move |i| channels - each * (parts - 1 - i))
}

/// The channels of a value that convolutions write and read in different parts: cut where any of them cuts.
fn cut(channels: u32, parts: &[u32]) -> Sections {
    let mut all: Vec<u32> = parts.iter().flat_map(|n| ends(channels, *n)).collect();
    all.sort_unstable();
    all.dedup();
    let mut start = 0;
    let run = |end: u32| Section { count: 1, len: end - std::mem::replace(&mut start, end) };
    Sections(all.into_iter().map(run).collect())
}

/// Appends the convolutions of a map's parts and joins their results, under `name` and the index of the part; one part is
/// one convolution under `name`. `op` is the convolution to the given channels.
fn in_parts(
    b: &mut Builder,
    name: &'static str,
    x: Val,
    parts: u32,
    out: &Sections,
    op: impl Fn(u32, Sections) -> Op,
) -> Result<Val, ShapeError> {
    if parts == 1 {
        return b.op_at(name, op(0, out.clone()), &[x]);
    }
    let starts = |channels| std::iter::once(0).chain(ends(channels, parts)).zip(ends(channels, parts));
    let ranges = starts(b.channels(x)).zip(starts(out.total()));
    b.within(name, |b| {
        b.class("MixedConv");
        let mut done = Vec::new();
        for (i, ((from, to), (out_from, out_to))) in (0u32..).zip(ranges) {
            let whole = || b.error(format!("{out:?}"), "sections that end where the parts end");
            let own = out.piece(out_from, out_to - out_from).ok_or_else(whole)?;
            let part = b.op(Op::Slice { start: from, len: to - from }, &[x])?;
            done.push(b.op_at(i, op(i, own), &[part])?);
        }
        b.op(Op::Concat, &done)
    })
}

fn pointwise(_: u32, out: Sections) -> Op {
    Op::Conv { out, kernel: 1, stride: 1, pad: 0, dilation: 1, groups: Groups::Dense, bias: false }
}

impl Block for MixedResidual {
    fn kind(&self) -> &'static str {
        "mixed_residual"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        let ([expand, filter, project], stride) = (self.parts, self.stride);
        let (norms, name) = if self.mid.is_some() { (["bn2", "bn3"], "conv_pwl") } else { (["bn1", "bn2"], "conv_pw") };
        let mut y = x;
        if let Some(mid) = self.mid {
            y = in_parts(b, "conv_pw", y, expand, &cut(mid, &self.parts), pointwise)?;
            y = b.bn("bn1", y)?;
            y = b.act(self.act, y)?;
        }
        let depthwise = |i: u32, out| {
            let kernel = 3 + 2 * i;
            Op::Conv { out, kernel, stride, pad: kernel / 2, dilation: 1, groups: Groups::Depthwise, bias: false }
        };
        let inside = b.value(y).sections.clone();
        y = in_parts(b, "conv_dw", y, filter, &inside, depthwise)?;
        y = b.bn(norms[0], y)?;
        y = b.act(self.act, y)?;
        if let Some(squeeze) = self.squeeze {
            y = squeeze.append(b, y)?;
        }
        y = in_parts(b, name, y, project, &Sections::halves(self.out), pointwise)?;
        y = b.bn(norms[1], y)?;
        if stride == 1 && b.channels(x) == self.out { residual(b, x, y, 0) } else { Ok(y) }
    }
}
