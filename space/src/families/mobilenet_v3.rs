//! MobileNetV3 (Howard et al., 2019, arXiv 1905.02244), a baseline: Large and Small x1.0.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, KnobKind, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, InvertedResidual, Naming, PooledClassifier, SqueezeExcite, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct MobileNetV3;

/// Small is Large without the last stage, with other sizes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    /// How many leading stages use ReLU; the others use hard-swish.
    relu_stages: u32,
    stages: [Stage; 6],
    /// Channels of the last convolution on the map.
    last: u32,
    /// Channels before the classifier.
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
    /// Channels inside squeeze-and-excitation over those of the block, in percent; 0 leaves it out.
    squeeze: u32,
    /// Expanded channels of each block. The first stage does not expand.
    mid: [u32; 4],
}

const fn stage(width: u32, depth: u32, stride: u32, kernel: u32, squeeze: u32, mid: [u32; 4]) -> Stage {
    Stage { width, depth, stride, kernel, squeeze, mid }
}

// Tables 1 and 2 of the paper. Where a network lacks a block, the other network's width is used.
const LARGE: Cfg = Cfg {
    stem: 16,
    stem_stride: 2,
    relu_stages: 3,
    stages: [
        stage(16, 1, 1, 3, 0, [16; 4]),
        stage(24, 2, 2, 3, 0, [64, 72, 72, 72]),
        stage(40, 3, 2, 5, 25, [72, 120, 120, 120]),
        stage(80, 4, 2, 3, 0, [240, 200, 184, 184]),
        stage(112, 2, 1, 3, 25, [480, 672, 576, 672]),
        stage(160, 3, 2, 5, 25, [672, 960, 960, 960]),
    ],
    last: 960,
    head: 1280,
};

const SMALL: Cfg = Cfg {
    stem: 16,
    stem_stride: 2,
    relu_stages: 2,
    stages: [
        stage(16, 1, 2, 3, 25, [16; 4]),
        stage(24, 2, 2, 3, 0, [72, 88, 88, 88]),
        stage(40, 3, 2, 5, 25, [96, 240, 240, 240]),
        stage(48, 2, 1, 5, 25, [120, 144, 184, 184]),
        stage(96, 3, 2, 5, 25, [288, 576, 576, 576]),
        stage(160, 0, 2, 5, 25, [672, 960, 960, 960]),
    ],
    last: 576,
    head: 1024,
};

/// Blocks of the deeper network of each stage.
const DEEPEST: [usize; 6] = [1, 2, 3, 4, 3, 3];

impl Spec for MobileNetV3 {
    type Cfg = Cfg;
    const NAME: &'static str = "mobilenet_v3";
    const CITE: &'static str = "MobileNetV3, Howard et al. 2019, arXiv 1905.02244";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, top1, params_m, macs_g| {
            let published = Published::all(top1, params_m, macs_g);
            Variant { id, resolution: 224, cfg, published }
        };
        vec![of("mobilenetv3_large_100", LARGE, 75.2, 5.4, 0.217), of("mobilenetv3_small_100", SMALL, 67.4, 2.5, 0.057)]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![
            knob!(Cfg: "stem.width", Width, stem),
            knob!(Cfg: "stem.stride", Stride, stem_stride),
            knob!(Cfg: "relu_stages", Depth, relu_stages),
        ];
        for (i, deepest) in DEEPEST.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            let depth = knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth);
            all.push(depth.also(1..=deepest as u32));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
            all.push(knob!(Cfg: format!("stages.{i}.squeeze"), Expansion, stages[i].squeeze));
            for j in (0..deepest).filter(|_| i > 0) {
                all.push(knob!(Cfg: format!("stages.{i}.{j}.mid"), Width, stages[i].mid[j]));
            }
        }
        all.push(Knob::new("last.width", KnobKind::Width, |c: &Cfg| c.last, |c, v| c.last = v));
        all.push(Knob::new("head.width", KnobKind::Width, |c: &Cfg| c.head, |c, v| c.head = v));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let mut plan = Plan::of_image(resolution, InitStyle::Mobile);
        let (root, blocks) = (Path::root(), Path::root().at("blocks"));
        let unit = |conv, bn, out, kernel, stride| {
            let act = Some(ActFn::HardSwish);
            ConvBnAct { conv, bn, out: Sections::plain(out), kernel, stride, bias: false, act }
        };
        plan.push(root.clone(), unit("conv_stem", "bn1", cfg.stem, 3, cfg.stem_stride));
        let mut width = cfg.stem;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            for j in 0..s.depth {
                let mid = (i > 0).then(|| s.mid[(j as usize).min(s.mid.len() - 1)]);
                let reduced = f64::from(mid.unwrap_or(width) * s.squeeze) / 100.0;
                let block = InvertedResidual {
                    mid,
                    out: s.width,
                    kernel: s.kernel,
                    stride: if j == 0 { s.stride } else { 1 },
                    act: if i < cfg.relu_stages { ActFn::Relu } else { ActFn::HardSwish },
                    squeeze: (s.squeeze > 0).then(|| SqueezeExcite::hard(make_divisible(reduced, 8))),
                    drop: 0,
                    naming: Naming::Flat,
                };
                plan.push(blocks.at(i).at(j), block);
                width = s.width;
            }
        }
        let stages = cfg.stages.iter().filter(|s| s.depth > 0).count() as u32;
        plan.push_shared(blocks.at(stages).at(0), blocks.at("last"), unit("conv", "bn1", cfg.last, 1, 1));
        plan.push(root, PooledClassifier { width: cfg.head, norm: None, act: ActFn::HardSwish, classes });
        Ok(plan)
    }
}
