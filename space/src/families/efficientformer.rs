//! EfficientFormer (Li et al., 2022, arXiv 2206.01191): L1, L3, L7.

use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, DistilledHead, FinalNorm, Flat, MetaBlock1d, MetaBlock2d, NormedMap};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct EfficientFormer;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    /// Strides of the two convolutions of the stem.
    stem_strides: [u32; 2],
    stages: [Stage; 4],
    /// Attention blocks, at the end of the last stage.
    attention: u32,
    heads: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    /// Pooling blocks.
    depth: u32,
    /// Stride of the convolution before the stage; the first stage has no such convolution.
    stride: u32,
    expand: u32,
}

/// Names of the norms through which heads read the stages; classifiers have none.
const TAPS: [&str; 4] = ["norm0", "norm2", "norm4", "norm6"];

/// Pooling blocks of the deepest network of each stage.
const DEEPEST: [u32; 4] = [6, 6, 18, 3];

fn published(widths: [u32; 4], depths: [u32; 4], attention: u32) -> Cfg {
    let [d0, d1, d2, d3] = depths;
    let depths = [d0, d1, d2, d3 - attention];
    let stage = |i: usize| Stage { width: widths[i], depth: depths[i], stride: 2, expand: 4 };
    Cfg { stem_strides: [2, 2], stages: [stage(0), stage(1), stage(2), stage(3)], attention, heads: 8 }
}

impl Spec for EfficientFormer {
    type Cfg = Cfg;
    const NAME: &'static str = "efficientformer";
    const CITE: &'static str = "EfficientFormer, Li et al. 2022, arXiv 2206.01191";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);
    const NAMINGS: &'static [Naming] = naming::SNAP_V1;
    const COUNTING_NOTE: &'static str =
        "the paper counts parameters as deployed: batch norms and layer scales folded, both heads kept";

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, top1, params_m, macs_g, ms| {
            let published = Published::all(top1, params_m, macs_g).on_iphone12(ms);
            Variant { id, resolution: 224, cfg, published }
        };
        vec![
            of("efficientformer_l1", published([48, 96, 224, 448], [3, 2, 6, 4], 1), 79.2, 12.3, 1.3, 1.4),
            of("efficientformer_l3", published([64, 128, 320, 512], [4, 4, 12, 6], 4), 82.4, 31.3, 3.9, 2.7),
            of("efficientformer_l7", published([96, 192, 384, 768], [6, 6, 18, 8], 8), 83.3, 82.1, 10.2, 6.6),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = Vec::new();
        for i in 0..2usize {
            all.push(knob!(Cfg: format!("stem.{i}.stride"), Stride, stem_strides[i]));
        }
        for (i, deepest) in DEEPEST.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            let depth = knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth);
            all.push(depth.also(1..=deepest));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all.push(knob!(Cfg: "attention.depth", Depth, attention).also(1..=8));
        all.push(knob!(Cfg: "attention.heads", Heads, heads).also([4]));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let mut plan = Plan::of_image(resolution, InitStyle::Former);
        let root = Path::root();
        let unit = |conv, bn, out, stride, act| ConvBnAct {
            conv,
            bn,
            out: Sections::plain(out),
            kernel: 3,
            stride,
            bias: true,
            act,
        };
        let (width, [first, second]) = (cfg.stages[0].width, cfg.stem_strides);
        let relu = Some(ActFn::Relu);
        plan.push(root.at("stem"), unit("conv1", "norm1", (width / 2).max(1), first, relu));
        plan.push(root.at("stem"), unit("conv2", "norm2", width, second, relu));
        let mut side = resolution.div_ceil(first.max(1)).div_ceil(second.max(1));
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                plan.push(stage.at("downsample"), unit("conv", "norm", s.width, s.stride, None));
                side = side.div_ceil(s.stride.max(1));
            }
            for j in 0..s.depth {
                plan.push(stage.at("blocks").at(j), MetaBlock2d { hidden: s.width * s.expand });
            }
            if i < 3 {
                plan.tap(root.at(TAPS[i as usize]), NormedMap { side: None });
            }
        }
        rows(&mut plan, cfg, side);
        plan.tap(root.at(TAPS[3]), NormedMap { side: Some(side) });
        plan.push(root, DistilledHead { norm: FinalNorm::Layer, classes });
        Ok(plan)
    }
}

/// Appends the attention blocks of the last stage, on a map of `side` x `side`. The flattening takes an index among the
/// blocks. The n-th attention blocks of all subnets share tensors, whatever the number of pooling blocks before them.
fn rows(plan: &mut Plan, cfg: &Cfg, side: u32) {
    let (stage, s) = (Path::root().at("stages").at(3), &cfg.stages[3]);
    plan.push(stage.at("blocks").at(s.depth), Flat);
    for i in 0..cfg.attention {
        let block = MetaBlock1d { h: side, w: side, heads: cfg.heads, hidden: s.width * s.expand };
        plan.push_shared(stage.at("blocks").at(s.depth + 1 + i), stage.at("attention").at(i), block);
    }
}
