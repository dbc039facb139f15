//! MobileViT (Mehta and Rastegari, 2021, arXiv 2110.02178): XXS, XS, S.

use super::mobilevit::{MobileVitCfg, VitStage};
use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant};
use crate::blocks;
use crate::ir::{Plan, ShapeError};

pub(super) struct MobileVitV1;

#[rustfmt::skip]
fn table() -> [(&'static str, MobileVitCfg, Published); 3] {
    let of = MobileVitCfg::published;
    let paper = Published::all;
    [
        ("mobilevit_xxs", of(2, [16, 16, 24], 3, [(48,  64, 2), ( 64,  80, 4), ( 80,  96, 3)], 320), paper(69.0, 1.3, 0.4)),
        ("mobilevit_xs",  of(4, [16, 32, 48], 3, [(64,  96, 2), ( 80, 120, 4), ( 96, 144, 3)], 384), paper(74.8, 2.3, 0.7).on_iphone12(7.3)),
        ("mobilevit_s",   of(4, [16, 32, 64], 3, [(96, 144, 2), (128, 192, 4), (160, 240, 3)], 640), paper(78.4, 5.6, 2.0)),
    ]
}

impl Spec for MobileVitV1 {
    type Cfg = MobileVitCfg;
    const NAME: &'static str = "mobilevit_v1";
    const CITE: &'static str = "MobileViT, Mehta and Rastegari 2021, arXiv 2110.02178";
    const PREPROCESSING: Preprocessing = Preprocessing::plain(0.9);
    const NAMINGS: &'static [Naming] = naming::CVNETS_BGR;
    const COUNTING_NOTE: &'static str =
        "the paper's MACs count a product of attention as N*C*C instead of N*N*C, and those of XS are for 224 px";

    fn variants() -> Vec<Variant<MobileVitCfg>> {
        table().into_iter().map(|(id, cfg, published)| Variant { id, resolution: 256, cfg, published }).collect()
    }

    fn knobs() -> Vec<Knob<MobileVitCfg>> {
        MobileVitCfg::knobs()
    }

    fn plan(cfg: &MobileVitCfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let block = |s: &VitStage| blocks::MobileVitV1 { layers: s.layers, patch: s.patch, layer: s.layer() };
        Ok(cfg.plan(resolution, classes, block))
    }
}
