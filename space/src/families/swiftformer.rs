//! SwiftFormer (Shaker et al., 2023, arXiv 2303.15446): XS, S, L1 and L3.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, DistilledHead, FinalNorm, SwiftFormer as Block, SwiftFormerStem};
use crate::ir::{InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct SwiftFormer;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    stages: [Stage; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    /// Blocks; the last has attention.
    depth: u32,
    /// Stride before the stage; the first has none.
    stride: u32,
    kernel: u32,
    expand: u32,
}

fn cfg(depths: [u32; 4], widths: [u32; 4]) -> Cfg {
    let stage = |i: usize| Stage { width: widths[i], depth: depths[i], stride: 2, kernel: 3, expand: 4 };
    Cfg { stem_stride: 2, stages: [0, 1, 2, 3].map(stage) }
}

impl Spec for SwiftFormer {
    type Cfg = Cfg;
    const NAME: &'static str = "swiftformer";
    const CITE: &'static str = "SwiftFormer, Shaker et al. 2023, arXiv 2303.15446";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);

    fn variants() -> Vec<Variant<Cfg>> {
        // Figures of the README of its code, after training with a teacher.
        let of = |id, cfg, [top1, params, macs]: [f64; 3]| Variant {
            id,
            resolution: 224,
            cfg,
            published: Published::all(top1, params, macs),
        };
        vec![
            of("swiftformer_xs", cfg([3, 3, 6, 4], [48, 56, 112, 220]), [75.7, 3.5, 0.4]),
            of("swiftformer_s", cfg([3, 3, 9, 6], [48, 64, 168, 224]), [78.5, 6.1, 1.0]),
            of("swiftformer_l1", cfg([4, 3, 10, 5], [48, 96, 192, 384]), [80.9, 12.1, 1.6]),
            of("swiftformer_l3", cfg([4, 4, 12, 6], [64, 128, 320, 512]), [83.0, 28.5, 4.0]),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, most) in [4, 4, 12, 6].into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=most));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([5]));
            all.push(knob!(Cfg: format!("stages.{i}.expand"), Expansion, stages[i].expand).also([2, 3]));
        }
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Former), Path::root());
        plan.push(root.at("stem"), SwiftFormerStem { out: cfg.stages[0].width, stride: cfg.stem_stride });
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let stage = root.at("stages").at(i);
            if i > 0 {
                let (conv, bn, out) = ("proj", "norm", Sections::plain(s.width));
                let block = ConvBnAct { conv, bn, out, kernel: 3, stride: s.stride, bias: true, act: None };
                plan.push(stage.at("downsample"), block);
            }
            let block = |attends| Block { attends, kernel: s.kernel, expand: s.expand, drop: 0 };
            // The last blocks of all subnets share tensors, whatever the number of blocks before them.
            for j in 0..s.depth {
                let (path, attends) = (stage.at("blocks").at(j), j + 1 == s.depth);
                let shared = if attends { stage.at("attention") } else { path.clone() };
                plan.push_shared(path, shared, block(attends));
            }
        }
        plan.push(root, DistilledHead { norm: FinalNorm::Batch, classes });
        Ok(plan)
    }
}
