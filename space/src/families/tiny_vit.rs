//! TinyViT (Wu et al., 2022, arXiv 2207.10666): 5M, 11M and 21M; and 21M for 384 px, whose windows are larger and which is a
//! family of its own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, PooledNormClassifier, TinyVit as Block, TinyVitConv, TinyVitDownsample};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// The networks with windows of so many pixels; in the third stage windows are twice as large.
pub(super) struct TinyVit<const WINDOW: u32>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

/// The first stage has no attention.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    heads: u32,
    kernel: u32,
    expand: u32,
}

/// Channels of a head.
const HEAD_DIM: u32 = 32;

fn cfg(widths: [u32; 4]) -> Cfg {
    let stage = |i: usize| {
        let (width, depth) = (widths[i], [2, 2, 6, 2][i]);
        Stage { width, depth, stride: 2, heads: width / HEAD_DIM, kernel: 3, expand: 4 }
    };
    Cfg { stem_stride: 2, stages: [0, 1, 2, 3].map(stage) }
}

impl<const WINDOW: u32> TinyVit<WINDOW> {
    /// Drop rate of the last block in thousandths: that of the published network as wide in its third stage.
    fn drop_path(width: u32) -> u32 {
        match (WINDOW, width) {
            (7, ..=160) => 0,
            (7, 257..) => 200,
            _ => 100,
        }
    }
}

impl<const WINDOW: u32> Spec for TinyVit<WINDOW> {
    type Cfg = Cfg;
    const NAME: &'static str = if WINDOW == 7 { "tiny_vit" } else { "tiny_vit_384" };
    const CITE: &'static str = "TinyViT, Wu et al. 2022, arXiv 2207.10666";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(if WINDOW == 7 { 0.95 } else { 1.0 });

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code: trained on ImageNet-1k alone; that for 384 px with a teacher on ImageNet-22k.
        let of = |id, resolution, widths, [top1, params, macs]: [f64; 3]| {
            let (cfg, published) = (cfg(widths), Published::all(top1, params, macs));
            Variant { id, resolution, cfg, published }
        };
        if WINDOW != 7 {
            return vec![of("tiny_vit_21m_384", 384, [96, 192, 384, 576], [86.2, 21.0, 13.8])];
        }
        vec![
            of("tiny_vit_5m_224", 224, [64, 128, 160, 320], [79.1, 5.4, 1.3]),
            of("tiny_vit_11m_224", 224, [64, 128, 256, 448], [81.5, 11.0, 2.0]),
            of("tiny_vit_21m_224", 224, [96, 192, 384, 576], [83.1, 21.0, 4.3]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [2, 2, 6, 2].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
                all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads));
            }
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let unit = |out, stride, act| {
            let (conv, bn, out) = ("conv", "bn", Sections::plain(out));
            ConvBnAct { conv, bn, out, kernel: 3, stride, bias: false, act }
        };
        let (act, first) = (Some(ActFn::Gelu), cfg.stages[0].width);
        plan.push(root.at("patch_embed").at("conv1"), unit(first / 2, cfg.stem_stride, act));
        plan.push(root.at("patch_embed").at("conv2"), unit(first, 2, None));
        let depth: u32 = cfg.stages.iter().map(|s| s.depth).sum();
        let most = Self::drop_path(cfg.stages[2].width);
        let mut drops = (0..).map(|block| most * block / depth.saturating_sub(1).max(1));
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                plan.push(stage.at("downsample"), TinyVitDownsample { out: s.width, stride: s.stride });
            }
            let Stage { heads, kernel, expand, .. } = *s;
            for (j, drop) in (0..s.depth).zip(drops.by_ref()) {
                let path = stage.at("blocks").at(j);
                if i == 0 {
                    plan.push(path, TinyVitConv { kernel, expand, drop });
                    continue;
                }
                let window = if i == 2 { 2 * WINDOW } else { WINDOW };
                plan.push(path, Block { heads, head_dim: HEAD_DIM, window, kernel, expand, drop });
            }
        }
        plan.push(root.at("head"), PooledNormClassifier { eps_e7: 100, classes });
        Ok(plan)
    }
}
