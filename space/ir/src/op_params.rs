//! The tensors of each primitive operation.

use super::op::{Groups, InitStyle, LearntInit, Op, ScaleName};
use super::param::Init;
use super::{ParamSpec, Role, Sections, SliceRule, Value};

/// A tensor; its owner completes the name.
fn spec(leaf: &str, axes: Vec<SliceRule>, init: Init, role: Role) -> ParamSpec {
    ParamSpec { name: leaf.to_string(), shared: String::new(), axes, init, role }
}

fn weight_and_bias(weight: ParamSpec, bias: Option<Init>) -> Vec<ParamSpec> {
    let rows = weight.axes[..1].to_vec();
    let bias = bias.map(|init| spec("bias", rows, init, Role::Bias));
    std::iter::once(weight).chain(bias).collect()
}

fn conv(input: &Sections, out: &Sections, kernel: u32, groups: Groups, bias: bool, style: InitStyle) -> Vec<ParamSpec> {
    let (rows, cols, parts) = match groups {
        Groups::Dense => (out, SliceRule::Leading(input.clone()), 1),
        Groups::Grouped(n) => {
            let each = input.total() / n.max(1);
            (out, SliceRule::Leading(Sections::plain(each)), n.max(1))
        }
        Groups::Depthwise | Groups::DepthwiseRow | Groups::DepthwiseColumn => {
            let rows = if out.total() == input.total() { input } else { out };
            (rows, SliceRule::Whole(1), input.total().max(1))
        }
    };
    let sides = groups.pair(kernel, 1);
    let area = sides[0] * sides[1];
    let (w, b) = style.conv(cols.len() * area, rows.total() / parts * area, parts);
    let [height, width] = sides.map(SliceRule::Centre);
    let weight = spec("weight", vec![SliceRule::Leading(rows.clone()), cols, height, width], w, Role::Weight);
    weight_and_bias(weight, bias.then_some(b))
}

fn norm(input: &Sections, bias: bool) -> Vec<ParamSpec> {
    let rule = || vec![SliceRule::Leading(input.clone())];
    let weight = spec("weight", rule(), Init::Const(1.0), Role::Norm);
    let bias = bias.then(|| spec("bias", rule(), Init::Const(0.0), Role::Norm));
    std::iter::once(weight).chain(bias).collect()
}

fn batch_norm(input: &Sections) -> Vec<ParamSpec> {
    let rule = || vec![SliceRule::Leading(input.clone())];
    let mut all = norm(input, true);
    all.push(spec("running_mean", rule(), Init::Const(0.0), Role::Statistic));
    all.push(spec("running_var", rule(), Init::Const(1.0), Role::Statistic));
    all.push(spec("num_batches_tracked", vec![], Init::Const(0.0), Role::Counter));
    all
}

fn bias_table(heads: u32, h: u32, w: u32, stride: u32, index: bool) -> Vec<ParamSpec> {
    let rows = SliceRule::Leading(Sections::runs(heads, 1));
    let axes = vec![rows, SliceRule::Table { h, w }];
    let mut all = vec![spec("attention_biases", axes, Init::Const(0.0), Role::Table)];
    if index {
        let queries = h.div_ceil(stride) * w.div_ceil(stride);
        let axes = vec![SliceRule::Whole(queries), SliceRule::Whole(h * w)];
        all.push(spec("attention_bias_idxs", axes, Init::Distances { h, w, stride }, Role::Index));
    }
    all
}

/// The initialisation of linear layers and learnt rows.
const TRUNC_NORMAL: Init = Init::TruncNormal { std_e3: 20 };

