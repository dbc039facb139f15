//! EfficientNet (Tan and Le, 2019, arXiv 1905.11946): B0 to B3.

use super::mbconv::{MbConvCfg, Stage, Training, scaled, stage};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::ir::{ActFn, Plan, ShapeError};

pub(super) struct EfficientNet;

/// Expansion, width, depth, stride, kernel, percent of squeeze-and-excitation of each stage.
pub(super) const B0: [Stage; 7] = [
    stage(1, 16, 1, 1, 3, 25),
    stage(6, 24, 2, 2, 3, 25),
    stage(6, 40, 2, 2, 5, 25),
    stage(6, 80, 3, 2, 3, 25),
    stage(6, 112, 3, 1, 5, 25),
    stage(6, 192, 4, 2, 5, 25),
    stage(6, 320, 1, 1, 3, 25),
];

/// Blocks of a stage under a depth multiplier.
pub(super) fn deeper(depth: u32, multiplier: f64) -> u32 {
    (f64::from(depth) * multiplier).ceil() as u32
}

fn cfg(width: f64, depth: f64) -> MbConvCfg {
    let stages = B0.map(|s| Stage { width: scaled(s.width, width), depth: deeper(s.depth, depth), ..s });
    MbConvCfg { stem: scaled(32, width), stem_stride: 2, stages, head: scaled(1280, width) }
}

impl Spec for EfficientNet {
    type Cfg = MbConvCfg;
    const NAME: &'static str = "efficientnet";
    const CITE: &'static str = "EfficientNet, Tan and Le 2019, arXiv 1905.11946";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const COUNTING_NOTE: &'static str =
        "the paper prints the MACs of B1 2 percent larger, and the parameters of B2 1 percent larger";

    /// Those of timm's weights; its B1 was trained later than the others, by another recipe.
    fn preprocessing(id: &str) -> Preprocessing {
        if id == "efficientnet_b1" { Preprocessing::inception(0.9) } else { Self::PREPROCESSING }
    }

    fn variants() -> Vec<Variant<MbConvCfg>> {
        let of = |id, resolution, cfg, published| Variant { id, resolution, cfg, published };
        // Figures as later papers quote them; multipliers and resolutions of the paper's code (tensorflow/tpu,
        // models/official/efficientnet).
        vec![
            of("efficientnet_b0", 224, cfg(1.0, 1.0), Published::all(77.1, 5.3, 0.39).on_iphone12(1.4)),
            of("efficientnet_b1", 240, cfg(1.0, 1.1), Published::all(79.1, 7.8, 0.7)),
            of("efficientnet_b2", 260, cfg(1.1, 1.2), Published::all(80.1, 9.2, 1.0)),
            of("efficientnet_b3", 300, cfg(1.2, 1.4), Published::all(81.6, 12.0, 1.8).on_iphone12(5.3)),
        ]
    }

    fn knobs() -> Vec<Knob<MbConvCfg>> {
        MbConvCfg::knobs([2, 3, 3, 5, 5, 6, 2])
    }

    fn plan(cfg: &MbConvCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        Ok(cfg.plan(Training { act: ActFn::Silu, drop_path: 200 }, resolution, classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Op;

    #[test]
    fn residual_branches_drop_up_to_the_published_rate() {
        let graph = EfficientNet::plan(&cfg(1.0, 1.0), 224, 10).unwrap().lower().unwrap();
        let drop = |op: &Op| if let Op::DropPath { permille } = op { Some(*permille) } else { None };
        let rates: Vec<u32> = graph.nodes.iter().filter_map(|n| drop(&n.op)).collect();
        // A fifth of the block's place among 16 blocks, in thousandths; blocks that change the map have no residual.
        assert_eq!(rates, [2, 4, 6, 7, 9, 10, 12, 13, 14].map(|place| 200 * place / 16));
    }
}
