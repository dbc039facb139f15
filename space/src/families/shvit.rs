//! SHViT (Yun and Ro, 2024, arXiv 2401.16456): S1 to S4.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{NormedClassifier, Partial, ShVit as Block, ShVitDownsample, ShVitStem};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct ShVit;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    depth: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    /// Channels that attend, and the others; in the first stage none attend.
    partial: u32,
    rest: u32,
    key_dim: u32,
    expand: u32,
}

fn cfg(widths: [u32; 3], depths: [u32; 3], partial: [u32; 3]) -> Cfg {
    let stage = |i: usize| Stage {
        depth: depths[i],
        stride: 2,
        partial: partial[i],
        rest: widths[i] - partial[i],
        key_dim: 16,
        expand: 2,
    };
    Cfg { stem_stride: 2, stages: [0, 1, 2].map(stage) }
}

impl Spec for ShVit {
    type Cfg = Cfg;
    const NAME: &'static str = "shvit";
    const CITE: &'static str = "SHViT, Yun and Ro 2024, arXiv 2401.16456";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, resolution, cfg| Variant { id, resolution, cfg, published: Published::NONE };
        vec![
            of("shvit_s1", 224, cfg([128, 224, 320], [2, 4, 5], [0, 48, 68])),
            of("shvit_s2", 224, cfg([128, 308, 448], [2, 4, 5], [0, 66, 96])),
            of("shvit_s3", 224, cfg([192, 352, 448], [3, 5, 5], [0, 75, 96])),
            of("shvit_s4", 256, cfg([224, 336, 448], [4, 7, 6], [0, 72, 96])),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [4, 7, 6].into_iter().enumerate() {
            let rest = if i == 0 { "width" } else { "rest" };
            all.push(knob!(Cfg: format!("stages.{i}.{rest}"), Width, stages[i].rest));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([1]));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
                all.push(knob!(Cfg: format!("stages.{i}.partial"), Width, stages[i].partial));
                all.push(knob!(Cfg: format!("stages.{i}.key_dim"), Width, stages[i].key_dim).also([8]));
            }
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        let channels = |i: usize, s: &Stage| match i {
            0 => Sections::plain(s.rest),
            _ => Sections::plain(s.partial).join(&Sections::plain(s.rest)),
        };
        plan.push(root.at("patch_embed"), ShVitStem { out: channels(0, &cfg.stages[0]), stride: cfg.stem_stride });
        for (i, s) in cfg.stages.iter().enumerate() {
            let stage = root.at("stages").at(i as u32);
            if i > 0 {
                plan.push(stage.at("downsample"), ShVitDownsample { out: channels(i, s), stride: s.stride });
            }
            for j in 0..s.depth {
                let mixer = (i > 0).then_some(Partial { dim: s.partial, key_dim: s.key_dim });
                plan.push(stage.at("blocks").at(j), Block { mixer, expand: s.expand });
            }
        }
        plan.push(root, NormedClassifier { linear: "l", distilled: false, classes });
        Ok(plan)
    }
}
