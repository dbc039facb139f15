//! Each operation as Python.

use mobilenas_space::ir::{ActFn, Groups, Layout, Node, Op, ScaleName, Sections};

use crate::error::PytorchError;
use crate::form::{MATMUL, Num, Skip, Slot, Statement, Unit};
use crate::helpers::Helper;
use crate::tree::{Item, Module, Tree};

/// A statement with the nodes that it reads and its numbers.
pub(crate) struct Line {
    pub(crate) statement: Statement,
    pub(crate) reads: Vec<usize>,
    pub(crate) slots: Vec<Slot>,
}

impl Line {
    pub(crate) fn call(node: &Node, call: &str, slots: Vec<Slot>) -> Line {
        let reads = node.inputs.iter().map(|i| *i as usize).collect();
        let (skip, helpers) = (Skip::Never, Vec::new());
        let (name, make, results) = (None, String::new(), Vec::new());
        let statement = Statement { name, make, call: call.to_string(), results, skip, helpers, divides: false };
        Line { statement, reads, slots }
    }

    /// A module of PyTorch.
    pub(crate) fn layer(node: &Node, make: &str, slots: Vec<Slot>) -> Line {
        let mut line = Line::call(node, "~($0)", slots);
        (line.statement.name, line.statement.make) = (leaf(node), make.to_string());
        line.statement.skip = Skip::Input(0);
        line
    }

    pub(crate) fn with(mut self, helper: Helper) -> Line {
        self.statement.helpers.push(helper);
        self
    }

    pub(crate) fn skip(mut self, skip: Skip) -> Line {
        self.statement.skip = skip;
        self
    }

    pub(crate) fn divides(mut self) -> Line {
        self.statement.divides = true;
        self
    }
}

/// The last segment of a node's path.
pub(crate) fn leaf(node: &Node) -> Option<String> {
    node.path.segments().last().map(|s| crate::tree::text(std::slice::from_ref(s)))
}

/// An operation in the module that runs it.
pub(crate) struct At<'a> {
    pub(crate) tree: &'a Tree<'a>,
    pub(crate) module: &'a Module<'a>,
    pub(crate) index: usize,
}

pub(crate) fn real(number: f64) -> Num {
    Num::Real(format!("{number:?}").replace("e-", "e-0").replace("e-01", "e-1"))
}

fn flag(on: bool) -> Slot {
    Slot::new(Unit::Flag, "flag", Num::Bool(on))
}

/// The side of the patches, if an operation unfolds.
fn unfold_patch(op: &Op) -> Option<u32> {
    if let Op::Unfold { patch, .. } = op { Some(*patch) } else { None }
}

