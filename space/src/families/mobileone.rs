//! MobileOne (Vasu et al., 2022, arXiv 2206.04040): S0 to S4. In S0 the first convolution of the first stage has as many
//! channels as the stem, and so a branch more; S4 has squeeze-and-excitation. Each is a family of its own.

use super::preprocessing::{Interpolation, Preprocessing};
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, Parallel};
use crate::ir::{ActFn, InitStyle, Path, Plan, ShapeError};

/// S1 to S3, S0, or S4.
pub(super) struct Family<const KIND: u8>;

const IS_PLAIN: u8 = 0;
const IS_SMALL: u8 = 1;
const IS_SQUEEZED: u8 = 2;

pub(super) type MobileOne = Family<IS_PLAIN>;
pub(super) type MobileOneSmall = Family<IS_SMALL>;
pub(super) type MobileOneSqueezed = Family<IS_SQUEEZED>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    /// Convolutions of the same kernel that are trained side by side.
    branches: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
}

/// Width and depth of each stage before its multiplier.
const TABLE: [(u32, u32); 4] = [(64, 2), (128, 8), (256, 10), (512, 1)];

fn cfg(stem: u32, multipliers: [f64; 4], branches: u32) -> Cfg {
    let mut stages = TABLE.map(|(width, depth)| Stage { width, depth, stride: 2, kernel: 3 });
    for (stage, by) in stages.iter_mut().zip(multipliers) {
        stage.width = (f64::from(stage.width) * by) as u32;
    }
    Cfg { stem, stem_stride: 2, branches, stages }
}

/// Whether both convolutions of a pair have squeeze-and-excitation.
fn squeezes(stage: usize, pair: u32) -> bool {
    matches!((stage, pair), (2, 5..) | (3, _))
}

impl<const KIND: u8> Spec for Family<KIND> {
    type Cfg = Cfg;
    const NAME: &'static str = match KIND {
        IS_SMALL => "mobileone_s0",
        IS_SQUEEZED => "mobileone_s4",
        _ => "mobileone",
    };
    const CITE: &'static str = "MobileOne, Vasu et al. 2022, arXiv 2206.04040";
    const PREPROCESSING: Preprocessing = Preprocessing {
        interpolation: Interpolation::Bilinear,
        ..Preprocessing::imagenet(if KIND == IS_SMALL { 0.875 } else { 0.9 })
    };
    const COUNTING_NOTE: &'static str = "parameters as deployed: each block is one convolution";

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        let top1 = |top1, params_m, macs_g| Published { top1: Some(top1), params_m, macs_g, ..Published::NONE };
        match KIND {
            IS_SMALL => vec![of("mobileone_s0", cfg(48, [0.75, 1.0, 1.0, 2.0], 4), top1(71.4, None, None))],
            IS_SQUEEZED => {
                let published = top1(79.4, Some(14.8), Some(2.98));
                vec![of("mobileone_s4", cfg(64, [3.0, 3.5, 3.5, 4.0], 1), published)]
            }
            _ => vec![
                of("mobileone_s1", cfg(64, [1.5, 1.5, 2.0, 2.5], 1), top1(75.9, None, None)),
                of("mobileone_s2", cfg(64, [1.5, 2.0, 2.5, 4.0], 1), top1(77.4, Some(7.8), Some(1.3))),
                of("mobileone_s3", cfg(64, [2.0, 2.5, 3.0, 4.0], 1), top1(78.1, Some(10.1), Some(1.9))),
            ],
        }
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![
            knob!(Cfg: "stem.width", Width, stem),
            knob!(Cfg: "stem.stride", Stride, stem_stride),
            knob!(Cfg: "branches", Depth, branches).also([1, 4]),
        ];
        for (i, (_, deepest)) in TABLE.into_iter().enumerate() {
            // The first width of S0 is that of its stem.
            if KIND != IS_SMALL || i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            }
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let act = Some(ActFn::Relu);
        plan.push(root.at("stem"), Parallel { act, ..Parallel::dense(cfg.stem, 3).stride(cfg.stem_stride) });
        let mut width = cfg.stem;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            for j in 0..s.depth {
                let out = if KIND == IS_SMALL && i == 0 { cfg.stem } else { s.width };
                let with = |conv: Parallel| {
                    let squeeze = (KIND == IS_SQUEEZED && squeezes(i as usize, j)).then_some(("attn", conv.out / 16));
                    Parallel { branches: cfg.branches, squeeze, act, ..conv }
                };
                let filter = Parallel::depthwise(width, s.kernel);
                plan.push(stage.at(2 * j), with(if j == 0 { filter.stride(s.stride) } else { filter }));
                // Whether the input is a branch follows from the place: with the widths it would come and go in a supernet.
                let identity = j > 0 || KIND == IS_SMALL && i == 0;
                plan.push(stage.at(2 * j + 1), with(Parallel { identity, ..Parallel::dense(out, 1) }));
                width = out;
            }
        }
        plan.push(root.at("head"), Classifier { fc: "fc", classes });
        Ok(plan)
    }
}
