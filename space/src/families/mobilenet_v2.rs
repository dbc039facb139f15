//! MobileNetV2 (Sandler et al., 2018, arXiv 1801.04381), the baseline: x1.0 and x1.4.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, KnobKind, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, ConvBnAct, InvertedResidual, Naming, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct MobileNetV2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    stages: [Stage; 7],
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    expand: u32,
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
}

/// Expansion, width at x1.0, depth, stride of each stage, from table 2 of the paper.
const TABLE: [(u32, u32, u32, u32); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn scaled(multiplier: f64) -> Cfg {
    let width = |w: u32| make_divisible(f64::from(w) * multiplier, 8);
    let stage = |(expand, w, depth, stride)| Stage { expand, width: width(w), depth, stride, kernel: 3 };
    Cfg { stem: width(32), stem_stride: 2, stages: TABLE.map(stage), head: width(1280).max(1280) }
}

impl Spec for MobileNetV2 {
    type Cfg = Cfg;
    const NAME: &'static str = "mobilenet_v2";
    const CITE: &'static str = "MobileNetV2, Sandler et al. 2018, arXiv 1801.04381";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, multiplier, published| Variant { id, resolution: 224, cfg: scaled(multiplier), published };
        vec![
            of("mobilenetv2_100", 1.0, Published::all(71.8, 3.5, 0.3).on_iphone12(0.9)),
            of("mobilenetv2_140", 1.4, Published::all(74.7, 6.1, 0.6).on_iphone12(1.2)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.width", Width, stem), knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, (_, _, deepest, _)) in TABLE.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            let kernel = knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel);
            all.push(kernel.also([3, 5]));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([3, 4, 6]));
            }
        }
        all.push(Knob::new("head.width", KnobKind::Width, |c: &Cfg| c.head, |c, v| c.head = v));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let act = Some(ActFn::Relu6);
        let mut plan = Plan::of_image(resolution, InitStyle::Mobile);
        let root = Path::root();
        let stem = ConvBnAct {
            conv: "conv_stem",
            bn: "bn1",
            out: Sections::plain(cfg.stem),
            kernel: 3,
            stride: cfg.stem_stride,
            bias: false,
            act,
        };
        plan.push(root.clone(), stem);
        let mut width = cfg.stem;
        for (i, s) in (0u32..).zip(&cfg.stages) {
            for j in 0..s.depth {
                let block = InvertedResidual {
                    mid: (i > 0).then(|| make_divisible(f64::from(width * s.expand), 8)),
                    out: s.width,
                    kernel: s.kernel,
                    stride: if j == 0 { s.stride } else { 1 },
                    act: ActFn::Relu6,
                    squeeze: None,
                    drop: 0,
                    naming: Naming::Flat,
                };
                plan.push(root.at("blocks").at(i).at(j), block);
                width = s.width;
            }
        }
        let out = Sections::plain(cfg.head);
        let head = ConvBnAct { conv: "conv_head", bn: "bn2", out, kernel: 1, stride: 1, bias: false, act };
        plan.push(root.clone(), head);
        plan.push(root, Classifier { fc: "classifier", classes });
        Ok(plan)
    }
}
