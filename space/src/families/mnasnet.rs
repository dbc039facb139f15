//! MnasNet (Tan et al., 2019, arXiv 1807.11626): B1 and the small network, and A1, which has squeeze-and-excitation and is
//! SemNASNet in timm.

use super::mbconv::{MbConvCfg, Stage, Training, scaled, stage};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::ir::{ActFn, Plan, ShapeError};

pub(super) struct MnasNet;

/// Expansion, width, depth, stride, kernel, percent of squeeze-and-excitation of each stage.
const A1: [Stage; 7] = [
    stage(1, 16, 1, 1, 3, 0),
    stage(6, 24, 2, 2, 3, 0),
    stage(3, 40, 3, 2, 5, 25),
    stage(6, 80, 4, 2, 3, 0),
    stage(6, 112, 2, 1, 3, 25),
    stage(6, 160, 3, 2, 5, 25),
    stage(6, 320, 1, 1, 3, 0),
];

/// The network without squeeze-and-excitation, from the paper's code (tensorflow/tpu, models/official/mnasnet).
const B1: [Stage; 7] = [
    stage(1, 16, 1, 1, 3, 0),
    stage(3, 24, 3, 2, 3, 0),
    stage(3, 40, 3, 2, 5, 0),
    stage(6, 80, 3, 2, 5, 0),
    stage(6, 96, 2, 1, 3, 0),
    stage(6, 192, 4, 2, 5, 0),
    stage(6, 320, 1, 1, 3, 0),
];

/// The small network, from the same code.
const SMALL: [Stage; 7] = [
    stage(1, 8, 1, 1, 3, 0),
    stage(3, 16, 1, 2, 3, 0),
    stage(6, 16, 2, 2, 3, 0),
    stage(6, 32, 4, 2, 5, 25),
    stage(6, 32, 3, 1, 3, 25),
    stage(6, 88, 3, 2, 5, 25),
    stage(6, 144, 1, 1, 3, 0),
];

fn cfg(stem: u32, stages: [Stage; 7], multiplier: f64) -> MbConvCfg {
    let stages = stages.map(|s| Stage { width: scaled(s.width, multiplier), ..s });
    MbConvCfg { stem: scaled(stem, multiplier), stem_stride: 2, stages, head: 1280 }
}

impl Spec for MnasNet {
    type Cfg = MbConvCfg;
    const NAME: &'static str = "mnasnet";
    const CITE: &'static str = "MnasNet, Tan et al. 2019, arXiv 1807.11626";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const COUNTING_NOTE: &'static str = "MACs of A1, which its code prints, are 1 to 2 percent larger";

    fn variants() -> Vec<Variant<MbConvCfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        // Figures of the README of its code (tensorflow/tpu, models/official/mnasnet); of B1, timm's.
        let paper = Published::all;
        vec![
            of("mnasnet_050", cfg(32, B1, 0.5), Published::NONE),
            of("mnasnet_075", cfg(32, B1, 0.75), Published::NONE),
            of("mnasnet_100", cfg(32, B1, 1.0), paper(74.672, 4.38, 0.33)),
            of("mnasnet_140", cfg(32, B1, 1.4), Published::NONE),
            of("mnasnet_small", cfg(8, SMALL, 1.0), paper(66.0, 2.0, 0.068)),
            of("semnasnet_050", cfg(32, A1, 0.5), paper(68.9, 2.1, 0.1052)),
            of("semnasnet_075", cfg(32, A1, 0.75), paper(73.3, 2.9, 0.2267)),
            of("semnasnet_100", cfg(32, A1, 1.0), paper(75.2, 3.9, 0.3152)),
            of("semnasnet_140", cfg(32, A1, 1.4), paper(77.2, 6.1, 0.5915)),
        ]
    }

    fn knobs() -> Vec<Knob<MbConvCfg>> {
        MbConvCfg::knobs([1, 3, 3, 4, 3, 4, 1])
    }

    fn plan(cfg: &MbConvCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        Ok(cfg.plan(Training { act: ActFn::Relu, drop_path: 0 }, resolution, classes))
    }
}
