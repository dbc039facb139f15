//! PoolFormer (Yu et al., 2022, arXiv 2111.11418), and its second version (Yu et al., 2023, arXiv 2210.13452): S12, S24, S36,
//! M36 and M48 of each.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{PatchConv, PatchConvNorm, PoolFormer as Block, PoolFormerV2, PooledNormClassifier};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

/// The networks of the first version or of the second.
pub(super) struct PoolFormer<const SECOND: bool>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    /// Side of the windows of the pools.
    kernel: u32,
    expand: u32,
}

const SMALL: [u32; 4] = [64, 128, 320, 512];
const MEDIUM: [u32; 4] = [96, 192, 384, 768];

/// A network by the depth of its first stage: the third is three times as deep.
fn cfg(widths: [u32; 4], depth: u32) -> Cfg {
    let stage = |i: usize| {
        let depth = if i == 2 { 3 * depth } else { depth };
        Stage { width: widths[i], depth, stride: 2, kernel: 3, expand: 4 }
    };
    Cfg { stem_stride: 4, stages: [0, 1, 2, 3].map(stage) }
}

impl<const SECOND: bool> Spec for PoolFormer<SECOND> {
    type Cfg = Cfg;
    const NAME: &'static str = if SECOND { "poolformer_v2" } else { "poolformer" };
    const CITE: &'static str = match SECOND {
        true => "PoolFormerV2, Yu et al. 2023, arXiv 2210.13452",
        false => "PoolFormer, Yu et al. 2022, arXiv 2111.11418",
    };
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(if SECOND { 1.0 } else { 0.9 });
    const FORMULA_GAIN: f64 = if SECOND { 0.5 } else { 1.0 };

    fn preprocessing(id: &str) -> Preprocessing {
        if !SECOND && id.contains("_m") { Preprocessing::imagenet(0.95) } else { Self::PREPROCESSING }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        if SECOND {
            // Figures of the README of its code.
            let of = |id, cfg, [top1, params, macs]: [f64; 3]| {
                let published = Published::all(top1, params, macs);
                Variant { id, resolution: 224, cfg, published }
            };
            return vec![
                of("poolformerv2_s12", cfg(SMALL, 2), [78.0, 11.9, 1.8]),
                of("poolformerv2_s24", cfg(SMALL, 4), [80.7, 21.3, 3.4]),
                of("poolformerv2_s36", cfg(SMALL, 6), [81.6, 30.8, 5.0]),
                of("poolformerv2_m36", cfg(MEDIUM, 6), [82.2, 56.1, 8.8]),
                of("poolformerv2_m48", cfg(MEDIUM, 8), [82.6, 73.3, 11.5]),
            ];
        }
        // Figures of the README of its code; latencies as EfficientFormerV2's authors measured them.
        let of = |id, cfg, [top1, params]: [f64; 2], iphone12_ms| {
            let published = Published { top1: Some(top1), params_m: Some(params), macs_g: None, iphone12_ms };
            Variant { id, resolution: 224, cfg, published }
        };
        vec![
            of("poolformer_s12", cfg(SMALL, 2), [77.2, 12.0], Some(1.5)),
            of("poolformer_s24", cfg(SMALL, 4), [80.3, 21.0], Some(2.4)),
            of("poolformer_s36", cfg(SMALL, 6), [81.4, 31.0], Some(3.5)),
            of("poolformer_m36", cfg(MEDIUM, 6), [82.1, 56.0], None),
            of("poolformer_m48", cfg(MEDIUM, 8), [82.5, 73.0], None),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [8, 8, 24, 8].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let style = if SECOND { InitStyle::Normal { std_e3: 20 } } else { InitStyle::Former };
        let (mut plan, root) = (Plan::of_image(resolution, style), Path::root());
        let conv = PatchConv { out: cfg.stages[0].width, kernel: 7, stride: cfg.stem_stride, pad: 2 };
        patch_conv::<SECOND>(&mut plan, root.at("stem"), conv, false);
        let depth: u32 = cfg.stages.iter().map(|s| s.depth).sum();
        // As timm initialises the layer scales of the networks of at least 36 blocks.
        let init_e7 = if depth < 36 { 100 } else { 10 };
        // README of its code, and the scripts of the second version: the drop rates of S12 and S24, S36, M36, M48.
        let most = match (depth, cfg.stages[0].width) {
            (..=24, _) => 100,
            (_, ..=64) => 200,
            (..=36, _) => 300,
            _ => 400,
        };
        let mut drops = (0..).map(|block| most * block / depth.saturating_sub(1).max(1));
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                let conv = PatchConv { out: s.width, kernel: 3, stride: s.stride, pad: 1 };
                patch_conv::<SECOND>(&mut plan, stage.at("downsample"), conv, true);
            }
            for (j, drop) in (0..s.depth).zip(drops.by_ref()) {
                let (path, Stage { kernel, expand, .. }) = (stage.at("blocks").at(j), *s);
                if SECOND {
                    plan.push(path, PoolFormerV2 { kernel, expand, scaled: i > 1, drop });
                } else {
                    plan.push(path, Block { kernel, expand, init_e7, drop });
                }
            }
        }
        plan.push(root.at("head"), PooledNormClassifier { eps_e7: 10, classes });
        Ok(plan)
    }
}

/// Appends a convolution with a stride, which in the second version has a norm.
fn patch_conv<const SECOND: bool>(plan: &mut Plan, path: Path, conv: PatchConv, before: bool) {
    if SECOND {
        plan.push(path, PatchConvNorm { conv, before });
    } else {
        plan.push(path, conv);
    }
}
