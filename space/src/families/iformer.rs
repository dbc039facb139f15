//! iFormer (Zheng, 2025, arXiv 2501.15369): T, S, M and L; and M, L and L2 trained with a teacher, which have a second
//! classifier and are a family of their own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, IFormer as Block, IFormerStem, NormedClassifier};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

/// The networks with a classifier for distillation, or those without.
pub(super) struct IFormer<const DISTILLED: bool>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    /// Blocks of convolutions before attention; the last stage has none.
    depth: u32,
    /// Groups of three blocks with attention; the first two stages have none.
    groups: u32,
    /// Channels of a query.
    key_dim: u32,
    kernel: u32,
    /// Hidden channels of a block of convolutions over those of the map.
    expand: u32,
    /// The same for the MLP after attention.
    mlp: u32,
}

/// A network by its widths, blocks of the first two stages, blocks and groups of the third, groups of the fourth, and
/// expansions.
fn cfg(widths: [u32; 4], depths: [u32; 3], groups: [u32; 2], [expand, mlp]: [u32; 2]) -> Cfg {
    let stage = |i: usize| {
        let (depth, groups) = match i {
            0 | 1 => (depths[i], 0),
            2 => (depths[2], groups[0]),
            _ => (0, groups[1]),
        };
        let key_dim = widths[i] / if i == 3 { 4 } else { 2 };
        Stage { width: widths[i], stride: 2, depth, groups, key_dim, kernel: 7, expand, mlp }
    };
    Cfg { stem_stride: 2, stages: [0, 1, 2, 3].map(stage) }
}

impl<const DISTILLED: bool> Spec for IFormer<DISTILLED> {
    type Cfg = Cfg;
    const NAME: &'static str = if DISTILLED { "iformer_distilled" } else { "iformer" };
    const CITE: &'static str = "iFormer, Zheng 2025, arXiv 2501.15369";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const COUNTING_NOTE: &'static str = match DISTILLED {
        true => "parameters as deployed: one classifier; L is printed with 2.63 G MACs",
        false => "L is printed with 2.63 G MACs",
    };

    fn variants() -> Vec<Variant<Cfg>> {
        let m = || cfg([48, 96, 192, 384], [2, 2, 9], [4, 2], [4, 3]);
        let l = || cfg([48, 96, 256, 384], [2, 2, 8], [8, 2], [4, 3]);
        // Figures of the card of its weights.
        let of = |id, cfg, [top1, params, macs]: [f64; 3]| {
            let published = Published::all(top1, params, macs);
            Variant { id, resolution: 224, cfg, published }
        };
        if DISTILLED {
            let l2 = cfg([64, 128, 256, 512], [3, 3, 12], [11, 3], [4, 3]);
            return vec![
                of("iformer_m_distilled", m(), [81.1, 8.9, 1.64]),
                of("iformer_l_distilled", l(), [82.7, 14.7, 2.63]),
                of("iformer_l2_distilled", l2, [83.9, 24.5, 4.5]),
            ];
        }
        let t = cfg([32, 64, 128, 256], [2, 2, 6], [3, 2], [3, 2]);
        let s = cfg([32, 64, 176, 320], [2, 2, 9], [3, 2], [4, 3]);
        vec![
            of("iformer_t", t, [74.1, 2.9, 0.53]),
            of("iformer_s", s, [78.8, 6.5, 1.09]),
            of("iformer_m", m(), [80.4, 8.9, 1.64]),
            of("iformer_l", l(), [81.9, 14.7, 2.63]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        let (depths, groups) = if DISTILLED { ([3, 3, 12, 0], [11, 3]) } else { ([2, 2, 9, 0], [8, 2]) };
        for (i, most) in depths.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            if i < 3 {
                all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
                all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
                all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
            }
            if i > 1 {
                all.push(knob!(Cfg: format!("stages.{i}.groups"), Depth, stages[i].groups).also(1..=groups[i - 2]));
                all.push(knob!(Cfg: format!("stages.{i}.key_dim"), Width, stages[i].key_dim));
                all.push(knob!(Cfg: format!("stages.{i}.mlp"), Expansion, stages[i].mlp).also([2]));
            }
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Normal { std_e3: 20 }), Path::root());
        plan.push(root.at("stem"), IFormerStem { out: cfg.stages[0].width, stride: cfg.stem_stride });
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                let out = Sections::plain(s.width);
                let block = ConvBnAct { conv: "c", bn: "bn", out, kernel: 3, stride: s.stride, bias: false, act: None };
                plan.push(stage.at("downsample"), block);
            }
            stage_of(&mut plan, &stage, s);
        }
        plan.push(root.at("head"), NormedClassifier { linear: "l", distilled: DISTILLED, classes });
        Ok(plan)
    }
}

/// Appends the blocks of a stage. The n-th groups with attention of all subnets share tensors, whatever the number of blocks
/// before them; so do the blocks of convolutions after the groups.
fn stage_of(plan: &mut Plan, stage: &Path, s: &Stage) {
    let conv = Block::Conv { kernel: s.kernel, expand: s.expand };
    let group = [Block::Position { kernel: 3 }, Block::Attention { key_dim: s.key_dim }, Block::Mlp { expand: s.mlp }];
    let (blocks, attention) = (stage.at("blocks"), stage.at("attention"));
    for j in 0..s.depth {
        plan.push(blocks.at(j), conv.clone());
    }
    for g in 0..s.groups {
        for (k, block) in (0..3).zip(group.clone()) {
            plan.push_shared(blocks.at(s.depth + 3 * g + k), attention.at(g).at(k), block);
        }
    }
    if s.depth > 0 && s.groups > 0 {
        plan.push_shared(blocks.at(s.depth + 3 * s.groups), stage.at("last"), conv);
    }
}
