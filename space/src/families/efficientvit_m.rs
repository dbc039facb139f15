//! EfficientViT (Liu et al., 2023, arXiv 2305.07027), with cascaded attention: M0 to M5.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Cascaded, CascadedDownsample, CascadedStem, NormedClassifier};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct EfficientVitM;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 3],
    /// Kernel of the queries of each head.
    kernels: [u32; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    heads: u32,
    /// Channels of one head.
    dim: u32,
    depth: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    key_dim: u32,
    expand: u32,
}

/// Largest side of a window of attention.
const WINDOW: u32 = 7;

fn cfg(widths: [u32; 3], depths: [u32; 3], heads: [u32; 3], kernels: [u32; 4]) -> Cfg {
    let stage = |i: usize| {
        let (dim, depth) = (widths[i] / heads[i], depths[i]);
        Stage { heads: heads[i], dim, depth, stride: 2, key_dim: 16, expand: 2 }
    };
    Cfg { stem_stride: 2, stages: [0, 1, 2].map(stage), kernels }
}

impl Spec for EfficientVitM {
    type Cfg = Cfg;
    const NAME: &'static str = "efficientvit_m";
    const CITE: &'static str = "EfficientViT, Liu et al. 2023, arXiv 2305.07027";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const FORMULA_GAIN: f64 = 0.85;

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code.
        let of = |id, cfg, [top1, params, macs]: [f64; 3]| Variant {
            id,
            resolution: 224,
            cfg,
            published: Published::all(top1, params, macs),
        };
        let (even, falling) = ([5, 5, 5, 5], [7, 5, 3, 3]);
        vec![
            of("efficientvit_m0", cfg([64, 128, 192], [1, 2, 3], [4, 4, 4], even), [63.2, 2.3, 0.079]),
            of("efficientvit_m1", cfg([128, 144, 192], [1, 2, 3], [2, 3, 3], falling), [68.4, 3.0, 0.167]),
            of("efficientvit_m2", cfg([128, 192, 224], [1, 2, 3], [4, 3, 2], falling), [70.8, 4.2, 0.201]),
            of("efficientvit_m3", cfg([128, 240, 320], [1, 2, 3], [4, 3, 4], even), [73.4, 6.9, 0.263]),
            of("efficientvit_m4", cfg([128, 256, 384], [1, 2, 3], [4, 4, 4], falling), [74.3, 8.8, 0.299]),
            of("efficientvit_m5", cfg([192, 288, 384], [1, 3, 4], [3, 3, 4], falling), [77.1, 12.4, 0.522]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [2, 3, 4].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads).also([2]));
            all.push(knob!(Cfg: format!("stages.{i}.dim"), Width, stages[i].dim));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            all.push(knob!(Cfg: format!("stages.{i}.key_dim"), Width, stages[i].key_dim).also([8]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([1]));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
        }
        for i in 0..4 {
            all.push(knob!(Cfg: format!("kernels.{i}"), Kernel, kernels[i]).also([3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let channels = |s: &Stage| Sections::runs(s.heads, s.dim);
        let stem = CascadedStem { out: channels(&cfg.stages[0]), stride: cfg.stem_stride };
        plan.push(root.at("patch_embed"), stem);
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                plan.push(stage.at("downsample"), CascadedDownsample { out: channels(s), stride: s.stride });
            }
            let kernels: Vec<u32> = cfg.kernels.into_iter().cycle().take(s.heads as usize).collect();
            let Stage { key_dim, expand, .. } = *s;
            for j in 0..s.depth {
                let block = Cascaded { kernels: kernels.clone(), key_dim, window: WINDOW, expand };
                plan.push(stage.at("blocks").at(j), block);
            }
        }
        plan.push(root, NormedClassifier { linear: "linear", distilled: false, classes });
        Ok(plan)
    }
}
