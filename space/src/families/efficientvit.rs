//! EfficientViT (Cai et al., 2022, arXiv 2205.14756), with linear attention: B0 to B3.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, EfficientVit as Block, EfficientVitConv, MlpClassifier};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct EfficientVit;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    /// Separable convolutions of the stem.
    stem_depth: u32,
    stages: [Stage; 4],
    /// Channels of a query, a key and a value.
    head_dim: u32,
    /// Channels before and after the global pooling.
    head: [u32; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    /// In the last two stages blocks with attention, after a convolution with the stride.
    depth: u32,
    stride: u32,
    kernel: u32,
    expand: u32,
    /// Heads of the attention, in the last two stages, and the kernel of its second scale.
    heads: u32,
    scale: u32,
}

fn cfg(stem: u32, depths: [u32; 4], head_dim: u32, head: [u32; 2]) -> Cfg {
    let stage = |i: usize| {
        let (width, depth) = (stem << (i + 1), depths[i]);
        Stage { width, depth, stride: 2, kernel: 3, expand: 4, heads: width / head_dim, scale: 5 }
    };
    Cfg { stem, stem_stride: 2, stem_depth: 1, stages: [0, 1, 2, 3].map(stage), head_dim, head }
}

impl Spec for EfficientVit {
    type Cfg = Cfg;
    const NAME: &'static str = "efficientvit";
    const CITE: &'static str = "EfficientViT, Cai et al. 2022, arXiv 2205.14756";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);
    const FORMULA_GAIN: f64 = 0.75;

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        // Figures of the list of models of its code, which leaves B0 out.
        let listed = Published::all;
        vec![
            of("efficientvit_b0", cfg(8, [2, 2, 2, 2], 16, [1024, 1280]), Published::NONE),
            of("efficientvit_b1", cfg(16, [2, 3, 3, 4], 16, [1536, 1600]), listed(79.39, 9.1, 0.52)),
            of("efficientvit_b2", cfg(24, [3, 4, 4, 6], 32, [2304, 2560]), listed(82.1, 24.0, 1.6)),
            of("efficientvit_b3", cfg(32, [4, 6, 6, 9], 32, [2304, 2560]), listed(83.468, 49.0, 4.0)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![
            knob!(Cfg: "stem.width", Width, stem),
            knob!(Cfg: "stem.stride", Stride, stem_stride),
            knob!(Cfg: "stem.depth", Depth, stem_depth).also([2]),
            knob!(Cfg: "head_dim", Width, head_dim),
        ];
        for (i, most) in [4, 6, 6, 9].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 6]));
            if i > 1 {
                all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].heads));
                all.push(knob!(Cfg: format!("stages.{i}.scale"), Kernel, stages[i].scale).also([3]));
            }
        }
        all.push(knob!(Cfg: "head.0.width", Width, head[0]));
        all.push(knob!(Cfg: "head.1.width", Width, head[1]));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let conv = |out, kernel, stride| {
            let (conv, bn, out) = ("conv", "norm", Sections::plain(out));
            ConvBnAct { conv, bn, out, kernel, stride, bias: false, act: Some(ActFn::HardSwish) }
        };
        plan.push(root.at("stem").at("in_conv"), conv(cfg.stem, 3, cfg.stem_stride));
        for name in ["res0", "res1"].into_iter().take(cfg.stem_depth as usize) {
            let (out, normed, shortcut) = (cfg.stem, true, true);
            let block = EfficientVitConv { expand: None, out, kernel: 3, stride: 1, normed, shortcut };
            plan.push(root.at("stem").at(name), block);
        }
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let (blocks, attends) = (root.at("stages").at(i).at("blocks"), i > 1);
            let conv = |stride, shortcut| {
                let (expand, out, kernel) = (Some(s.expand), s.width, s.kernel);
                EfficientVitConv { expand, out, kernel, stride, normed: !attends, shortcut }
            };
            plan.push(blocks.at(0), conv(s.stride, false));
            for j in 1..=s.depth - u32::from(!attends) {
                match attends {
                    true => {
                        let (Stage { kernel, expand, heads, scale, .. }, head_dim) = (*s, cfg.head_dim);
                        plan.push(blocks.at(j), Block { heads, head_dim, scale, expand, kernel });
                    }
                    false => plan.push(blocks.at(j), conv(1, true)),
                }
            }
        }
        plan.push(root.at("head").at("in_conv"), conv(cfg.head[0], 1, 1));
        plan.push(root.at("head"), MlpClassifier { hidden: cfg.head[1], classes });
        Ok(plan)
    }
}
