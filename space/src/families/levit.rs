//! LeViT (Graham et al., 2021, arXiv 2104.01136) on maps, as timm's `levit_conv`: 192, 256 and 384; and 128S and 128, whose heads
//! have half the channels and which are a family of their own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Levit as Block, LevitDownsample, LevitHeads, LevitStem, NormedClassifier};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

/// The networks with `KEY` channels of a query, and of a key.
pub(super) struct Family<const KEY: u32>;

pub(super) type Levit128 = Family<16>;
pub(super) type Levit = Family<32>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    heads: u32,
    /// Stride of the queries before the stage; the first has none.
    stride: u32,
    expand: u32,
}

fn cfg(widths: [u32; 3], depths: [u32; 3], heads: [u32; 3]) -> Cfg {
    let stage = |i: usize| Stage { width: widths[i], depth: depths[i], heads: heads[i], stride: 2, expand: 2 };
    Cfg { stem_stride: 2, stages: [0, 1, 2].map(stage) }
}

impl<const KEY: u32> Spec for Family<KEY> {
    type Cfg = Cfg;
    const NAME: &'static str = if KEY == 16 { "levit_128" } else { "levit" };
    const CITE: &'static str = "LeViT, Graham et al. 2021, arXiv 2104.01136";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);
    const FORMULA_GAIN: f64 = 0.75;

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code.
        let of = |id, cfg, [top1, params, macs]: [f64; 3]| Variant {
            id,
            resolution: 224,
            cfg,
            published: Published::all(top1, params, macs),
        };
        if KEY == 16 {
            return vec![
                of("levit_conv_128s", cfg([128, 256, 384], [2, 3, 4], [4, 6, 8]), [76.6, 7.8, 0.305]),
                of("levit_conv_128", cfg([128, 256, 384], [4, 4, 4], [4, 8, 12]), [78.6, 9.2, 0.406]),
            ];
        }
        vec![
            of("levit_conv_192", cfg([192, 288, 384], [4, 4, 4], [3, 5, 6]), [80.0, 11.0, 0.658]),
            of("levit_conv_256", cfg([256, 384, 512], [4, 4, 4], [4, 6, 8]), [81.6, 19.0, 1.12]),
            of("levit_conv_384", cfg([384, 512, 768], [4, 4, 4], [6, 9, 12]), [82.6, 39.0, 2.353]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for i in 0..3 {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=4));
            all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads).also([2]));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([1]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        plan.push(root.at("stem"), LevitStem { out: cfg.stages[0].width, stride: cfg.stem_stride });
        let mut width = cfg.stages[0].width;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                let heads = LevitHeads { heads: (width / KEY).max(1), key_dim: KEY, ratio: 4 };
                plan.push(stage.at("downsample"), LevitDownsample { heads, out: s.width, stride: s.stride });
            }
            for j in 0..s.depth {
                let heads = LevitHeads { heads: s.heads, key_dim: KEY, ratio: 2 };
                plan.push(stage.at("blocks").at(j), Block { heads, expand: s.expand });
            }
            width = s.width;
        }
        plan.push(root, NormedClassifier { linear: "linear", distilled: true, classes });
        Ok(plan)
    }
}
