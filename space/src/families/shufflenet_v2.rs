//! ShuffleNetV2 (Ma et al., 2018, arXiv 1807.11164): x0.5 to x2.0, with the names of torchvision.

use super::preprocessing::{Interpolation, Preprocessing};
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, ConvBnAct, MaxPool, ShuffleUnit};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct ShuffleNetV2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    pool_stride: u32,
    stages: [Stage; 3],
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
}

const DEPTHS: [u32; 3] = [4, 8, 4];

fn cfg(widths: [u32; 3], head: u32) -> Cfg {
    let stage = |i: usize| Stage { width: widths[i], depth: DEPTHS[i], stride: 2, kernel: 3 };
    Cfg { stem: 24, stem_stride: 2, pool_stride: 2, stages: [0, 1, 2].map(stage), head }
}

/// Resized to `side` pixels, of which 224 are taken.
const fn resized(side: f64) -> Preprocessing {
    Preprocessing { interpolation: Interpolation::Bilinear, ..Preprocessing::imagenet(224.0 / side) }
}

impl Spec for ShuffleNetV2 {
    type Cfg = Cfg;
    const NAME: &'static str = "shufflenet_v2";
    const CITE: &'static str = "ShuffleNetV2, Ma et al. 2018, arXiv 1807.11164";
    const PREPROCESSING: Preprocessing = resized(256.0);

    fn preprocessing(id: &str) -> Preprocessing {
        if ["shufflenet_v2_x1_5", "shufflenet_v2_x2_0"].contains(&id) { resized(232.0) } else { Self::PREPROCESSING }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        // As later papers quote the first; of x0.5, torchvision's.
        vec![
            of("shufflenet_v2_x0_5", cfg([48, 96, 192], 1024), Published::all(60.552, 1.37, 0.04)),
            of("shufflenet_v2_x1_0", cfg([116, 232, 464], 1024), Published::all(69.4, 2.3, 0.146)),
            of("shufflenet_v2_x1_5", cfg([176, 352, 704], 1024), Published::all(72.6, 3.5, 0.299)),
            of("shufflenet_v2_x2_0", cfg([244, 488, 976], 2048), Published::all(74.9, 7.4, 0.591)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![
            knob!(Cfg: "stem.width", Width, stem),
            knob!(Cfg: "stem.stride", Stride, stem_stride),
            knob!(Cfg: "pool.stride", Stride, pool_stride),
        ];
        for (i, deepest) in DEPTHS.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
        }
        all.push(knob!(Cfg: "head.width", Width, head));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let unit = |out, kernel, stride| {
            let (out, act) = (Sections::plain(out), Some(ActFn::Relu));
            ConvBnAct { conv: "0", bn: "1", out, kernel, stride, bias: false, act }
        };
        plan.push(root.at("conv1"), unit(cfg.stem, 3, cfg.stem_stride));
        plan.push(root.at("maxpool"), MaxPool { stride: cfg.pool_stride });
        for (name, s) in ["stage2", "stage3", "stage4"].into_iter().zip(&cfg.stages) {
            for j in 0..s.depth {
                let first = (j == 0).then_some(s.stride);
                plan.push(root.at(name).at(j), ShuffleUnit { out: s.width, kernel: s.kernel, first });
            }
        }
        plan.push(root.at("conv5"), unit(cfg.head, 1, 1));
        plan.push(root, Classifier { fc: "fc", classes });
        Ok(plan)
    }
}
