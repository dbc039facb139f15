//! EfficientFormerV2 (Li et al., 2022, arXiv 2212.08059): S0, S1, S2, L.

use super::naming::{self, Naming};
use super::preprocessing::Preprocessing;
use super::spec::{Knob, Published, Spec, Variant, knob};
use crate::blocks::{Attention2d, ConvBnAct, DistilledHead, Downsample, EfficientFormerV2Block, FinalNorm, TokenMixer};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections, ShapeError};

pub(super) struct EfficientFormerV2;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cfg {
    /// Strides of the two convolutions of the stem.
    stem_strides: [u32; 2],
    stages: [Stage; 4],
    /// Stride of the convolution before attention in stage 2; stage 3 has no such convolution.
    attention_stride: u32,
    /// Attention of the blocks.
    heads: Attention2d,
    /// Attention of the downsampling to the last stage.
    shrink: Attention2d,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    width: u32,
    depth: u32,
    /// Stride of the downsampling before the stage; the first stage has no downsampling.
    stride: u32,
    /// How many blocks at the end of the stage have attention.
    attention: u32,
    /// Expansion of each block, counted from the first in stages 0 and 1 and from the last in stages 2 and 3.
    expand: [u32; MOST],
}

/// Blocks of the deepest stage.
const MOST: usize = 15;
/// Blocks of the deepest network of each stage.
const DEEPEST: [usize; 4] = [5, 5, 15, 10];

/// A published network: widths and depths of the stages, and for the last two the number of blocks with attention and the
/// expansions from the first block.
fn published(widths: [u32; 4], depths: [u32; 4], attention: u32, expand: [&[u32]; 2]) -> Cfg {
    let stage = |i: usize| {
        let mut table = [4; MOST];
        if i >= 2 {
            for (place, e) in table.iter_mut().zip(expand[i - 2].iter().rev()) {
                *place = *e;
            }
        }
        let attention = if i >= 2 { attention } else { 0 };
        Stage { width: widths[i], depth: depths[i], stride: 2, attention, expand: table }
    };
    Cfg {
        stem_strides: [2, 2],
        stages: [stage(0), stage(1), stage(2), stage(3)],
        attention_stride: 2,
        heads: Attention2d { heads: 8, key_dim: 32, ratio: 4 },
        shrink: Attention2d { heads: 8, key_dim: 16, ratio: 4 },
    }
}

