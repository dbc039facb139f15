//! DenseNet (Huang et al., 2017, arXiv 1608.06993) as a baseline: 121, 161, 169 and 201. A layer has weights for each layer
//! before it, so that each network is a family of its own; only its growth varies.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, DenseHead, DenseLayer, DenseTransition, MaxPool};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// The network of so many layers.
pub(super) struct DenseNet<const LAYERS: u32>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    /// Channels that a layer adds; the stem has twice as many.
    growth: u32,
    /// Channels inside a layer over those that it adds.
    expand: u32,
}

/// Id, layers of each block, growth, and the figures of torchvision's weights.
const fn published(layers: u32) -> (&'static str, [u32; 4], u32, [f64; 3]) {
    match layers {
        121 => ("densenet121", [6, 12, 24, 16], 32, [74.434, 7.979, 2.834]),
        161 => ("densenet161", [6, 12, 36, 24], 48, [77.138, 28.681, 7.728]),
        169 => ("densenet169", [6, 12, 32, 32], 32, [75.6, 14.149, 3.36]),
        _ => ("densenet201", [6, 12, 48, 32], 32, [76.896, 20.014, 4.291]),
    }
}

impl<const LAYERS: u32> Spec for DenseNet<LAYERS> {
    type Cfg = Cfg;
    const NAME: &'static str = match LAYERS {
        121 => "densenet_121",
        161 => "densenet_161",
        169 => "densenet_169",
        _ => "densenet_201",
    };
    const CITE: &'static str = "DenseNet, Huang et al. 2017, arXiv 1608.06993";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<Cfg>> {
        let (id, _, growth, [top1, params, macs]) = published(LAYERS);
        let cfg = Cfg { stem_stride: 2, growth, expand: 4 };
        vec![Variant { id, resolution: 224, cfg, published: Published::all(top1, params, macs) }]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        vec![
            knob!(Cfg: "stem.stride", Stride, stem_stride),
            knob!(Cfg: "growth", Width, growth).also([16, 24]),
            knob!(Cfg: "expand", Expansion, expand).also([2]),
        ]
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let (features, out, stride) = (root.at("features"), Sections::plain(2 * cfg.growth), cfg.stem_stride);
        let act = Some(ActFn::Relu);
        let stem = ConvBnAct { conv: "conv0", bn: "norm0", out, kernel: 7, stride, bias: false, act };
        plan.push(features.clone(), stem);
        plan.push(features.clone(), MaxPool { stride: 2 });
        for (i, depth) in (1u32..).zip(published(LAYERS).1) {
            if i > 1 {
                plan.push(features.at(("transition", i - 1)), DenseTransition);
            }
            for j in 1..=depth {
                let layer = DenseLayer { growth: cfg.growth, expand: cfg.expand };
                plan.push(features.at(("denseblock", i)).at(("denselayer", j)), layer);
            }
        }
        plan.push(root, DenseHead { classes });
        Ok(plan)
    }
}
