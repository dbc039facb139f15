//! GhostNet (Han et al., 2020, arXiv 1911.11907): x0.5, x1.0, x1.3; and GhostNetV2 (Tang et al., 2022, arXiv 2211.12905), the
//! same networks with attention: x1.0, x1.3, x1.6.

use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{ConvBnAct, GhostBottleneck, PooledClassifier, SqueezeExcite, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

/// The networks of the first paper, and with `V2` those of the second.
pub(super) struct Family<const V2: bool>;

pub(super) type GhostNet = Family<false>;
pub(super) type GhostNetV2 = Family<true>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    stem_stride: u32,
    /// The first is that of the stem too.
    stages: [Stage; 6],
    /// Channels of the last convolution on the map.
    last: u32,
    /// Channels before the classifier.
    head: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    stride: u32,
    kernel: u32,
    /// Channels inside each block.
    mid: [u32; 5],
}

/// Width, stride, kernel of each stage, and the channels inside its blocks.
const TABLE: [(u32, u32, u32, &[u32]); 6] = [
    (16, 1, 3, &[16]),
    (24, 2, 3, &[48, 72]),
    (40, 2, 5, &[72, 120]),
    (80, 2, 3, &[240, 200, 184, 184]),
    (112, 1, 3, &[480, 672]),
    (160, 2, 5, &[672, 960, 960, 960, 960]),
];

/// Whether a block has squeeze-and-excitation.
fn squeezes(stage: usize, block: u32) -> bool {
    matches!((stage, block), (2 | 4, _) | (5, 0 | 2 | 4))
}

/// The list of a block in timm's names: those of a stage that do not change the map are in the next list, where the fifth
/// stage continues the list of the fourth.
fn list(stage: usize, block: u32) -> u32 {
    [0, 1, 3, 5, 6, 7][stage] + u32::from(block > 0 && stage != 4)
}

fn scaled(multiplier: f64) -> Cfg {
    let width = |w: u32| make_divisible(f64::from(w) * multiplier, 4);
    let stages = TABLE.map(|(w, stride, kernel, mid)| {
        let mut all = [0; 5];
        for (to, from) in all.iter_mut().zip(mid) {
            *to = width(*from);
        }
        Stage { width: width(w), depth: mid.len() as u32, stride, kernel, mid: all }
    });
    Cfg { stem_stride: 2, stages, last: width(960), head: 1280 }
}

impl<const V2: bool> Spec for Family<V2> {
    type Cfg = Cfg;
    const NAME: &'static str = if V2 { "ghostnet_v2" } else { "ghostnet" };
    const CITE: &'static str = if V2 {
        "GhostNetV2, Tang et al. 2022, arXiv 2211.12905"
    } else {
        "GhostNet, Han et al. 2020, arXiv 1911.11907"
    };
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.875);
    const FORMULA_GAIN: f64 = 0.75;

    fn variants() -> Vec<Variant<Cfg>> {
        let of = |id, multiplier, published| Variant { id, resolution: 224, cfg: scaled(multiplier), published };
        if V2 {
            // Figures of the README of its code, and of others who repeat its table.
            return vec![
                of("ghostnetv2_100", 1.0, Published::all(75.3, 6.12, 0.167)),
                of("ghostnetv2_130", 1.3, Published::all(76.9, 8.96, 0.2711)),
                of("ghostnetv2_160", 1.6, Published::all(77.8, 12.39, 0.4009)),
            ];
        }
        // Figures of the README of its code, of later papers and, for x0.5, of others who trained it.
        vec![
            of("ghostnet_050", 0.5, Published::all(66.88, 2.59, 0.05)),
            of("ghostnet_100", 1.0, Published::all(73.98, 5.2, 0.142)),
            of("ghostnet_130", 1.3, Published::all(75.7, 7.3, 0.226)),
        ]
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = vec![knob!(Cfg: "stem.stride", Stride, stem_stride)];
        for (i, (.., mid)) in TABLE.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            // A stage whose later blocks are a list of their own keeps one of them.
            let least = [1, 2, 2, 1, 1, 2][i];
            let depth = knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth);
            all.push(depth.also(least..=mid.len() as u32));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
                all.push(knob!(Cfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
            }
            for j in 0..mid.len() {
                all.push(knob!(Cfg: format!("stages.{i}.{j}.mid"), Width, stages[i].mid[j]));
            }
        }
        all.push(knob!(Cfg: "last.width", Width, last));
        all.push(knob!(Cfg: "head.width", Width, head));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let (mut plan, root) = (Plan::of_image(resolution, InitStyle::Mobile), Path::root());
        let blocks = root.at("blocks");
        let unit = |conv, bn, out, kernel, stride| {
            let act = Some(ActFn::Relu);
            ConvBnAct { conv, bn, out, kernel, stride, bias: false, act }
        };
        plan.push(root.clone(), unit("conv_stem", "bn1", Sections::halves(cfg.stages[0].width), 3, cfg.stem_stride));
        for (i, s) in cfg.stages.iter().enumerate() {
            for j in 0..s.depth {
                let mid = s.mid[(j as usize).min(s.mid.len() - 1)];
                let reduced = || SqueezeExcite::hard(make_divisible(f64::from(mid) * 0.25, 4));
                let block = GhostBottleneck {
                    mid,
                    out: s.width,
                    kernel: s.kernel,
                    filter: (j == 0 && ![0, 4].contains(&i)).then_some(s.stride),
                    squeeze: squeezes(i, j).then(reduced),
                    convolved: j == 0 && i > 0,
                    attention: V2 && i + j as usize > 1,
                };
                let list = blocks.at(list(i, j));
                match i {
                    4 => plan.push_shared(list.at(cfg.stages[3].depth - 1 + j), list.at("wide").at(j), block),
                    _ => plan.push(list.at(j.saturating_sub(1)), block),
                }
            }
        }
        plan.push(blocks.at(9).at(0), unit("conv", "bn1", Sections::plain(cfg.last), 1, 1));
        plan.push(root, PooledClassifier { width: cfg.head, norm: None, act: ActFn::Relu, classes });
        Ok(plan)
    }
}