#[rustfmt::skip]
fn table() -> [(&'static str, Cfg, Published); 4] {
    let paper = Published::all;
    let s0 = published([32, 48, 96, 176], [2, 2, 6, 4], 2, [&[4, 3, 3, 3, 4, 4], &[4, 3, 3, 4]]);
    let s1 = published([32, 48, 120, 224], [3, 3, 9, 6], 2, [&[4, 4, 3, 3, 3, 3, 4, 4, 4], &[4, 4, 3, 3, 4, 4]]);
    let s2 = published([32, 64, 144, 288], [4, 4, 12, 8], 4,
                       [&[4, 4, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4], &[4, 4, 3, 3, 3, 3, 4, 4]]);
    let l  = published([40, 80, 192, 384], [5, 5, 15, 10], 6,
                       [&[4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4], &[4, 4, 4, 3, 3, 3, 3, 4, 4, 4]]);
    [
        ("efficientformerv2_s0", s0, paper(75.7, 3.5, 0.4).on_iphone12(0.9)),
        ("efficientformerv2_s1", s1, paper(79.0, 6.1, 0.65).on_iphone12(1.1)),
        ("efficientformerv2_s2", s2, paper(81.6, 12.6, 1.25).on_iphone12(1.6)),
        ("efficientformerv2_l",  l,  paper(83.3, 26.1, 2.56).on_iphone12(2.7)),
    ]
}

/// Drop rate of the last branch in thousandths: none up to the 21 blocks of S1, 20 for the 28 of S2, 100 for the 35 of L, and
/// linear in between.
fn drop_path(blocks: u32) -> u32 {
    let line = |from: (u32, u32), to: (u32, u32)| from.1 + (to.1 - from.1) * (blocks - from.0) / (to.0 - from.0);
    match blocks {
        0..=21 => 0,
        22..=28 => line((21, 0), (28, 20)),
        29..=35 => line((28, 20), (35, 100)),
        _ => 100,
    }
}

impl Stage {
    /// Index of block `j` in the table of expansions and in the supernet: from the last in stages with attention.
    fn place(&self, stage: u32, j: u32) -> u32 {
        if stage < 2 { j } else { self.depth - 1 - j }
    }

    /// Expansion at an index; past the end of the table, the last one.
    fn expansion(&self, place: u32) -> u32 {
        self.expand[(place as usize).min(MOST - 1)]
    }
}

impl Spec for EfficientFormerV2 {
    type Cfg = Cfg;
    const NAME: &'static str = "efficientformer_v2";
    const CITE: &'static str = "EfficientFormerV2, Li et al. 2022, arXiv 2212.08059";
    const PREPROCESSING: Preprocessing = Preprocessing::imagenet(0.95);
    const NAMINGS: &'static [Naming] = naming::SNAP_V2;
    const COUNTING_NOTE: &'static str =
        "the paper counts parameters as deployed: batch norms and layer scales folded, both heads kept";

    fn variants() -> Vec<Variant<Cfg>> {
        table().into_iter().map(|(id, cfg, published)| Variant { id, resolution: 224, cfg, published }).collect()
    }

    fn knobs() -> Vec<Knob<Cfg>> {
        let mut all = Vec::new();
        for i in 0..2usize {
            all.push(knob!(Cfg: format!("stem.{i}.stride"), Stride, stem_strides[i]));
        }
        for (i, deepest) in DEEPEST.into_iter().enumerate() {
            all.push(knob!(Cfg: format!("stages.{i}.width"), Width, stages[i].width));
            let depth = knob!(Cfg: format!("stages.{i}.depth"), Depth, stages[i].depth);
            all.push(depth.also(1..=deepest as u32));
            if i > 0 {
                all.push(knob!(Cfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            }
            if i >= 2 {
                let attention = knob!(Cfg: format!("stages.{i}.attention"), Depth, stages[i].attention);
                all.push(attention.also([0, 1, 2, 3, 4, 5, 6]));
            }
            for j in 0..deepest {
                let place = if i < 2 { "blocks" } else { "from_end" };
                let expand = knob!(Cfg: format!("stages.{i}.{place}.{j}.expand"), Expansion, stages[i].expand[j]);
                all.push(expand.also([2, 3, 4]));
            }
        }
        all.push(knob!(Cfg: "attention.stride", Stride, attention_stride).also([1]));
        all.push(knob!(Cfg: "attention.heads", Heads, heads.heads).also([4]));
        all.push(knob!(Cfg: "attention.key_dim", Width, heads.key_dim));
        all.push(knob!(Cfg: "attention.ratio", Expansion, heads.ratio).also([2]));
        all.push(knob!(Cfg: "downsample.heads", Heads, shrink.heads));
        all.push(knob!(Cfg: "downsample.key_dim", Width, shrink.key_dim));
        all.push(knob!(Cfg: "downsample.ratio", Expansion, shrink.ratio));
        all
    }

    fn plan(cfg: &Cfg, resolution: u32, classes: u32) -> Result<Plan, ShapeError> {
        let mut plan = Plan::of_image(resolution, InitStyle::Former);
        let root = Path::root();
        let unit = |out, stride| {
            let act = Some(ActFn::Gelu);
            ConvBnAct { conv: "conv", bn: "bn", out: Sections::plain(out), kernel: 3, stride, bias: true, act }
        };
        let (width, [first, second]) = (cfg.stages[0].width, cfg.stem_strides);
        plan.push(root.at("stem").at("conv1"), unit((width / 2).max(1), first));
        plan.push(root.at("stem").at("conv2"), unit(width, second));
        let blocks: u32 = cfg.stages.iter().map(|s| s.depth).sum();
        let (most, last, mut index) = (drop_path(blocks), blocks.saturating_sub(1).max(1), 0);
        for (i, s) in (0u32..).zip(&cfg.stages) {
            let path = root.at("stages").at(i);
            if i > 0 {
                let attention = (i == 3).then_some(cfg.shrink);
                plan.push(path.at("downsample"), Downsample { out: s.width, stride: s.stride, attention });
            }
            for j in 0..s.depth {
                let place = s.place(i, j);
                let attends = i >= 2 && place < s.attention;
                let stride = (i == 2).then_some(cfg.attention_stride);
                let block = EfficientFormerV2Block {
                    hidden: s.width * s.expansion(place),
                    mixer: attends.then_some(TokenMixer { attention: cfg.heads, stride }),
                    drop: (2 * most * index + last) / (2 * last),
                };
                let list = if i < 2 { "blocks" } else { "from_end" };
                plan.push_shared(path.at("blocks").at(j), path.at(list).at(place), block);
                index += 1;
            }
        }
        plan.push(root, DistilledHead { norm: FinalNorm::Batch, classes });
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Op;

    fn drops(id: &str) -> Vec<u32> {
        let cfg = table().into_iter().find(|(i, ..)| *i == id).map(|(_, cfg, _)| cfg).unwrap();
        let graph = EfficientFormerV2::plan(&cfg, 224, 10).unwrap().lower().unwrap();
        let drop = |op: &Op| if let Op::DropPath { permille } = op { Some(*permille) } else { None };
        graph.nodes.iter().filter_map(|n| drop(&n.op)).collect()
    }

    #[test]
    fn branches_drop_at_the_published_rates() {
        assert!(drops("efficientformerv2_s1").is_empty());
        // One branch for each block but the first, and another for each of the 8 or 12 with attention.
        let (s2, l) = (drops("efficientformerv2_s2"), drops("efficientformerv2_l"));
        assert_eq!((s2.len(), s2.first(), s2.last()), (27 + 8, Some(&1), Some(&20)));
        assert_eq!((l.len(), l.first(), l.last()), (34 + 12, Some(&3), Some(&100)));
        assert!(l.is_sorted() && s2.is_sorted());
        assert_eq!(
            (22..=36).map(drop_path).collect::<Vec<_>>(),
            [2, 5, 8, 11, 14, 17, 20, 31, 42, 54, 65, 77, 88, 100, 100]
        );
    }
}