impl At<'_> {
    pub(crate) fn node(&self) -> &Node {
        &self.tree.graph.nodes[self.index]
    }

    pub(crate) fn input(&self, k: usize) -> Result<&Node, PytorchError> {
        self.node().inputs.get(k).map(|i| &self.tree.graph.nodes[*i as usize]).ok_or_else(|| self.unfit("nothing"))
    }

    pub(crate) fn unfit(&self, found: impl ToString) -> PytorchError {
        let node = self.node();
        PytorchError::Shape { at: node.path.to_string(), op: node.op.name(), found: found.to_string() }
    }

    /// The axis of the channels in Python.
    pub(crate) fn axis(&self) -> i64 {
        let value = &self.node().value;
        if value.axis + 1 == value.dims.len() { -1 } else { 1 + value.axis as i64 }
    }

    pub(crate) fn line(&self) -> Result<Line, PytorchError> {
        let node = self.node();
        let call = |text: &str| Ok(Line::call(node, text, Vec::new()));
        match &node.op {
            Op::Input => Err(self.unfit("the image")),
            Op::Conv { .. } | Op::BatchNorm | Op::LayerNorm { .. } | Op::GroupNorm { .. } => self.layer(),
            Op::ChannelScale { init_e7, name: ScaleName::Attribute } => self.own_scale(*init_e7),
            Op::Linear { .. } | Op::ChannelScale { .. } => self.layer(),
            Op::Act(f) => Ok(self.act(*f)),
            Op::AvgPool { kernel, stride, pad } => Ok(self.avg_pool(*kernel, *stride, *pad)),
            Op::MaxPool { kernel, stride, pad } => Ok(self.max_pool(*kernel, *stride, *pad)),
            Op::GlobalPool { keep } => self.global_pool(*keep),
            Op::Shuffle { groups } => {
                let slots = vec![Slot::int(Unit::Groups, "groups", *groups)];
                Ok(Line::call(node, "channel_shuffle($0, #0)", slots).with(Helper::Shuffle))
            }
            Op::ResizeNearest { h, w } => Ok(self.resize_nearest(*h, *w)),
            Op::ResizeCubic { h, w } => Ok(self.resize_cubic(*h, *w)),
            Op::Resize { h, w, align_corners } => self.resize(*h, *w, *align_corners),
            Op::Unfold { patch, layout } => self.unfold(*patch, *layout),
            Op::Fold { patch, layout, h, w } => self.fold(*patch, *layout, (*h, *w)),
            Op::Flatten => call("@0.flatten(2).transpose(1, 2)"),
            // A learnt vector is held without the row that it is.
            Op::Unflatten { h: 1, w: 1 } if matches!(self.input(0)?.op, Op::Learnt { axes: 1, .. }) => {
                call("@0[:, None, None]")
            }
            Op::Unflatten { h, w } => {
                let slots = vec![Slot::int(Unit::Side, "side", *h), Slot::int(Unit::Side, "side", *w)];
                Ok(Line::call(node, "@0.transpose(1, 2).unflatten(2, (#0, #1))", slots))
            }
            Op::SplitRows { parts: _ } => {
                let slots = vec![Slot::channels("channels", &node.value.sections)];
                Ok(Line::call(node, "@0.reshape(@0.shape[0], -1, #0)", slots))
            }
            Op::AdaptiveAvgPool { h, w } => {
                let slots = vec![Slot::int(Unit::Count, "bins", *h), Slot::int(Unit::Count, "bins", *w)];
                Ok(Line::call(node, "F.adaptive_avg_pool2d($0, (#0, #1))", slots))
            }
            Op::Slice { start, len } => Ok(self.slice(*start, *len)),
            Op::SliceHeads { heads, start, len } => self.slice_heads(*heads, *start, *len),
            Op::Concat => self.concat(self.axis()),
            // Rows of patches are rows of more images.
            Op::ConcatRows => self.concat(1),
            Op::Rows { start, len } => Ok(self.rows(*start, *len)),
            Op::Row { index } => Ok(Line::call(node, "@0[:, #0]", vec![Slot::int(Unit::Rows, "index", *index)])),
            Op::Add => Ok(Line::call(node, "$0 + $1", Vec::new()).skip(Skip::Residual)),
            Op::Sub => call("$0 - @1"),
            Op::Mean => call("($0 + $1) / 2"),
            Op::Mul => call("@0 * @1"),
            Op::SumWidth => call("@0.sum(-1, keepdim=True)"),
            Op::Softmax => self.softmax(),
            Op::InvSqrt { n } => {
                Ok(Line::call(node, "@0 * #0 ** -0.5", vec![Slot::int(Unit::HeadDim, "key_dim", *n).rank(1)]))
            }
            Op::Attention { heads, key_dim } => self.attention(*heads, *key_dim),
            Op::LinearAttention { heads, key_dim } => self.linear_attention(*heads, *key_dim),
            Op::L2Norm => Ok(Line::call(node, "l2_norm($0)", Vec::new()).with(Helper::L2Norm)),
            Op::SplitHeads { heads, transposed } => self.split_heads(*heads, *transposed),
            Op::MergeHeads { h, w, transposed } => self.merge_heads(*h, *w, *transposed),
            Op::MatMul => call(MATMUL),
            Op::BiasTable { heads, h, w, stride, index } => Ok(self.bias_table(*heads, (*h, *w), *stride, *index)),
            Op::Learnt { init, .. } => self.learnt(*init),
            Op::Fourier => Ok(Line::call(node, "fourier($0)", Vec::new()).with(Helper::Fourier)),
            Op::Offsets { h, w } => Ok(self.offsets(*h, *w)),
            Op::RelativeLogits { heads } => self.relative_logits(*heads),
            Op::Windows { side } => {
                let slots =
                    vec![Slot::channels("channels", &node.value.sections), Slot::int(Unit::Side, "window", *side)];
                Ok(Line::call(node, "windows($0, #0, #1)", slots).with(Helper::Windows))
            }
            Op::Unwindow { h, w } => self.unwindow(*h, *w),
            Op::Vector => call("@0.flatten(1)"),
            Op::ConvTranspose { out, kernel, bias } => self.conv_transpose(out, *kernel, *bias),
            // What names them is no module.
            Op::Regions { .. } => Err(self.unfit(&node.value)),
            Op::Dropout { permille } => {
                let line = Line::call(
                    node,
                    "F.dropout($0, #0, self.training)",
                    vec![Slot::new(Unit::Rate, "dropout", real(f64::from(*permille) / 1000.0))],
                );
                Ok(line.skip(Skip::Neutral(0)))
            }
            Op::DropPath { permille } => Ok(self.drop_path(*permille)),
        }
    }

    fn layer(&self) -> Result<Line, PytorchError> {
        let (node, x) = (self.node(), self.input(0)?);
        let value = &x.value;
        let channels = || Slot::channels("channels", &value.sections);
        let on_map = value.hw().is_some();
        let norm = |make: &str, eps: f64| {
            // Layer and group norms name the width of a transformer.
            let width = match node.op == Op::BatchNorm {
                true => channels(),
                false => Slot::channels("dim", &value.sections).rank(1),
            };
            Ok(Line::layer(node, make, vec![width, Slot::new(Unit::Eps, "eps", real(eps))]))
        };
        if let Op::Conv { out, kernel, stride, pad, dilation, groups, bias } = &node.op {
            Ok(self.conv(x, out, [*kernel, *stride, *pad, *dilation], *groups, *bias))
        } else if let Op::Linear { out, bias } = &node.op {
            let classes = self.tree.is_classifier(self.index);
            let unit = if classes { Unit::Classes } else { Unit::Channels };
            let mut to = Slot { unit, ..Slot::channels(if classes { "classes" } else { "hidden" }, out) };
            if classes {
                to.num = to.num.plain();
            }
            let bias = Slot::new(Unit::Bias, "bias", Num::Bool(*bias));
            Ok(Line::layer(node, "nn.Linear(#0, #1<, bias=#2|True>)", vec![channels(), to, bias]))
        } else if let Op::LayerNorm { eps_e7, bias } = node.op {
            let make =
                if bias { "nn.LayerNorm(#0<, eps=#1|1e-05>)" } else { "nn.LayerNorm(#0<, eps=#1|1e-05>, bias=False)" };
            norm(make, f64::from(eps_e7) / 1e7)
        } else if let Op::ChannelScale { init_e7, name } = node.op {
            let (make, helper) = match (on_map, name) {
                (_, ScaleName::Scale) => ("Scale(#0, init=#1)", Helper::Scale),
                (true, ScaleName::Pixel) => ("LayerScaleMap(#0, init=#1)", Helper::LayerScaleMap),
                (true, ScaleName::Gamma | ScaleName::Attribute) => ("LayerScale2d(#0, init=#1)", Helper::LayerScale2d),
                (false, _) => ("LayerScale(#0, init=#1)", Helper::LayerScale),
            };
            let init = Slot::new(Unit::Scale, "init", real(f64::from(init_e7) / 1e7));
            Ok(Line::layer(node, make, vec![channels(), init]).with(helper))
        } else if let Op::GroupNorm { eps_e7, bias } = node.op {
            let (make, helper) = match bias {
                true => ("GroupNorm(#0<, eps=#1|1e-05>)", Helper::GroupNorm),
                false => ("GroupScale(#0<, eps=#1|1e-05>)", Helper::GroupScale),
            };
            norm(make, f64::from(eps_e7) / 1e7).map(|line| line.with(helper))
        } else if on_map {
            norm("nn.BatchNorm2d(#0<, eps=#1|1e-05>)", self.tree.graph.bn_eps())
        } else if value.dims.len() == 1 {
            norm("nn.BatchNorm1d(#0<, eps=#1|1e-05>)", self.tree.graph.bn_eps())
        } else {
            Err(self.unfit(value))
        }
    }

    fn conv(&self, x: &Node, out: &Sections, window: [u32; 4], groups: Groups, bias: bool) -> Line {
        let ([kernel, stride, pad, dilation], from) = (window, &x.value.sections);
        let shape = groups;
        let (out, groups) = match shape {
            Groups::Dense => (out, Num::Int(1)),
            Groups::Grouped(n) => (out, Num::Int(n)),
            Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => {
                (if out.total() == from.total() { from } else { out }, Num::Channels(from.clone()))
            }
        };
        let slots = vec![
            Slot::channels("channels", from),
            Slot::channels("hidden", out),
            Slot::int(Unit::Kernel, "kernel", kernel),
            Slot::int(Unit::Stride, "stride", stride),
            Slot::int(Unit::Pad, "padding", pad),
            Slot::new(Unit::Groups, "groups", groups),
            Slot::new(Unit::Bias, "bias", Num::Bool(bias)),
            Slot::int(Unit::Stride, "dilation", dilation),
        ];
        let make = match shape {
            Groups::Dense | Groups::Depthwise | Groups::Grouped(_) => {
                "nn.Conv2d(#0, #1, #2<, stride=#3|1><, padding=#4|0><, dilation=#7|1><, groups=#5|1><, bias=#6|True>)"
            }
            Groups::DepthwiseRow => {
                "nn.Conv2d(#0, #1, (1, #2)<, stride=#3|1>, padding=(0, #4)<, dilation=#7|1><, groups=#5|1><, bias=#6|True>)"
            }
            Groups::DepthwiseColumn => {
                "nn.Conv2d(#0, #1, (#2, 1)<, stride=#3|1>, padding=(#4, 0)<, dilation=#7|1><, groups=#5|1><, bias=#6|True>)"
            }
        };
        let mut line = Line::layer(self.node(), make, slots);
        if kernel == 1 && (x.op == Op::Softmax || self.is_read_by_softmax()) {
            // A 1x1 convolution of attention weights: the softmax must not see the memory layout of a feature map.
            let call = "~($0.flatten(2).unsqueeze(2)).reshape(-1, #8, $0.shape[2], $0.shape[3])";
            line.statement.call = call.to_string();
            line.statement.skip = Skip::Never;
            line.slots.push(Slot::int(Unit::Heads, "heads", out.total()));
        }
        line
    }

    fn is_read_by_softmax(&self) -> bool {
        self.tree.readers[self.index].iter().any(|r| self.tree.graph.nodes[*r].op == Op::Softmax)
    }

    fn act(&self, f: ActFn) -> Line {
        Line::call(self.node(), "#0($0)", vec![Slot::new(Unit::Act, "act", Num::Act(Some(f)))]).skip(Skip::Neutral(0))
    }

    /// To the size of an earlier map if there is one.
    fn resize_nearest(&self, h: u32, w: u32) -> Line {
        let (node, nodes) = (self.node(), &self.tree.graph.nodes);
        if let Some(like) = self.before().find(|i| nodes[*i].value.hw() == Some((h, w))) {
            let mut line = Line::call(node, "F.interpolate($0, size=($1.shape[2], $1.shape[3]))", Vec::new());
            line.reads.push(like);
            return line;
        }
        let slots = vec![Slot::int(Unit::Side, "side", h), Slot::int(Unit::Side, "side", w)];
        Line::call(node, "F.interpolate($0, size=(#0, #1))", slots)
    }

    /// Nodes of this module before the operation, the inputs first.
    fn before(&self) -> impl Iterator<Item = usize> {
        let of = |item: &Item| match item {
            Item::Node(i) => vec![*i],
            Item::Child(m) => self.tree.modules[*m].outputs.clone(),
            Item::Split(_) => Vec::new(),
        };
        let items: Vec<usize> = self.module.items.iter().flat_map(of).filter(|i| *i < self.index).collect();
        self.module.inputs.iter().copied().chain(items)
    }

    /// To whole patches if an unfolding here needs them, else to the size of an earlier map if there is one.
    fn resize(&self, h: u32, w: u32, align_corners: bool) -> Result<Line, PytorchError> {
        let node = self.node();
        let from = self.input(0)?.value.hw().ok_or_else(|| self.unfit("rows"))?;
        let nodes = &self.tree.graph.nodes;
        let unfold = self.module.items.iter().find_map(|item| match item {
            Item::Node(i) if *i > self.index => match unfold_patch(&nodes[*i].op) {
                Some(p) if (from.0.next_multiple_of(p), from.1.next_multiple_of(p)) == (h, w) => Some(p),
                Some(_) | None => None,
            },
            Item::Node(_) | Item::Split(_) | Item::Child(_) => None,
        });
        let line = if let Some(patch) = unfold {
            let slots = vec![Slot::int(Unit::Patch, "patch", patch), flag(align_corners)];
            Line::call(node, "whole_patches($0, #0, align_corners=#1)", slots).with(Helper::WholePatches)
        } else if let Some(like) = self.before().find(|i| nodes[*i].value.hw() == Some((h, w))) {
            let call = "resize($0, $1.shape[2], $1.shape[3], align_corners=#0)";
            let mut line = Line::call(node, call, vec![flag(align_corners)]);
            line.reads.push(like);
            line
        } else if (2 * from.0, 2 * from.1) == (h, w) {
            let call = "resize($0, 2 * $0.shape[2], 2 * $0.shape[3], align_corners=#0)";
            return Ok(Line::call(node, call, vec![flag(align_corners)]).with(Helper::Resize));
        } else {
            let slots = vec![Slot::int(Unit::Side, "side", h), Slot::int(Unit::Side, "side", w), flag(align_corners)];
            Line::call(node, "resize($0, #0, #1, align_corners=#2)", slots)
        };
        Ok(line.with(Helper::Resize).skip(Skip::Neutral(0)))
    }

    fn unfold(&self, patch: u32, layout: Layout) -> Result<Line, PytorchError> {
        let x = self.input(0)?;
        let (call, helper) = match layout {
            Layout::Rows => ("unfold_rows($0, #0, #1)", Helper::UnfoldRows),
            Layout::Map => ("unfold($0, #0, #1)", Helper::Unfold),
        };
        let slots = vec![Slot::channels("channels", &x.value.sections), Slot::int(Unit::Patch, "patch", patch)];
        Ok(Line::call(self.node(), call, slots).with(Helper::Unfold).with(helper))
    }

    fn fold(&self, patch: u32, layout: Layout, (h, w): (u32, u32)) -> Result<Line, PytorchError> {
        let (node, x) = (self.node(), self.input(0)?);
        let (name, helper) = match layout {
            Layout::Rows => ("fold_rows", Helper::FoldRows),
            Layout::Map => ("fold", Helper::Fold),
        };
        let mut slots = vec![Slot::channels("channels", &x.value.sections), Slot::int(Unit::Patch, "patch", patch)];
        let nodes = &self.tree.graph.nodes;
        // The map that was unfolded knows the size at any resolution.
        let unfolded = |i: &usize| unfold_patch(&nodes[*i].op) == Some(patch);
        let like = self.before().filter(unfolded).last().and_then(|i| nodes[i].inputs.first().copied());
        let like = like.map(|i| i as usize).filter(|i| nodes[*i].value.hw() == Some((h, w)));
        let line = match like.filter(|i| self.before().any(|b| b == *i)) {
            Some(like) => {
                let call = format!("{name}($0, #0, #1, $1.shape[2], $1.shape[3])");
                let mut line = Line::call(node, &call, slots);
                line.reads.push(like);
                line
            }
            None => {
                slots.extend([Slot::int(Unit::Side, "side", h), Slot::int(Unit::Side, "side", w)]);
                Line::call(node, &format!("{name}($0, #0, #1, #2, #3)"), slots)
            }
        };
        Ok(line.with(Helper::Fold).with(helper))
    }
}
