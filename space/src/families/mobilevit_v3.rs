//! MobileViTv3 (Wadekar and Chaurasia, 2022, arXiv 2209.15159) on MobileViT v1: XXS, XS, S, and the forms with two transformer
//! layers in the middle stage.

use super::mobilevit::{MobileVitCfg, VitStage};
use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks;
use crate::ir::{Plan, ShapeError};

pub(super) struct MobileVitV3;

#[rustfmt::skip]
fn table() -> [(&'static str, MobileVitCfg, Published); 6] {
    let paper = Published::all;
    let of = MobileVitCfg::published;
    let xxs = |layers| of(2, [16, 16, 24], 3, [( 64,  64, 2), ( 80,  80, layers), (128,  96, 3)], 512);
    let xs  = |layers| of(4, [16, 32, 48], 3, [( 96,  96, 2), (160, 120, layers), (160, 144, 3)], 640);
    let s   = |layers| of(4, [16, 32, 64], 3, [(128, 144, 2), (256, 192, layers), (320, 240, 3)], 960);
    [
        ("mobilevitv3_xxs",    xxs(4), paper(70.98, 1.2, 0.289)),
        ("mobilevitv3_xs",     xs(4),  paper(76.7,  2.5, 0.927)),
        ("mobilevitv3_s",      s(4),   paper(79.3,  5.8, 1.841)),
        ("mobilevitv3_xxs_l2", xxs(2), paper(70.23, 1.1, 0.256)),
        ("mobilevitv3_xs_l2",  xs(2),  paper(76.1,  2.3, 0.853)),
        ("mobilevitv3_s_l2",   s(2),   paper(79.06, 5.2, 1.651)),
    ]
}

impl Spec for MobileVitV3 {
    type Cfg = MobileVitCfg;
    const NAME: &'static str = "mobilevit_v3";
    const CITE: &'static str = "MobileViTv3, Wadekar and Chaurasia 2022, arXiv 2209.15159";
    const PREPROCESSING: Preprocessing = Preprocessing::plain(0.9);
    const NAMINGS: &'static [Naming] = naming::CVNETS_BGR;
    const COUNTING_NOTE: &'static str = "the paper's MACs count a product of attention as N*C*C instead of N*N*C";

    fn variants() -> Vec<Variant<MobileVitCfg>> {
        table().into_iter().map(|(id, cfg, published)| Variant { id, resolution: 256, cfg, published }).collect()
    }

    fn knobs() -> Vec<Knob<MobileVitCfg>> {
        MobileVitCfg::knobs()
    }

    fn plan(cfg: &MobileVitCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let block = |s: &VitStage| blocks::MobileVitV3 { layers: s.layers, patch: s.patch, layer: s.layer() };
        Ok(cfg.plan(resolution, classes, block))
    }
}
