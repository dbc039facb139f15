//! MobileViTv3 (Wadekar and Chaurasia, 2022, arXiv 2209.15159) on MobileViTv2: x0.5, x0.75, x1.0, with separable
//! self-attention.

use super::mobilevit::{MobileVitCfg, VitStage};
use super::mobilevit_v2;
use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks;
use crate::ir::{Plan, ShapeError};

pub(super) struct MobileVitV3Separable;

impl Spec for MobileVitV3Separable {
    type Cfg = MobileVitCfg;
    const NAME: &'static str = "mobilevit_v3_separable";
    const CITE: &'static str = "MobileViTv3, Wadekar and Chaurasia 2022, arXiv 2209.15159";
    const PREPROCESSING: Preprocessing = Preprocessing::plain(0.888);
    const NAMINGS: &'static [Naming] = naming::CVNETS_RGB;

    fn variants() -> Vec<Variant<MobileVitCfg>> {
        let of = |id, quarters, top1, params_m, macs_g| {
            let published = Published::all(top1, params_m, macs_g);
            Variant { id, resolution: 256, cfg: mobilevit_v2::scaled(quarters), published }
        };
        vec![
            of("mobilevitv3_050", 2, 72.33, 1.4, 0.481),
            of("mobilevitv3_075", 3, 76.55, 3.0, 1.064),
            of("mobilevitv3_100", 4, 78.64, 5.1, 1.876),
        ]
    }

    fn knobs() -> Vec<Knob<MobileVitCfg>> {
        MobileVitCfg::separable_knobs()
    }

    fn plan(cfg: &MobileVitCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let block = |s: &VitStage| blocks::MobileVitV2 {
            layers: s.layers,
            patch: s.patch,
            layer: s.separable_layer(),
            fuse: true,
        };
        Ok(cfg.plan(resolution, classes, block))
    }
}
