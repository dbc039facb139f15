//! RepViT (Wang et al., 2023, arXiv 2307.09283): M0.9 to M2.3, and M1 to M3 of the first release, whose branches have a batch
//! norm each and which are a family of their own.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{NormedClassifier, RepVit as Block, RepVitDownsample, RepVitStem};
use crate::ir::{ActFn, InitStyle, Path, Plan, ShapeError};

/// The networks of the paper, and with `LEGACY` those of its first version.
pub(super) struct Family<const LEGACY: bool>;

pub(super) type RepVit = Family<false>;
pub(super) type RepVitLegacy = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    /// The first stage has none: the stem has two.
    stride: u32,
    kernel: u32,
    expand: u32,
}

/// A network by the width of its first stage, which doubles from stage to stage, and its depths.
fn cfg(width: u32, depths: [u32; 4]) -> Cfg {
    let mut width = width / 2;
    let stages = depths.map(|depth| {
        width *= 2;
        Stage { width, depth, stride: 2, kernel: 3, expand: 2 }
    });
    Cfg { stem_stride: 2, stages }
}

impl<const LEGACY: bool> Spec for Family<LEGACY> {
    type Cfg = Cfg;
    const NAME: &'static str = if LEGACY { "repvit_legacy" } else { "repvit" };
    const CITE: &'static str = "RepViT, Wang et al. 2023, arXiv 2307.09283";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);
    const COUNTING_NOTE: &'static str = "parameters as deployed: each token mixer is one convolution, one classifier";

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, cfg, published| Variant { id, resolution: 224, cfg, published };
        if LEGACY {
            return vec![
                of("repvit_m1", cfg(48, [2, 2, 14, 2]), Published::NONE),
                of("repvit_m2", cfg(64, [2, 2, 12, 2]), Published::NONE),
                of("repvit_m3", cfg(64, [4, 4, 18, 2]), Published::NONE),
            ];
        }
        // Figures of the README of its code, after 450 epochs.
        let paper = Published::all;
        vec![
            of("repvit_m0_9", cfg(48, [2, 2, 14, 2]), paper(79.1, 5.1, 0.8)),
            of("repvit_m1_0", cfg(56, [2, 2, 14, 2]), paper(80.3, 6.8, 1.1)),
            of("repvit_m1_1", cfg(64, [2, 2, 12, 2]), paper(81.2, 8.2, 1.3)),
            of("repvit_m1_5", cfg(64, [4, 4, 24, 4]), paper(82.5, 14.0, 2.3)),
            of("repvit_m2_3", cfg(80, [6, 6, 34, 2]), paper(83.7, 22.9, 4.5)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        let deepest = if LEGACY { [4, 4, 18, 2] } else { [6, 6, 34, 4] };
        for (i, most) in deepest.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([1, 2]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let (act, first) = (ActFn::Gelu, cfg.stages[0].width);
        plan.push(root.at("stem"), RepVitStem { widths: [first / 2, first], stride: cfg.stem_stride, act });
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            let block = |squeeze| Block { kernel: s.kernel, expand: s.expand, squeeze, legacy: LEGACY, act };
            if i > 0 {
                let block = RepVitDownsample { block: block(false), out: s.width, stride: s.stride };
                plan.push(stage.at("downsample"), block);
            }
            for j in 0..s.depth {
                plan.push(stage.at("blocks").at(j), block(j % 2 == 0));
            }
        }
        plan.push(root.at("head"), NormedClassifier { linear: "l", distilled: true, classes });
        Ok(plan)
    }
}
