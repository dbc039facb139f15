//! MobileViTv2 (Mehta and Rastegari, 2022, arXiv 2206.02680): x0.5 to x2.0, with separable self-attention.

use super::mobilevit::{MobileVitCfg, VitStage};
use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks;
use crate::ir::{Plan, ShapeError};

pub(super) struct MobileVitV2;

/// The network of a width multiplier, in quarters. Nothing is rounded at the published multipliers.
pub(super) fn scaled(quarters: u32) -> MobileVitCfg {
    let w = |at_one: u32| at_one * quarters / 4;
    let vit = [(w(256), w(128), 2), (w(384), w(192), 4), (w(512), w(256), 3)];
    MobileVitCfg::published(2, [w(32), w(64), w(128)], 2, vit, 0)
}

/// Id, width multiplier in quarters, and top-1, parameters and MACs as printed.
const TABLE: [(&str, u32, f64, f64, f64); 7] = [
    ("mobilevitv2_050", 2, 70.2, 1.4, 0.5),
    ("mobilevitv2_075", 3, 75.6, 2.9, 1.0),
    ("mobilevitv2_100", 4, 78.1, 4.9, 1.8),
    ("mobilevitv2_125", 5, 79.6, 7.5, 2.8),
    ("mobilevitv2_150", 6, 80.4, 10.6, 4.0),
    ("mobilevitv2_175", 7, 80.8, 14.3, 5.5),
    ("mobilevitv2_200", 8, 81.2, 18.5, 7.2),
];

impl Spec for MobileVitV2 {
    type Cfg = MobileVitCfg;
    const NAME: &'static str = "mobilevit_v2";
    const CITE: &'static str = "MobileViTv2, Mehta and Rastegari 2022, arXiv 2206.02680";
    const PREPROCESSING: Preprocessing = Preprocessing::plain(0.888);
    const NAMINGS: &'static [Naming] = naming::CVNETS_RGB;

    fn variants() -> Vec<Variant<MobileVitCfg>> {
        let of = |(id, quarters, top1, params_m, macs_g)| {
            let published = Published::all(top1, params_m, macs_g);
            Variant { id, resolution: 256, cfg: scaled(quarters), published }
        };
        TABLE.into_iter().map(of).collect()
    }

    fn knobs() -> Vec<Knob<MobileVitCfg>> {
        MobileVitCfg::separable_knobs()
    }

    fn plan(cfg: &MobileVitCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let block = |s: &VitStage| blocks::MobileVitV2 {
            layers: s.layers,
            patch: s.patch,
            layer: s.separable_layer(),
            fuse: false,
        };
        Ok(cfg.plan(resolution, classes, block))
    }
}
