//! FastViT (Vasu et al., 2023, arXiv 2303.14189): T8, T12 and S12; and SA12, SA24, SA36 and MA36, whose last stage has attention
//! and which are a family of their own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{
    Classifier, FastVit as Block, FastVitDownsample, FastVitMixer, FastVitStem, Parallel, PositionalConv,
};
use crate::ir::{ActFn, InitStyle, Path, Plan, ShapeError};

/// The networks without attention, and with `ATTENTION` those with it.
pub(super) struct Family<const ATTENTION: bool>;

pub(super) type FastVit = Family<false>;
pub(super) type FastVitAttention = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    /// Width of the first stage. It doubles from stage to stage: each convolution between stages filters a channel twice.
    width: u32,
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    depth: u32,
    /// Stride and kernel of the convolution before the stage; the first has none.
    stride: u32,
    patch: u32,
    /// Kernel of the token mixers.
    kernel: u32,
    expand: u32,
}

fn cfg(width: u32, depths: [u32; 4], expand: u32) -> Cfg {
    let stages = depths.map(|depth| Stage { depth, stride: 2, patch: 7, kernel: 3, expand });
    Cfg { width, stem_stride: 2, stages }
}

impl Cfg {
    /// Drop rate of the last block in thousandths: that of SA12 and SA24, of the deeper SA36, of the wider MA36.
    fn drop_path(&self) -> u32 {
        match (self.depth(), self.width) {
            (..=24, _) => 100,
            (_, ..=64) => 200,
            _ => 350,
        }
    }

    fn depth(&self) -> u32 {
        self.stages.iter().map(|s| s.depth).sum()
    }
}

impl<const ATTENTION: bool> Spec for Family<ATTENTION> {
    type Cfg = Cfg;
    const NAME: &'static str = if ATTENTION { "fastvit_attention" } else { "fastvit" };
    const CITE: &'static str = "FastViT, Vasu et al. 2023, arXiv 2303.14189";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);

    fn preprocessing(id: &str) -> Preprocessing {
        if id == "fastvit_ma36" { Preprocessing::imagenet(0.95) } else { Self::PREPROCESSING }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        // Top-1 of the README of its code, without distillation.
        let of = |id, cfg, top1| {
            let published = Published { top1: Some(top1), ..Published::NONE };
            Variant { id, resolution: 256, cfg, published }
        };
        if ATTENTION {
            return vec![
                of("fastvit_sa12", cfg(64, [2, 2, 6, 2], 4), 80.9),
                of("fastvit_sa24", cfg(64, [4, 4, 12, 4], 4), 82.7),
                of("fastvit_sa36", cfg(64, [6, 6, 18, 6], 4), 83.6),
                of("fastvit_ma36", cfg(76, [6, 6, 18, 6], 4), 83.9),
            ];
        }
        vec![
            of("fastvit_t8", cfg(48, [2, 2, 4, 2], 3), 76.2),
            of("fastvit_t12", cfg(64, [2, 2, 6, 2], 3), 79.3),
            of("fastvit_s12", cfg(64, [2, 2, 6, 2], 4), 79.9),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all =
            vec![knob!(Cfg: "width", Width, width).also([32, 40, 56]), knob!(Cfg: "stem.stride", Stride, stem_stride)];
        let deepest = if ATTENTION { [6, 6, 18, 6] } else { [2, 2, 6, 2] };
        for (i, most) in deepest.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
                all.push(knob!(Cfg: format!("stages.{i}.patch"), Kernel, stages[i].patch).also([3, 5]));
            }
            if !ATTENTION || i < 3 {
                all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([5]));
            }
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let act = ActFn::Gelu;
        plan.push(root.at("stem"), FastVitStem { out: cfg.width, stride: cfg.stem_stride, act });
        // README of its code: those without attention drop nothing.
        let (most, last) = (if ATTENTION { cfg.drop_path() } else { 0 }, cfg.depth().saturating_sub(1).max(1));
        let mut drops = (0..).map(|block| most * block / last);
        let mut width = cfg.width;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                width *= 2;
                let block = FastVitDownsample { out: width, kernel: s.patch, stride: s.stride, act };
                plan.push(stage.at("downsample"), block);
            }
            let attends = ATTENTION && i == 3;
            if attends {
                plan.push(stage.at("pos_emb"), PositionalConv);
            }
            for (j, drop) in (0..s.depth).zip(drops.by_ref()) {
                let mixer = if attends { FastVitMixer::Attention } else { FastVitMixer::Rep(s.kernel) };
                plan.push(stage.at("blocks").at(j), Block { mixer, expand: s.expand, act, drop });
            }
        }
        let (out, squeeze) = (2 * width, Some(("se", width / 8)));
        let last = Parallel { identity: false, squeeze, act: Some(act), ..Parallel::depthwise(out, 3) };
        plan.push(root.at("final_conv"), last);
        plan.push(root.at("head"), Classifier { fc: "fc", classes });
        Ok(plan)
    }
}
