//! ResNet (He et al., 2015, arXiv 1512.03385) as a baseline: 50 and 101; 18, whose blocks have no bottleneck; and SE-ResNet-50
//! (Hu et al., 2018, arXiv 1709.01507). Each is a family of its own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Classifier, ResNetBlock, ResNetStem};
use crate::ir::{InitStyle, Path, Plan, ShapeError};

/// 50 and 101, 18, or that with squeeze-and-excitation.
pub(super) struct Family<const KIND: u8>;

const IS_BASIC: u8 = 1;
const IS_SQUEEZED: u8 = 2;

pub(super) type ResNet = Family<0>;
pub(super) type ResNetBasic = Family<IS_BASIC>;
pub(super) type SeResNet = Family<IS_SQUEEZED>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    /// The width of the first is that of the stem too.
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
}

const NAMES: [&str; 4] = ["layer1", "layer2", "layer3", "layer4"];

fn cfg(depths: [u32; 4]) -> Cfg {
    let stage = |i: usize| Stage { width: 64 << i, depth: depths[i], stride: if i == 0 { 1 } else { 2 } };
    Cfg { stem_stride: 2, stages: [0, 1, 2, 3].map(stage) }
}

impl<const KIND: u8> Spec for Family<KIND> {
    type Cfg = Cfg;
    const NAME: &'static str = match KIND {
        IS_BASIC => "resnet_basic",
        IS_SQUEEZED => "seresnet",
        _ => "resnet",
    };
    const CITE: &'static str = if KIND == IS_SQUEEZED {
        "SENet, Hu et al. 2018, arXiv 1709.01507"
    } else {
        "ResNet, He et al. 2015, arXiv 1512.03385"
    };
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, depths, published| Variant { id, resolution: 224, cfg: cfg(depths), published };
        match KIND {
            IS_BASIC => vec![of("resnet18", [2, 2, 2, 2], Published::NONE)],
            IS_SQUEEZED => vec![of("seresnet50", [3, 4, 6, 3], Published::NONE)],
            // As later papers quote them.
            _ => vec![
                of("resnet50", [3, 4, 6, 3], Published::all(78.5, 25.5, 4.1).on_iphone12(2.5)),
                of("resnet101", [3, 4, 23, 3], Published::all(77.4, 44.5, 7.9)),
            ],
        }
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for i in 0..4 {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also([1]));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let bottleneck = KIND != IS_BASIC;
        plan.push(root.clone(), ResNetStem { out: cfg.stages[0].width, stride: cfg.stem_stride });
        for (i, s) in cfg.stages.iter().enumerate() {
            for j in 0..s.depth {
                // Whether the shortcut is a convolution follows from the place: with the sizes it would come and go.
                let (width, convolved, squeeze) = (s.width, j == 0 && (bottleneck || i > 0), KIND == IS_SQUEEZED);
                let stride = if j == 0 { s.stride } else { 1 };
                plan.push(root.at(NAMES[i]).at(j), ResNetBlock { width, stride, bottleneck, convolved, squeeze });
            }
        }
        plan.push(root, Classifier { fc: "fc", classes });
        Ok(plan)
    }
}
