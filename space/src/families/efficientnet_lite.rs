//! EfficientNet-Lite (Google, 2020, tensorflow/tpu, models/official/efficientnet/lite): EfficientNet for integer arithmetic,
//! without squeeze-and-excitation, with ReLU6, and with stem and head of fixed width. Lite0 to Lite2.

use super::efficientnet::{B0, deeper};
use super::mbconv::{MbConvCfg, Stage, Training, scaled};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::ir::{ActFn, Plan, ShapeError};

pub(super) struct EfficientNetLite;

fn cfg(width: f64, depth: f64) -> MbConvCfg {
    let stages = B0.map(|s| {
        // The first and the last stage, of one block, keep it.
        let depth = if s.depth == 1 { 1 } else { deeper(s.depth, depth) };
        Stage { width: scaled(s.width, width), depth, squeeze: 0, ..s }
    });
    MbConvCfg { stem: 32, stem_stride: 2, stages, head: 1280 }
}

impl Spec for EfficientNetLite {
    type Cfg = MbConvCfg;
    const NAME: &'static str = "efficientnet_lite";
    const CITE: &'static str =
        "EfficientNet-Lite, Google 2020, tensorflow/tpu; after Tan and Le 2019, arXiv 1905.11946";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const COUNTING_NOTE: &'static str = "the MACs that its code prints are 4 to 6 percent larger";

    fn preprocessing(id: &str) -> Preprocessing {
        match id {
            "efficientnet_lite1" => Preprocessing::imagenet(0.882),
            "efficientnet_lite2" => Preprocessing::imagenet(0.89),
            _ => Self::PREPROCESSING,
        }
    }

    fn variants() -> Vec<Variant<MbConvCfg>> {
        let of = |id, resolution, cfg, published| Variant { id, resolution, cfg, published };
        // Figures of the README of its code.
        vec![
            of("efficientnet_lite0", 224, cfg(1.0, 1.0), Published::all(75.1, 4.7, 0.407)),
            of("efficientnet_lite1", 240, cfg(1.0, 1.1), Published::all(76.7, 5.4, 0.631)),
            of("efficientnet_lite2", 260, cfg(1.1, 1.2), Published::all(77.6, 6.1, 0.899)),
        ]
    }

    fn knobs() -> Vec<Knob<MbConvCfg>> {
        MbConvCfg::knobs([1, 3, 3, 4, 4, 5, 1])
    }

    fn plan(cfg: &MbConvCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        Ok(cfg.plan(Training { act: ActFn::Relu6, drop_path: 200 }, resolution, classes))
    }
}
