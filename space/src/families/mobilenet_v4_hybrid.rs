//! MobileNetV4 (Qin et al., 2024, arXiv 2404.10518), the networks with attention: medium, and large, and timm's x0.75. They differ in their
//! activation, so each is a family of its own.

use super::mbconv::scaled;
use super::mobilenet_v4::{
    CITE, CONV_NEXT, COUNTS, Cfg, Details, EXTRA_DW, Front, PAIRS, Table, Uib, WIDE_NEXT, knobs, published,
};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::MobileAttention;
use crate::ir::{ActFn, Plan, ShapeError};

/// Large, or medium.
pub(super) struct Family<const LARGE: bool>;

pub(super) type Medium = Family<false>;
pub(super) type Large = Family<true>;

// The blocks before the pairs of attention and a block, and those in the pairs: the appendix of the paper, as in its code
// (tensorflow/models, official/vision).
#[rustfmt::skip]
const MEDIUM: Table = [
    (80, &[Uib(3, 5, 4), Uib(3, 3, 2)]),
    (160, &[Uib(3, 5, 6), Uib(0, 0, 2), EXTRA_DW, Uib(3, 5, 4)]),
    (256, &[Uib(5, 5, 6), Uib(5, 5, 4), Uib(3, 5, 4), Uib(3, 5, 4), Uib(0, 0, 2), Uib(3, 5, 2), Uib(0, 0, 2), Uib(0, 0, 4)]),
];
const MEDIUM_AFTER: [[Uib; PAIRS]; 2] =
    [[EXTRA_DW, CONV_NEXT, EXTRA_DW, CONV_NEXT], [CONV_NEXT, Uib(5, 5, 4), WIDE_NEXT, WIDE_NEXT]];

#[rustfmt::skip]
const LARGE: Table = [
    (96, &[Uib(3, 5, 4), EXTRA_DW]),
    (192, &[Uib(3, 5, 4), EXTRA_DW, EXTRA_DW, EXTRA_DW, Uib(3, 5, 4), Uib(5, 3, 4), Uib(5, 3, 4)]),
    (512, &[Uib(5, 5, 4), Uib(5, 5, 4), Uib(5, 5, 4), Uib(5, 5, 4), WIDE_NEXT, Uib(5, 3, 4), WIDE_NEXT, WIDE_NEXT,
            Uib(5, 3, 4), Uib(5, 5, 4)]),
];
const LARGE_AFTER: [[Uib; PAIRS]; 2] = [[Uib(5, 3, 4), Uib(5, 3, 4), Uib(5, 3, 4), CONV_NEXT], [WIDE_NEXT; PAIRS]];

/// A network with pairs in the second and the third stage; `heads` are number and channels.
fn cfg(stem: u32, table: Table, after: [[Uib; PAIRS]; 2], heads: [(u32, u32); 2], multiplier: f64) -> Cfg {
    let mut cfg = published(stem, Front::Fused(scaled(48, multiplier)), table, multiplier);
    for (i, (blocks, (heads, key_dim))) in after.into_iter().zip(heads).enumerate() {
        let stage = &mut cfg.stages[i + 1];
        (stage.pairs, stage.after) = (PAIRS as u32, blocks);
        stage.attention = MobileAttention { heads, key_dim, stride: if i == 0 { 2 } else { 1 }, drop: 0 };
    }
    cfg
}

impl<const IS_LARGE: bool> Spec for Family<IS_LARGE> {
    type Cfg = Cfg;
    const NAME: &'static str = if IS_LARGE { "mobilenet_v4_hybrid_large" } else { "mobilenet_v4_hybrid_medium" };
    const CITE: &'static str = CITE;
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);
    const FORMULA_GAIN: f64 = 0.75;
    const COUNTING_NOTE: &'static str = COUNTS;

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, resolution, cfg, published| Variant { id, resolution, cfg, published };
        // Figures of the paper's section 7.1.
        if IS_LARGE {
            let large = |multiplier| cfg(24, LARGE, LARGE_AFTER, [(8, 48), (8, 64)], multiplier);
            return vec![
                of("mobilenetv4_hybrid_large", 384, large(1.0), Published::all(83.4, 35.9, 7.2)),
                of("mobilenetv4_hybrid_large_075", 256, large(0.75), Published::NONE),
            ];
        }
        let medium = |multiplier| cfg(32, MEDIUM, MEDIUM_AFTER, [(4, 64), (4, 64)], multiplier);
        vec![
            of("mobilenetv4_hybrid_medium", 256, medium(1.0), Published::all(80.7, 10.5, 1.2)),
            of("mobilenetv4_hybrid_medium_075", 224, medium(0.75), Published::NONE),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = knobs(1, if IS_LARGE { LARGE } else { MEDIUM });
        for i in 1..3usize {
            all.push(knob!(Cfg: format!("stages.{i}.pairs"), Depth, stages[i].pairs).also(0..=PAIRS as u32));
            all.push(knob!(Cfg: format!("stages.{i}.heads"), Heads, stages[i].attention.heads));
            all.push(knob!(Cfg: format!("stages.{i}.key_dim"), Width, stages[i].attention.key_dim));
            for p in 0..PAIRS {
                let start = knob!(Cfg: format!("stages.{i}.after.{p}.start"), Kernel, stages[i].after[p].0);
                all.push(start.also([0, 3, 5]));
                let middle = knob!(Cfg: format!("stages.{i}.after.{p}.middle"), Kernel, stages[i].after[p].1);
                all.push(middle.also([0, 3, 5]));
                let expand = knob!(Cfg: format!("stages.{i}.after.{p}.expand"), Expansion, stages[i].after[p].2);
                all.push(expand.also([2, 4]));
            }
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        // The peak drop rates of the paper's appendix C.
        let (act, drop_path) = if IS_LARGE { (ActFn::Gelu, 350) } else { (ActFn::Relu, 75) };
        Ok(cfg.plan(Details { act, scaled: true, averaged: false, drop_path }, resolution, classes))
    }
}
