//! PVTv2 (Wang et al., 2022, arXiv 2106.13797) as a baseline: B0 to B2.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, NormedConv, PositionNorm, Pvt};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct PvtV2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    /// Stride before the stage.
    stride: u32,
    heads: u32,
    head_dim: u32,
    expand: u32,
}

/// Strides of the convolutions before keys and values. Their kernels are as large, so they do not vary.
const REDUCTIONS: [u32; 4] = [8, 4, 2, 1];

fn cfg(head_dim: u32, depths: [u32; 4]) -> Cfg {
    let stage = |i: usize| {
        let (heads, expand, stride) = ([1, 2, 5, 8][i], [8, 8, 4, 4][i], [4, 2, 2, 2][i]);
        Stage { width: heads * head_dim, depth: depths[i], stride, heads, head_dim, expand }
    };
    Cfg { stages: [0, 1, 2, 3].map(stage) }
}

impl Spec for PvtV2 {
    type Cfg = Cfg;
    const NAME: &'static str = "pvt_v2";
    const CITE: &'static str = "PVTv2, Wang et al. 2022, arXiv 2106.13797";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code.
        let of = |id, cfg, top1, params_m, macs_g| {
            let published = Published { top1: Some(top1), params_m: Some(params_m), macs_g, ..Published::NONE };
            Variant { id, resolution: 224, cfg, published }
        };
        vec![
            of("pvt_v2_b0", cfg(32, [2, 2, 2, 2]), 70.5, 3.4, None),
            of("pvt_v2_b1", cfg(64, [2, 2, 2, 2]), 78.7, 13.1, None),
            of("pvt_v2_b2", cfg(64, [3, 4, 6, 3]), 82.0, 25.4, Some(4.04)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = Vec::new();
        for i in 0..4 {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also([1]));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads));
            all.push(knob!(Cfg: format!("stages.{i}.head_dim"), Width, stages[i].head_dim));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            let (conv, norm, out, stride) = ("proj".into(), "norm".into(), Sections::plain(s.width), s.stride);
            let kernel = if i == 0 { 7 } else { 3 };
            let embed = NormedConv { conv, norm, eps_e7: 100, out, kernel, stride, before: false, bias: true };
            plan.push(if i == 0 { root.at("patch_embed") } else { stage.at("downsample") }, embed);
            let Stage { heads, head_dim, expand, .. } = *s;
            for j in 0..s.depth {
                let block = Pvt { heads, head_dim, reduction: REDUCTIONS[i as usize], expand, drop: 0 };
                plan.push(stage.at("blocks").at(j), block);
            }
            plan.push(stage, PositionNorm);
        }
        plan.push(root, Classifier { fc: "head", classes });
        Ok(plan)
    }
}
