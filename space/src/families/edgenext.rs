//! EdgeNeXt (Maaz et al., 2022, arXiv 2206.10589): XXS, XS, S and B; and timm's small_rw, whose strides are in its blocks and
//! which is a family of its own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{EdgeNextConv, NormedConv, PooledNormClassifier, SplitTranspose};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

/// The networks of the paper, and with `RW` that of timm.
pub(super) struct Family<const RW: bool>;

pub(super) type EdgeNext = Family<false>;
pub(super) type EdgeNextRw = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    /// Blocks; but for the first stage the last has attention.
    depth: u32,
    /// Stride of the stage; the first has none.
    stride: u32,
    kernel: u32,
    expand: u32,
    /// Heads of the attention, and channels of one.
    heads: u32,
    head_dim: u32,
}

/// Chunks of the channels in blocks with attention.
const CHUNKS: [u32; 4] = [2, 2, 3, 4];

fn cfg(depths: [u32; 4], widths: [u32; 4], heads: u32) -> Cfg {
    let stage = |i: usize| {
        let (width, depth, kernel) = (widths[i], depths[i], [3, 5, 7, 9][i]);
        Stage { width, depth, stride: 2, kernel, expand: 4, heads, head_dim: width / heads }
    };
    Cfg { stem_stride: 4, stages: [0, 1, 2, 3].map(stage) }
}

/// The channels in chunks; the last may be smaller.
fn chunks(width: u32, count: u32) -> Sections {
    let size = width.div_ceil(count).max(1);
    (0..count).fold(Sections::default(), |all, i| all.join(&Sections::plain(size.min(width.saturating_sub(i * size)))))
}

impl<const RW: bool> Spec for Family<RW> {
    type Cfg = Cfg;
    const NAME: &'static str = if RW { "edgenext_rw" } else { "edgenext" };
    const CITE: &'static str = "EdgeNeXt, Maaz et al. 2022, arXiv 2206.10589";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.9);

    fn preprocessing(id: &str) -> Preprocessing {
        match id {
            "edgenext_small" | "edgenext_base" => Preprocessing::imagenet(0.95),
            _ => Self::PREPROCESSING,
        }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 256, cfg, published };
        if RW {
            return vec![of("edgenext_small_rw", cfg([3, 3, 9, 3], [48, 96, 192, 384], 8), Published::NONE)];
        }
        // Figures of the README of its code, without distillation or other data.
        let paper = Published::all;
        vec![
            of("edgenext_xx_small", cfg([2, 2, 6, 2], [24, 48, 88, 168], 4), paper(71.23, 1.33, 0.261)),
            of("edgenext_x_small", cfg([3, 3, 9, 3], [32, 64, 100, 192], 4), paper(74.96, 2.34, 0.538)),
            of("edgenext_small", cfg([3, 3, 9, 3], [48, 96, 160, 304], 8), paper(79.41, 5.59, 1.26)),
            of("edgenext_base", cfg([3, 3, 9, 3], [80, 160, 288, 584], 8), paper(82.47, 18.51, 3.84)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [3, 3, 9, 3].into_iter().enumerate() {
            // A stride inside a block filters each channel a whole number of times: the widths stay.
            if !RW {
                all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            }
            let least = if i == 0 { 1 } else { 2 };
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(least..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
                all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads).also([4]));
                all.push(knob!(Cfg: format!("stages.{i}.head_dim"), Width, stages[i].head_dim));
            }
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5, 7]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let channels = |i: usize| chunks(cfg.stages[i].width, CHUNKS[i]);
        let (out, kernel) = (channels(0), if RW { 9 } else { 4 });
        plan.push(
            root.at("stem"),
            NormedConv {
                conv: 0.into(),
                norm: 1.into(),
                eps_e7: 10,
                out,
                kernel,
                stride: cfg.stem_stride,
                before: false,
                bias: !RW,
            },
        );
        let depth: u32 = cfg.stages.iter().map(|s| s.depth).sum();
        // timm's notes: small and base drop up to a tenth, the narrower networks nothing.
        let most = if !RW && cfg.stages[0].width > 32 { 100 } else { 0 };
        let mut drops = (0..).map(|block| most * block / depth.saturating_sub(1).max(1));
        for (i, s) in cfg.stages.iter().enumerate() {
            let (stage, out) = (root.at("stages").at(i as u32), channels(i));
            if i > 0 && !RW {
                let conv = NormedConv {
                    conv: 1.into(),
                    norm: 0.into(),
                    eps_e7: 10,
                    out: out.clone(),
                    kernel: 2,
                    stride: s.stride,
                    before: true,
                    bias: true,
                };
                plan.push(stage.at("downsample"), conv);
            }
            for (j, drop) in (0..s.depth).zip(drops.by_ref()) {
                let (path, bias) = (stage.at("blocks").at(j), !RW);
                if i > 0 && j + 1 == s.depth {
                    let Stage { heads, head_dim, expand, .. } = *s;
                    let block = SplitTranspose { heads, head_dim, expand, positions: i == 1, bias, drop };
                    // The last blocks of all subnets share tensors, whatever the number of blocks before them.
                    plan.push_shared(path, stage.at("attention"), block);
                    continue;
                }
                let stride = if RW && i > 0 && j == 0 { s.stride } else { 1 };
                let Stage { kernel, expand, .. } = *s;
                plan.push(path, EdgeNextConv { out: out.clone(), kernel, stride, expand, bias, drop });
            }
        }
        plan.push(root.at("head"), PooledNormClassifier { eps_e7: 10, classes });
        Ok(plan)
    }
}
