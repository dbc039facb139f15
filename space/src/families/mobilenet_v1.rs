//! MobileNetV1 (Howard et al., 2017, arXiv 1704.04861): x1.0, timm's x1.25, and timm's x1.0 with a convolution before the
//! classifier. The last is a family of its own: without that convolution the classifier reads other channels.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, ConvBnAct, SeparableConv, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// The networks of the paper, and with `HEAD` those with a convolution before the classifier.
pub(super) struct Family<const HEAD: bool>;

pub(super) type MobileNetV1 = Family<false>;
pub(super) type MobileNetV1Head = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem: u32,
    stem_stride: u32,
    stages: [Stage; 5],
    /// Channels of the convolution before the classifier, where there is one.
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
}

/// Width, depth, stride of each stage.
const TABLE: [(u32, u32, u32); 5] = [(64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)];

fn scaled(multiplier: f64) -> Cfg {
    let width = |w: u32| make_divisible(f64::from(w) * multiplier, 8);
    let stages = TABLE.map(|(w, depth, stride)| Stage { width: width(w), depth, stride, kernel: 3 });
    Cfg { stem: width(32), stem_stride: 2, stages, head: 1024 }
}

impl<const HEAD: bool> Spec for Family<HEAD> {
    type Cfg = Cfg;
    const NAME: &'static str = if HEAD { "mobilenet_v1_head" } else { "mobilenet_v1" };
    const CITE: &'static str = "MobileNet, Howard et al. 2017, arXiv 1704.04861";
    const PREPROCESSING: Preprocessing = Preprocessing::inception(0.875);

    fn preprocessing(id: &str) -> Preprocessing {
        if id == "mobilenetv1_125" { Preprocessing::inception(0.9) } else { Self::PREPROCESSING }
    }

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, multiplier, published| Variant { id, resolution: 224, cfg: scaled(multiplier), published };
        if HEAD {
            return vec![of("mobilenetv1_100h", 1.0, Published::all(75.664, 5.28, 0.63))];
        }
        // The second and that with a head as timm prints them, the first as later papers quote its own.
        let (paper, timm) = (Published::all(70.6, 4.2, 0.569), Published::all(76.92, 6.27, 0.89));
        vec![of("mobilenetv1_100", 1.0, paper), of("mobilenetv1_125", 1.25, timm)]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.width", Width, stem), knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, (_, deepest, _)) in TABLE.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
        }
        if HEAD {
            all.push(knob!(Cfg: "head.width", Width, head));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let unit = |conv, bn, out, kernel, stride| {
            let act = Some(ActFn::Relu6);
            ConvBnAct { conv, bn, out: Sections::plain(out), kernel, stride, bias: false, act }
        };
        plan.push(root.clone(), unit("conv_stem", "bn1", cfg.stem, 3, cfg.stem_stride));
        for (i, s) in (0u32..).zip(&cfg.stages) {
            for j in 0..s.depth {
                let stride = if j == 0 { s.stride } else { 1 };
                let block = SeparableConv { out: s.width, kernel: s.kernel, stride, act: ActFn::Relu6 };
                plan.push(root.at("blocks").at(i).at(j), block);
            }
        }
        if HEAD {
            plan.push(root.clone(), unit("conv_head", "bn2", cfg.head, 1, 1));
        }
        plan.push(root, Classifier { fc: "classifier", classes });
        Ok(plan)
    }
}
