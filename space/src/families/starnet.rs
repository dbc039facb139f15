//! StarNet (Ma et al., 2024, arXiv 2403.19967): S1 to S4, and S050, S100 and S150.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, FinalClassifier, FinalNorm, Star};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct StarNet;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
    expand: u32,
}

/// A network by the width of its first stage, which doubles from stage to stage.
fn cfg(width: u32, depths: [u32; 4], expand: u32) -> Cfg {
    let stage = |i: usize| Stage { width: width << i, depth: depths[i], stride: 2, kernel: 7, expand };
    Cfg { stem: 32, stem_stride: 2, stages: [0, 1, 2, 3].map(stage) }
}

impl Spec for StarNet {
    type Cfg = Cfg;
    const NAME: &'static str = "starnet";
    const CITE: &'static str = "StarNet, Ma et al. 2024, arXiv 2403.19967";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const FORMULA_GAIN: f64 = 0.6;

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg| Variant { id, resolution: 224, cfg, published: Published::NONE };
        vec![
            of("starnet_s050", cfg(16, [1, 1, 3, 1], 3)),
            of("starnet_s100", cfg(20, [1, 2, 4, 1], 4)),
            of("starnet_s150", cfg(24, [1, 2, 4, 2], 3)),
            of("starnet_s1", cfg(24, [2, 2, 8, 3], 4)),
            of("starnet_s2", cfg(32, [1, 2, 6, 2], 4)),
            of("starnet_s3", cfg(32, [2, 2, 8, 4], 4)),
            of("starnet_s4", cfg(32, [3, 3, 12, 5], 4)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.width", Width, stem), knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [3, 3, 12, 5].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let conv = |out, stride, act| {
            let (conv, bn, out) = ("conv", "bn", Sections::plain(out));
            ConvBnAct { conv, bn, out, kernel: 3, stride, bias: true, act }
        };
        let act = ActFn::Relu6;
        plan.push(root.at("stem").at(0), conv(cfg.stem, cfg.stem_stride, Some(act)));
        // README of its code: S4 drops up to a tenth, the shallower networks nothing.
        let depth: u32 = cfg.stages.iter().map(|s| s.depth).sum();
        let most = if depth > 16 { 100 } else { 0 };
        let mut drops = (0..).map(|block| most * block / depth.saturating_sub(1).max(1));
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            plan.push(stage.at(0), conv(s.width, s.stride, None));
            for (j, drop) in (0..s.depth).zip(drops.by_ref()) {
                plan.push(stage.at(1 + j), Star { kernel: s.kernel, expand: s.expand, act, drop });
            }
        }
        plan.push(root, FinalClassifier { norm: FinalNorm::Batch, classes });
        Ok(plan)
    }
}
