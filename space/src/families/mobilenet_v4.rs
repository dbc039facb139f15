//! MobileNetV4 (Qin et al., 2024, arXiv 2404.10518): what its networks share, and the convolutional ones: medium and large,
//! and small with timm's x0.35 and x0.5. Small begins with other layers and is a family of its own; so are timm's networks that
//! average pixels instead of skipping them.

use super::mbconv::scaled;
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, FusedResidual, MobileAttention, PooledClassifier, UniversalResidual, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// The paper of all MobileNetV4.
pub const CITE: &str = "MobileNetV4, Qin et al. 2024, arXiv 2404.10518";

/// How its counts differ.
pub const COUNTS: &str = "the paper's table prints 5 to 8 percent less than timm counts, apart from the small network";

/// Medium and large, those with averages, or small.
pub(super) struct Family<const KIND: u8>;

const IS_PLAIN: u8 = 0;
const IS_AVERAGED: u8 = 1;
const IS_SMALL: u8 = 2;

pub(super) type MobileNetV4 = Family<IS_PLAIN>;
pub(super) type MobileNetV4Averaged = Family<IS_AVERAGED>;
pub(super) type MobileNetV4Small = Family<IS_SMALL>;

/// The most blocks of a stage, and the most pairs of attention and a block after them.
pub const MOST: usize = 13;
pub const PAIRS: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub struct Cfg {
    pub stem: u32,
    pub stem_stride: u32,
    pub front: Front,
    /// Small lacks the first.
    pub stages: [Stage; 3],
    /// Channels of the last convolution on the map.
    pub last: u32,
    /// Channels before the classifier.
    pub head: u32,
}

/// What is between the stem and the stages, by its output channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Front {
    /// Convolutions of 3x3 with stride 2 and of 1x1, in turn.
    Convs([u32; 4]),
    /// A fused residual.
    Fused(u32),
}

