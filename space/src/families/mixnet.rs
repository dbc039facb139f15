//! MixNet (Tan and Le, 2019, arXiv 1907.09595): M, L, and timm's XL and XXL, which are M with other multipliers. S splits its
//! channels otherwise, so that it cannot share weights with the others, and is a family of its own.

use super::mbconv::scaled;
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, ConvBnAct, MixedResidual, SqueezeExcite, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// M and what is made of it, or S.
pub(super) struct Family<const SMALL: bool>;

pub(super) type MixNet = Family<false>;
pub(super) type MixNetS = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    stages: [Stage; 6],
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    /// Expansion of the first block and of the others. The first stage does not expand.
    expand: [u32; 2],
    /// Parts of the three convolutions of the first block, and of the others.
    parts: [[u32; 3]; 2],
    /// Channels inside squeeze-and-excitation over those that a block reads, in percent; 0 leaves it out, and ReLU is the
    /// activation instead of SiLU.
    squeeze: u32,
}

const fn stage(width: u32, depth: u32, stride: u32, expand: [u32; 2], squeeze: u32, parts: [[u32; 3]; 2]) -> Stage {
    Stage { width, depth, stride, expand, parts, squeeze }
}

/// The tables of the paper's code (tensorflow/tpu, models/official/mnasnet/mixnet).
const S: [Stage; 6] = [
    stage(16, 1, 1, [1, 1], 0, [[1, 1, 1], [1, 1, 1]]),
    stage(24, 2, 2, [6, 3], 0, [[2, 1, 2], [2, 1, 2]]),
    stage(40, 4, 2, [6, 6], 50, [[1, 3, 1], [2, 2, 2]]),
    stage(80, 3, 2, [6, 6], 25, [[1, 3, 2], [1, 2, 2]]),
    stage(120, 3, 1, [6, 3], 50, [[2, 3, 2], [2, 4, 2]]),
    stage(200, 3, 2, [6, 6], 50, [[1, 5, 1], [1, 4, 2]]),
];

const M: [Stage; 6] = [
    stage(24, 1, 1, [1, 1], 0, [[1, 1, 1], [1, 1, 1]]),
    stage(32, 2, 2, [6, 3], 0, [[2, 3, 2], [2, 1, 2]]),
    stage(40, 4, 2, [6, 6], 50, [[1, 4, 1], [2, 2, 2]]),
    stage(80, 4, 2, [6, 6], 25, [[1, 3, 1], [2, 4, 2]]),
    stage(120, 4, 1, [6, 3], 50, [[1, 1, 1], [2, 4, 2]]),
    stage(200, 4, 2, [6, 6], 50, [[1, 4, 1], [1, 4, 2]]),
];

fn cfg(stem: u32, stages: [Stage; 6], width: f64, depth: f64) -> Cfg {
    let deeper = |d: u32| (f64::from(d) * depth).round_ties_even() as u32;
    let stages = stages.map(|s| Stage { width: scaled(s.width, width), depth: deeper(s.depth), ..s });
    Cfg { stem: scaled(stem, width), stem_stride: 2, stages, head: 1536 }
}

impl<const SMALL: bool> Spec for Family<SMALL> {
    type Cfg = Cfg;
    const NAME: &'static str = if SMALL { "mixnet_s" } else { "mixnet" };
    const CITE: &'static str = "MixNet, Tan and Le 2019, arXiv 1907.09595";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const FORMULA_GAIN: f64 = 0.85;
    const COUNTING_NOTE: &'static str = "timm prints the MACs 3 to 6 percent larger";

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        // Accuracy of the paper, which also others repeat; the rest, and XL, as timm prints them.
        if SMALL {
            return vec![of("mixnet_s", cfg(16, S, 1.0, 1.0), Published::all(75.8, 4.13, 0.25))];
        }
        vec![
            of("mixnet_m", cfg(24, M, 1.0, 1.0), Published::all(77.0, 5.01, 0.36)),
            of("mixnet_l", cfg(24, M, 1.3, 1.0), Published::all(78.9, 7.33, 0.58)),
            of("mixnet_xl", cfg(24, M, 1.6, 1.2), Published::all(80.494, 11.9, 0.93)),
            of("mixnet_xxl", cfg(24, M, 2.4, 1.3), Published::NONE),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.width", Width, stem), knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for i in 0..6usize {
            let deepest = if SMALL { S[i].depth } else { M[i].depth };
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            for j in (0..2usize).filter(|_| i > 0) {
                let name = ["first", "rest"][j];
                let expand = knob!(Cfg: format!("stages.{i}.{name}.expand"), Expansion, stages[i].expand[j]);
                all.push(expand.also([3, 6]));
            }
        }
        all.push(knob!(Cfg: "head.width", Width, head));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let unit = |conv, bn, out, kernel, stride| {
            let act = Some(ActFn::Relu);
            ConvBnAct { conv, bn, out, kernel, stride, bias: false, act }
        };
        plan.push(root.clone(), unit("conv_stem", "bn1", Sections::halves(cfg.stem), 3, cfg.stem_stride));
        let mut width = cfg.stem;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let act = if s.squeeze > 0 { ActFn::Silu } else { ActFn::Relu };
            for j in 0..s.depth {
                let (expand, parts) = if j == 0 { (s.expand[0], s.parts[0]) } else { (s.expand[1], s.parts[1]) };
                let mid = (i > 0).then(|| make_divisible(f64::from(width * expand), 8));
                let squeeze = SqueezeExcite::of_input(s.squeeze, mid.unwrap_or(width), expand, act);
                let stride = if j == 0 { s.stride } else { 1 };
                let block = MixedResidual { mid, out: s.width, parts, stride, act, squeeze };
                plan.push(root.at("blocks").at(i).at(j), block);
                width = s.width;
            }
        }
        plan.push(root.clone(), unit("conv_head", "bn2", Sections::plain(cfg.head), 1, 1));
        plan.push(root, Classifier { fc: "classifier", classes });
        Ok(plan)
    }
}
