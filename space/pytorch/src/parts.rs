//! Operations on parts of channels and heads, and learnt tables, as Python.

use mobilenas_space::ir::{LearntInit, Node, Op, Sections, SliceRule, Value};

use crate::error::PytorchError;
use crate::form::{Num, Skip, Slot, Unit};
use crate::helpers::Helper;
use crate::lower::{At, Line, leaf, real};
use crate::tree::Tree;

/// The size of a value in the source for so many images: rows of patches and windows are those of more images.
pub fn size(value: &Value, images: u32) -> Vec<u32> {
    let (more, each) = match value.dims[..] {
        [pixels, _, _] if value.axis == 2 => (pixels, &value.dims[1..]),
        _ => (1, &value.dims[..]),
    };
    std::iter::once(images * value.windows * more).chain(each.iter().copied()).collect()
}

/// Rows of several pixels of patches are rows of more images.
fn images_per_batch(value: &Value) -> u32 {
    match value.dims[..] {
        [pixels, _, _] if value.axis == 2 => pixels,
        _ => 1,
    }
}

/// Slices that together are one value, as one statement.
pub(crate) fn split(tree: &Tree, slices: &[usize]) -> Option<Line> {
    let nodes: Vec<_> = slices.iter().map(|i| &tree.graph.nodes[*i]).collect();
    let first = nodes.first()?;
    let read_by = |i: usize, op: fn(&Op) -> bool| tree.readers[i].iter().any(|r| op(&tree.graph.nodes[*r].op));
    let parts = nodes.len();
    let axis = if first.value.axis + 1 == first.value.dims.len() { -1 } else { 1 + first.value.axis as i64 };
    let by_head = if let Op::SliceHeads { heads, .. } = first.op { Some(heads) } else { None };
    let mut slots = Vec::new();
    let equal = nodes.iter().all(|n| n.value == first.value);
    let place = |k: usize| format!("#{k}");
    let list = |from: usize| (from..from + parts).map(place).collect::<Vec<_>>().join(", ");
    let call = if let Some(heads) = by_head {
        let dims = nodes.iter().map(|n| n.value.channels() / heads.max(1));
        slots.extend(dims.clone().map(|d| Slot::int(Unit::HeadDim, "key_dim", d).rank(3)));
        slots.push(Slot::int(Unit::Heads, "heads", heads));
        slots.push(Slot::int(Unit::HeadDim, "head_dim", dims.sum()));
        format!("heads_of($0, #{parts}, #{}).split([{}], dim=3)", parts + 1, list(0))
    } else if equal {
        format!("@0.chunk({parts}, dim={axis})")
    } else {
        let part = |n: &&Node| match n.value.channels() {
            1 => Slot::int(Unit::Rows, "one", 1),
            _ => Slot::channels("hidden", &n.value.sections),
        };
        slots.extend(nodes.iter().map(part));
        format!("@0.split([{}], dim={axis})", list(0))
    };
    let mut line = Line::call(first, &call, slots).divides();
    let attention = slices.iter().all(|i| read_by(*i, |op| matches!(op, Op::Attention { .. })));
    line.statement.results = match (attention, parts) {
        (true, 3) => vec!["q", "k", "v"],
        _ => {
            let scores = |i: &usize| read_by(*i, |op| *op == Op::Softmax);
            let mut others = ["key", "value", "a", "b", "c", "d"].into_iter();
            let output = |i: &usize| tree.graph.outputs.iter().find(|o| o.node == *i).map(|o| o.name);
            let name = |i: &usize| output(i).or_else(|| if scores(i) { Some("scores") } else { others.next() });
            slices.iter().map(name).collect::<Option<_>>()?
        }
    };
    Some(if by_head.is_some() { line.with(Helper::HeadsOf) } else { line })
}