impl Front {
    fn width(&mut self, i: usize) -> &mut u32 {
        match self {
            Front::Convs(all) => &mut all[i],
            Front::Fused(one) => one,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub width: u32,
    pub depth: u32,
    pub stride: u32,
    pub blocks: [Uib; MOST],
    /// How many pairs of attention and a block follow.
    pub pairs: u32,
    pub after: [Uib; PAIRS],
    pub attention: MobileAttention,
}

/// Kernels of the depthwise convolutions before and after the expansion, 0 where there is none, and the expansion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uib(pub u32, pub u32, pub u32);

pub const EXTRA_DW: Uib = Uib(3, 3, 4);
pub const CONV_NEXT: Uib = Uib(3, 0, 4);
pub const WIDE_NEXT: Uib = Uib(5, 0, 4);
const FFN: Uib = Uib(0, 0, 4);

/// Width and blocks of each stage.
pub type Table = [(u32, &'static [Uib]); 3];

// The appendix of the paper, as in its code (tensorflow/models, official/vision).
const SMALL: Table = [
    (64, &[]),
    (96, &[Uib(5, 5, 3), Uib(0, 3, 2), Uib(0, 3, 2), Uib(0, 3, 2), Uib(0, 3, 2), CONV_NEXT]),
    (128, &[Uib(3, 3, 6), Uib(5, 5, 4), Uib(0, 5, 4), Uib(0, 5, 3), Uib(0, 3, 4), Uib(0, 3, 4)]),
];

#[rustfmt::skip]
const MEDIUM: Table = [
    (80, &[Uib(3, 5, 4), Uib(3, 3, 2)]),
    (160, &[Uib(3, 5, 6), EXTRA_DW, EXTRA_DW, Uib(3, 5, 4), EXTRA_DW, CONV_NEXT, Uib(0, 0, 2), CONV_NEXT]),
    (256, &[Uib(5, 5, 6), Uib(5, 5, 4), Uib(3, 5, 4), Uib(3, 5, 4), FFN, CONV_NEXT, Uib(3, 5, 2), Uib(5, 5, 4), FFN, FFN,
            Uib(5, 0, 2)]),
];

#[rustfmt::skip]
const LARGE: Table = [
    (96, &[Uib(3, 5, 4), EXTRA_DW]),
    (192, &[Uib(3, 5, 4), EXTRA_DW, EXTRA_DW, EXTRA_DW, Uib(3, 5, 4), Uib(5, 3, 4), Uib(5, 3, 4), Uib(5, 3, 4),
            Uib(5, 3, 4), Uib(5, 3, 4), CONV_NEXT]),
    (512, &[Uib(5, 5, 4), Uib(5, 5, 4), Uib(5, 5, 4), Uib(5, 5, 4), WIDE_NEXT, Uib(5, 3, 4), WIDE_NEXT, WIDE_NEXT,
            Uib(5, 3, 4), Uib(5, 5, 4), WIDE_NEXT, WIDE_NEXT, WIDE_NEXT]),
];

/// A network without attention. The stem keeps its width under a multiplier.
pub fn published(stem: u32, front: Front, table: Table, multiplier: f64) -> Cfg {
    let stage = |(w, own): (u32, &[Uib])| {
        let mut blocks = [WIDE_NEXT; MOST];
        blocks[..own.len()].copy_from_slice(own);
        let attention = MobileAttention { heads: 4, key_dim: 64, stride: 1, drop: 0 };
        let (width, depth) = (scaled(w, multiplier), own.len() as u32);
        Stage { width, depth, stride: 2, blocks, pairs: 0, after: [WIDE_NEXT; PAIRS], attention }
    };
    let last = scaled(960, multiplier);
    Cfg { stem, stem_stride: 2, front, stages: table.map(stage), last, head: 1280 }
}

/// The knobs of networks without attention; the table is the deepest network's.
pub fn knobs(fronts: usize, table: Table) -> Vec<Knob<Cfg>> {
    let mut all = vec![knob!(Cfg: "stem.width", Width, stem), knob!(Cfg: "stem.stride", Stride, stem_stride)];
    for i in 0..fronts {
        let width = move |c: &Cfg| *c.front.clone().width(i);
        let kind = super::spec::KnobKind::Width;
        all.push(Knob::new(format!("front.{i}.width"), kind, width, move |c: &mut Cfg, v| *c.front.width(i) = v));
    }
    for (i, (_, blocks)) in table.into_iter().enumerate().filter(|(_, t)| !t.1.is_empty()) {
        all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
        all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=blocks.len() as u32));
        all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
        for j in 0..blocks.len() {
            // A block with a stride needs a depthwise convolution.
            let kernels = || [0, 3, 5].into_iter().skip(usize::from(j == 0));
            let start = knob!(Cfg: format!("stages.{i}.{j}.start"), Kernel, stages[i].blocks[j].0);
            all.push(start.also(kernels()));
            let middle = knob!(Cfg: format!("stages.{i}.{j}.middle"), Kernel, stages[i].blocks[j].1);
            all.push(middle.also(kernels()));
            let expand = knob!(Cfg: format!("stages.{i}.{j}.expand"), Expansion, stages[i].blocks[j].2);
            all.push(expand.also([2, 4]));
        }
    }
    all.push(knob!(Cfg: "last.width", Width, last));
    all.push(knob!(Cfg: "head.width", Width, head));
    all
}

/// What the networks of a family have in common.
#[derive(Clone, Copy, Debug)]
pub struct Details {
    pub act: ActFn,
    /// Whether residual branches have a layer scale.
    pub scaled: bool,
    /// Whether averages take the place of strides, but for the stem's.
    pub averaged: bool,
    /// Drop rate after the last block in thousandths.
    pub drop_path: u32,
}

impl Cfg {
    /// The network. Block `i` of `n` drops its branch at `i / n` of the rate.
    pub fn plan(&self, how: Details, resolution: u32, classes: u32) -> Plan {
        let Details { act, scaled, averaged, drop_path: most } = how;
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let blocks = root.at("blocks");
        let unit = |conv, out, kernel, stride| {
            let out = Sections::plain(out);
            ConvBnAct { conv, bn: "bn1", out, kernel, stride, bias: false, act: Some(act) }
        };
        plan.push(root.clone(), unit("conv_stem", self.stem, 3, self.stem_stride));
        let before = if matches!(self.front, Front::Convs(_)) { 4 } else { 1 };
        let all = before + self.stages.iter().map(|s| s.depth + 2 * s.pairs).sum::<u32>() + 1;
        let mut rates = (before..all).map(|i| most * i / all);
        let mut drop = || rates.next().unwrap_or(most);
        let mut width = match self.front {
            Front::Convs(all) => {
                for (i, out) in (0u32..).zip(all) {
                    let (kernel, stride) = if i % 2 == 0 { (3, 2) } else { (1, 1) };
                    plan.push(blocks.at(i / 2).at(i % 2), unit("conv", out, kernel, stride));
                }
                all[3]
            }
            Front::Fused(out) => {
                let mid = make_divisible(f64::from(4 * self.stem), 8);
                plan.push(blocks.at(0).at(0), FusedResidual { mid, out, kernel: 3, stride: 2, act, averaged });
                out
            }
        };
        let uib = |from: u32, out: u32, stride: u32, Uib(start, middle, expand): Uib, drop: u32| {
            let mid = make_divisible(f64::from(from * expand), 8);
            UniversalResidual { start, middle, mid, out, stride, act, scaled, averaged, drop }
        };
        for (i, s) in (1u32..).zip(&self.stages) {
            let stage = blocks.at(i);
            for (j, block) in (0..s.depth).zip(s.blocks) {
                let stride = if j == 0 { s.stride } else { 1 };
                plan.push(stage.at(j), uib(width, s.width, stride, block, drop()));
                width = s.width;
            }
            // The n-th pairs of all subnets share tensors, whatever the number of blocks before them.
            for (p, block) in (0..s.pairs).zip(s.after) {
                let at = s.depth + 2 * p;
                let attention = MobileAttention { drop: drop(), ..s.attention };
                plan.push_shared(stage.at(at), stage.at("attention").at(p), attention);
                plan.push_shared(stage.at(at + 1), stage.at("after").at(p), uib(width, width, 1, block, drop()));
            }
        }
        plan.push(blocks.at(4).at(0), unit("conv", self.last, 1, 1));
        plan.push(root, PooledClassifier { width: self.head, norm: Some("norm_head"), act, classes });
        plan
    }
}

impl<const KIND: u8> Spec for Family<KIND> {
    type Cfg = Cfg;
    const NAME: &'static str = match KIND {
        IS_SMALL => "mobilenet_v4_small",
        IS_AVERAGED => "mobilenet_v4_aa",
        _ => "mobilenet_v4",
    };
    const CITE: &'static str = CITE;
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(if KIND == IS_SMALL { 0.875 } else { 0.95 });
    const COUNTING_NOTE: &'static str = if KIND == IS_PLAIN { COUNTS } else { "" };

    fn preprocessing(id: &str) -> Preprocessing {
        match id {
            "mobilenetv4_conv_small_035" | "mobilenetv4_conv_small_050" => Preprocessing::inception(0.875),
            _ => Self::PREPROCESSING,
        }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, resolution, cfg, published| Variant { id, resolution, cfg, published };
        // Figures of the paper's section 7.1; of x0.5 and of those with averages, timm's.
        let paper = Published::all;
        if KIND == IS_SMALL {
            let small = |multiplier| {
                let front = Front::Convs([32, 32, 96, 64].map(|w| scaled(w, multiplier)));
                published(32, front, SMALL, multiplier)
            };
            return vec![
                of("mobilenetv4_conv_small_035", 224, small(0.35), Published::NONE),
                of("mobilenetv4_conv_small_050", 224, small(0.5), paper(64.778, 2.24, 0.07)),
                of("mobilenetv4_conv_small", 224, small(1.0), paper(73.8, 3.8, 0.2)),
            ];
        }
        let (medium, large) =
            (published(32, Front::Fused(48), MEDIUM, 1.0), published(24, Front::Fused(48), LARGE, 1.0));
        if KIND == IS_AVERAGED {
            return vec![
                of("mobilenetv4_conv_aa_medium", 256, medium, Published::NONE),
                of("mobilenetv4_conv_aa_large", 384, large, paper(83.264, 32.59, 7.07)),
            ];
        }
        vec![
            of("mobilenetv4_conv_medium", 256, medium, paper(79.9, 9.2, 1.0)),
            of("mobilenetv4_conv_large", 384, large, paper(82.9, 31.0, 5.9)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        if KIND == IS_SMALL { knobs(4, SMALL) } else { knobs(1, LARGE) }
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        // Appendix C of the paper: the peak is 0 for small, 0.075 for the 21 blocks of medium and 0.35 for the 26 of large.
        let blocks = cfg.stages.iter().map(|s| s.depth).sum::<u32>();
        let drop_path = if KIND == IS_SMALL { 0 } else { 75 + 55 * (blocks.clamp(21, 26) - 21) };
        let how = Details { act: ActFn::Relu, scaled: false, averaged: KIND == IS_AVERAGED, drop_path };
        Ok(cfg.plan(how, resolution, classes))
    }
}

#[cfg(test)]
mod tests {
    use crate::families;
    use crate::ir::Op;

    fn drops(id: &str) -> Vec<u32> {
        let graph = families::plan(id, None, 10).unwrap().lower().unwrap();
        let drop = |op: &Op| if let Op::DropPath { permille } = op { Some(*permille) } else { None };
        graph.nodes.iter().filter_map(|n| drop(&n.op)).collect()
    }

    #[test]
    fn residual_branches_drop_up_to_the_published_rates() {
        assert!(drops("mobilenetv4_conv_small").is_empty());
        // Of 23 blocks. The stem is before them, and the first of each stage has no residual.
        let medium = [2, 4, 5, 6, 7, 8, 9, 10].into_iter().chain(12..22).map(|i| 75 * i / 23).collect::<Vec<_>>();
        assert_eq!(drops("mobilenetv4_conv_medium"), medium);
        let last = |id| drops(id).last().copied();
        assert_eq!(last("mobilenetv4_conv_large"), Some(350 * 26 / 28));
        assert_eq!(last("mobilenetv4_hybrid_medium"), Some(75 * 30 / 32));
        assert_eq!(last("mobilenetv4_hybrid_large"), Some(350 * 35 / 37));
    }
}