impl Op {
    /// The tensors that the operation owns, in a fixed order. `name` is its path, `x` its first input if it has one.
    pub fn params(&self, name: &str, x: Option<&Value>, style: InitStyle) -> Vec<ParamSpec> {
        let none = Sections::default();
        let input = x.map_or(&none, |v| &v.sections);
        let mut all = match self {
            Op::Conv { out, kernel, groups, bias, .. } => conv(input, out, *kernel, *groups, *bias, style),
            Op::Linear { out, bias } => {
                let axes = vec![SliceRule::Leading(out.clone()), SliceRule::Leading(input.clone())];
                let init = style.linear(input.total(), out.total());
                weight_and_bias(spec("weight", axes, init, Role::Weight), bias.then_some(Init::Const(0.0)))
            }
            Op::ConvTranspose { out, kernel, bias } => {
                let side = || SliceRule::Centre(*kernel);
                let axes = vec![SliceRule::Leading(input.clone()), SliceRule::Leading(out.clone()), side(), side()];
                let area = kernel * kernel;
                // The axes are the other way round than a convolution's, and so are the fans that PyTorch finds.
                let (w, b) = style.conv(out.total() * area, input.total() * area, 1);
                let bias = bias.then(|| spec("bias", vec![SliceRule::Leading(out.clone())], b, Role::Bias));
                std::iter::once(spec("weight", axes, w, Role::Weight)).chain(bias).collect()
            }
            Op::BatchNorm => batch_norm(input),
            Op::LayerNorm { eps_e7: _, bias } | Op::GroupNorm { eps_e7: _, bias } => norm(input, *bias),
            Op::ChannelScale { init_e7, name: of } => {
                let pixel = if *of == ScaleName::Pixel { 2 } else { 0 };
                let rule = std::iter::once(SliceRule::Leading(input.clone()));
                let rule = rule.chain(std::iter::repeat_n(SliceRule::Whole(1), pixel)).collect();
                let leaf = match of {
                    ScaleName::Gamma | ScaleName::Pixel => "gamma",
                    ScaleName::Scale => "scale",
                    ScaleName::Attribute => "",
                };
                let own = spec(leaf, rule, Init::Const(f64::from(*init_e7) * 1e-7), Role::Norm);
                if *of == ScaleName::Attribute {
                    return vec![ParamSpec { name: name.to_string(), ..own }];
                }
                vec![own]
            }
            Op::BiasTable { heads, h, w, stride, index } => bias_table(*heads, *h, *w, *stride, *index),
            Op::RelativeLogits { heads } => {
                let ((h, w), dim) = (x.and_then(Value::hw).unwrap_or((1, 1)), input.total() / (*heads).max(1));
                let table = |leaf, side: u32| {
                    let axes = vec![SliceRule::Whole(2 * side - 1), SliceRule::Leading(Sections::plain(dim))];
                    spec(leaf, axes, Init::Normal { variance: (1, dim) }, Role::Table)
                };
                vec![table("height_rel", h), table("width_rel", w)]
            }
            // The tensor is an attribute of its module: the path is its whole name.
            Op::Learnt { value, axes, init } => {
                let rule = |(i, size): (usize, &u32)| match i == value.axis {
                    true => SliceRule::Leading(value.sections.clone()),
                    false => SliceRule::Whole(*size),
                };
                let all = std::iter::once(SliceRule::Whole(1)).chain(value.dims.iter().enumerate().map(rule));
                let held = all.skip((1 + value.dims.len()).saturating_sub(*axes as usize)).collect();
                let own = spec("", held, init.value(), Role::Table);
                return vec![ParamSpec { name: name.to_string(), ..own }];
            }
            #[rustfmt::skip]
            Op::Input | Op::Act(_) | Op::AvgPool { .. } | Op::GlobalPool { .. } | Op::Resize { .. } | Op::Unfold { .. }
            | Op::Fold { .. } | Op::Flatten | Op::Slice { .. } | Op::SliceHeads { .. } | Op::Concat | Op::ConcatRows
            | Op::Row { .. } | Op::Add | Op::Sub | Op::Mean | Op::Mul | Op::SumWidth | Op::Softmax | Op::InvSqrt { .. }
            | Op::Attention { .. } | Op::SplitHeads { .. } | Op::MergeHeads { .. } | Op::MatMul | Op::Dropout { .. }
            | Op::DropPath { .. } | Op::MaxPool { .. } | Op::Shuffle { .. } | Op::ResizeNearest { .. } | Op::L2Norm
            | Op::Rows { .. } | Op::LinearAttention { .. } | Op::Fourier | Op::Offsets { .. } | Op::Windows { .. } | Op::Unwindow { .. }
            | Op::AdaptiveAvgPool { .. } | Op::Unflatten { .. } | Op::SplitRows { .. } | Op::ResizeCubic { .. }
            | Op::Vector | Op::Regions { .. } => Vec::new(),
        };
        for p in &mut all {
            p.name = format!("{name}.{}", p.name);
        }
        all
    }
}

impl LearntInit {
    fn value(self) -> Init {
        match self {
            LearntInit::Truncated => TRUNC_NORMAL,
            LearntInit::Normal => Init::Normal { variance: (1, 1) },
            LearntInit::Zeros => Init::Const(0.0),
            LearntInit::Ones => Init::Const(1.0),
        }
    }
}

impl InitStyle {
    fn linear(self, fan_in: u32, fan_out: u32) -> Init {
        match self {
            InitStyle::Mobile | InitStyle::Former => TRUNC_NORMAL,
            InitStyle::Xavier | InitStyle::Normal { .. } => self.conv(fan_in, fan_out, 1).0,
        }
    }

    /// Weight and bias of a convolution with so many values in for each out, and out for each in.
    fn conv(self, fan_in: u32, fan_out: u32, groups: u32) -> (Init, Init) {
        match self {
            InitStyle::Mobile => (Init::Normal { variance: (2, fan_out) }, Init::Const(0.0)),
            InitStyle::Former => (Init::Uniform { fan_in }, Init::Uniform { fan_in }),
            // PyTorch counts what goes out of all groups.
            InitStyle::Xavier => (Init::Xavier { fans: fan_in + fan_out * groups }, Init::Const(0.0)),
            InitStyle::Normal { std_e3 } => (Init::Normal { variance: (std_e3 * std_e3, 1_000_000) }, Init::Const(0.0)),
        }
    }
}