impl At<'_> {
    pub(crate) fn slice(&self, start: u32, len: u32) -> Line {
        let slots = vec![Slot::int(Unit::Rows, "start", start), Slot::int(Unit::Rows, "length", len)];
        // A table has no batch axis.
        let table = self
            .node()
            .inputs
            .first()
            .is_some_and(|i| matches!(self.tree.graph.nodes[*i as usize].op, Op::BiasTable { .. }));
        let axis = if table { 0 } else { self.axis() };
        Line::call(self.node(), &format!("@0.narrow({axis}, #0, #1)"), slots).divides()
    }

    pub(crate) fn slice_heads(&self, heads: u32, start: u32, len: u32) -> Result<Line, PytorchError> {
        let value = &self.input(0)?.value;
        if self.axis() != -1 || value.dims.len() < 2 {
            return Err(self.unfit(value));
        }
        let slots = vec![
            Slot::int(Unit::Heads, "heads", heads),
            Slot::int(Unit::HeadDim, "head_dim", value.channels() / heads.max(1)),
            Slot::int(Unit::Rows, "start", start),
            Slot::int(Unit::HeadDim, "key_dim", len),
        ];
        let line = Line::call(self.node(), "heads_of($0, #0, #1).narrow(3, #2, #3).flatten(2)", slots);
        Ok(line.with(Helper::HeadsOf).divides())
    }

    /// A learnt tensor is the same for all images, so it is repeated.
    pub(crate) fn concat(&self, axis: i64) -> Result<Line, PytorchError> {
        let node = self.node();
        let learnt = |i: &u32| matches!(self.tree.graph.nodes[*i as usize].op, Op::Learnt { .. });
        let images = node.inputs.iter().position(|i| !learnt(i)).ok_or_else(|| self.unfit("learnt rows alone"))?;
        let part = |(k, i): (usize, &u32)| match learnt(i) {
            true => format!("@{k}.expand(@{images}.shape[0], -1, -1)"),
            false => format!("${k}"),
        };
        let parts: Vec<String> = node.inputs.iter().enumerate().map(part).collect();
        let line = Line::call(node, &format!("torch.cat([{}], dim={axis})", parts.join(", ")), Vec::new());
        Ok(line.divides())
    }

    /// Scores of one channel are a convolution's: the softmax must not see the memory layout of a feature map.
    pub(crate) fn softmax(&self) -> Result<Line, PytorchError> {
        let value = &self.input(0)?.value;
        let one_channel = value.hw().is_some() && value.channels() == 1;
        let call = if one_channel { "@0.flatten(1, 2).softmax(-1).unsqueeze(1)" } else { "@0.softmax(-1)" };
        Ok(Line::call(self.node(), call, Vec::new()))
    }

    pub(crate) fn attention(&self, heads: u32, key_dim: u32) -> Result<Line, PytorchError> {
        let (node, value_dim) = (self.node(), self.input(2)?.value.channels() / heads.max(1));
        let names = if key_dim == value_dim { ["head_dim"; 2] } else { ["key_dim", "value_dim"] };
        let slots = vec![
            Slot::int(Unit::Heads, "heads", heads),
            Slot::int(Unit::HeadDim, names[0], key_dim).rank(1),
            Slot::int(Unit::HeadDim, names[1], value_dim).rank(1),
        ];
        let (call, helper) = match node.inputs.len() {
            3 => ("attention($0, $1, $2, #0, #1, #2)", Helper::Attention),
            _ => ("biased_attention($0, $1, $2, $3, #0, #1, #2)", Helper::BiasedAttention),
        };
        Ok(Line::call(node, call, slots).with(helper).divides())
    }

    pub(crate) fn split_heads(&self, heads: u32, transposed: bool) -> Result<Line, PytorchError> {
        let dim = self.input(0)?.value.channels() / heads.max(1);
        let call = if transposed { "split_heads($0, #0, #1)" } else { "split_heads($0, #0, #1).transpose(2, 3)" };
        let slots = vec![Slot::int(Unit::Heads, "heads", heads), Slot::int(Unit::HeadDim, "value_dim", dim)];
        Ok(Line::call(self.node(), call, slots).with(Helper::SplitHeads).divides())
    }

    pub(crate) fn merge_heads(&self, h: u32, w: u32, transposed: bool) -> Result<Line, PytorchError> {
        let sections = &self.node().value.sections;
        let slots = vec![
            Slot::channels("channels", sections),
            Slot::int(Unit::Side, "side", h),
            Slot::int(Unit::Side, "side", w),
        ];
        if transposed {
            return Ok(Line::call(self.node(), "@0.reshape(-1, #0, #1, #2)", slots).divides());
        }
        let line = Line::call(self.node(), "merge_heads($0, #0, #1, #2)", slots);
        Ok(line.with(Helper::MergeHeads).divides())
    }

    /// Biases by the distance of query and key; the table of indices follows from the size of the grid.
    pub(crate) fn bias_table(&self, heads: u32, (h, w): (u32, u32), stride: u32, saved: bool) -> Line {
        let side = if stride == 1 { "side" } else { "key_side" };
        let slots = vec![
            Slot::int(Unit::Heads, "heads", heads),
            Slot::int(Unit::Side, side, h).rank(3),
            Slot::int(Unit::Side, side, w).rank(3),
            Slot::int(Unit::Stride, "stride", stride),
        ];
        let mut line = Line::call(self.node(), "~[:, self.attention_bias_idxs]", slots).with(Helper::Distances);
        line.statement.name = Some("attention_biases".to_string());
        line.statement.results = vec!["bias"];
        let saved = if saved { "" } else { ", persistent=False" };
        line.statement.make = format!(
            "nn.Parameter(torch.zeros(#0, #1 * #2))\n\
             self.register_buffer(\"attention_bias_idxs\", distances(#1, #2<, stride=#3|1>){saved})"
        );
        line.divides()
    }

    pub(crate) fn resize_cubic(&self, h: u32, w: u32) -> Line {
        let slots = vec![Slot::int(Unit::Side, "side", h), Slot::int(Unit::Side, "side", w)];
        let call = "F.interpolate($0, size=(#0, #1), mode=\"bicubic\", align_corners=False)";
        Line::call(self.node(), call, slots)
    }

    pub(crate) fn offsets(&self, h: u32, w: u32) -> Line {
        let slots = vec![Slot::int(Unit::Side, "side", h), Slot::int(Unit::Side, "side", w)];
        Line::call(self.node(), "offsets($0, #0, #1)", slots).with(Helper::Offsets)
    }

    /// A module that holds the vectors of rows and of columns.
    pub(crate) fn relative_logits(&self, heads: u32) -> Result<Line, PytorchError> {
        let value = &self.input(0)?.value;
        let (h, w) = value.hw().ok_or_else(|| self.unfit(value))?;
        let slots = vec![
            Slot::int(Unit::Heads, "heads", heads),
            Slot::int(Unit::HeadDim, "head_dim", value.channels() / heads.max(1)),
            Slot::int(Unit::Side, "side", h),
            Slot::int(Unit::Side, "side", w),
        ];
        let line = Line::layer(self.node(), "RelativeLogits(#0, #1, #2, #3)", slots).skip(Skip::Never);
        Ok(line.with(Helper::RelativeLogits))
    }

    /// A learnt tensor as checkpoints hold it: it broadcasts.
    pub(crate) fn learnt(&self, init: LearntInit) -> Result<Line, PytorchError> {
        let held = self.tree.graph.node_params(self.index);
        let axes = held.first().map(|spec| &spec.axes[..]).ok_or_else(|| self.unfit("no tensor"))?;
        let slot = |axis: &SliceRule| match axis {
            SliceRule::Leading(sections) if sections.total() > 1 => Slot::channels("dim", sections),
            SliceRule::Leading(_) | SliceRule::Centre(_) | SliceRule::Whole(_) | SliceRule::Table { .. } => {
                Slot::int(Unit::Rows, "rows", axis.len())
            }
        };
        // The leading 1 of rows and maps is never another number.
        let constant = usize::from(axes.len() > self.node().value.dims.len());
        let slots: Vec<Slot> = axes[constant..].iter().map(slot).collect();
        let places = (0..slots.len()).map(|k| format!("#{k}"));
        let sizes: Vec<String> = std::iter::repeat_n("1".to_string(), constant).chain(places).collect();
        let sizes = sizes.join(", ");
        let mut line = Line::call(self.node(), "~", slots);
        line.statement.name = leaf(self.node());
        line.statement.make = match init {
            LearntInit::Truncated => {
                format!("nn.Parameter(nn.init.trunc_normal_(torch.empty({sizes}), std=0.02, a=-0.04, b=0.04))")
            }
            LearntInit::Normal => format!("nn.Parameter(torch.randn({sizes}))"),
            LearntInit::Zeros => format!("nn.Parameter(torch.zeros({sizes}))"),
            LearntInit::Ones => format!("nn.Parameter(torch.ones({sizes}))"),
        };
        Ok(line)
    }

    /// A layer scale that is an attribute of the module around it.
    pub(crate) fn own_scale(&self, init_e7: u32) -> Result<Line, PytorchError> {
        let value = &self.input(0)?.value;
        let init = Slot::new(Unit::Scale, "init", real(f64::from(init_e7) / 1e7));
        let call = if value.hw().is_some() { "@0 * ~[:, None, None]" } else { "@0 * ~" };
        let mut line = Line::call(self.node(), call, vec![Slot::channels("channels", &value.sections), init]);
        line.statement.name = leaf(self.node());
        line.statement.make = "nn.Parameter(torch.full((#0,), #1))".to_string();
        Ok(line)
    }

    pub(crate) fn rows(&self, start: u32, len: u32) -> Line {
        let slots = vec![Slot::int(Unit::Rows, "start", start), Slot::int(Unit::Rows, "rows", len)];
        Line::call(self.node(), "@0.narrow(1, #0, #1)", slots)
    }

    pub(crate) fn linear_attention(&self, heads: u32, key_dim: u32) -> Result<Line, PytorchError> {
        let value_dim = self.input(2)?.value.channels() / heads.max(1);
        let names = if key_dim == value_dim { ["head_dim"; 2] } else { ["key_dim", "value_dim"] };
        let slots = vec![
            Slot::int(Unit::Heads, "heads", heads),
            Slot::int(Unit::HeadDim, names[0], key_dim).rank(1),
            Slot::int(Unit::HeadDim, names[1], value_dim).rank(1),
        ];
        let line = Line::call(self.node(), "linear_attention($0, $1, $2, #0, #1, #2)", slots);
        Ok(line.with(Helper::LinearAttention).divides())
    }

    pub(crate) fn unwindow(&self, h: u32, w: u32) -> Result<Line, PytorchError> {
        let side = self.input(0)?.value.hw().map_or(0, |(h, _)| h);
        let slots = vec![
            Slot::channels("channels", &self.node().value.sections),
            Slot::int(Unit::Side, "window", side),
            Slot::int(Unit::Side, "side", h),
            Slot::int(Unit::Side, "side", w),
        ];
        Ok(Line::call(self.node(), "unwindow($0, #0, #1, #2, #3)", slots).with(Helper::Unwindow))
    }

    pub(crate) fn conv_transpose(&self, out: &Sections, kernel: u32, bias: bool) -> Result<Line, PytorchError> {
        let slots = vec![
            Slot::channels("channels", &self.input(0)?.value.sections),
            Slot::channels("hidden", out),
            Slot::int(Unit::Kernel, "kernel", kernel),
            Slot::new(Unit::Bias, "bias", Num::Bool(bias)),
        ];
        Ok(Line::layer(self.node(), "nn.ConvTranspose2d(#0, #1, #2, stride=#2<, bias=#3|True>)", slots))
    }

    pub(crate) fn drop_path(&self, permille: u32) -> Line {
        let parts = images_per_batch(&self.node().value);
        let mut slots = vec![Slot::new(Unit::Rate, "drop_path", real(f64::from(permille) / 1000.0))];
        slots.push(Slot::new(Unit::Patch, "pixels", Num::Int(parts)));
        let line = Line::call(self.node(), "drop_path($0, #0, self.training<, pixels=#1|1>)", slots);
        line.with(Helper::DropPath).skip(Skip::Neutral(0))
    }
}
