//! What the MobileViT families share: a stem, two stages of inverted residuals, three stages of one inverted residual and one
//! MobileViT block, and a head. They differ in the MobileViT block.

use super::spec::{Knob, KnobKind, knob};
use crate::blocks::{
    Classifier, ConvBnAct, InvertedResidual, Naming, SeparableLayer, TransformerLayer, make_divisible,
};
use crate::ir::{ActFn, Block, InitStyle, Path, Plan, Sections};

/// Sizes of a MobileViT of any version.
#[derive(Clone, Debug, PartialEq)]
pub struct MobileVitCfg {
    pub stem: Stem,
    /// Stages 0 and 1.
    pub conv: [ConvStage; 2],
    /// Stages 2, 3 and 4.
    pub vit: [VitStage; 3],
    /// Channels of the 1x1 convolution before the global pooling; 0 leaves it out.
    pub head: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stem {
    pub width: u32,
    pub stride: u32,
}

/// `depth` inverted residuals; the first has the stride.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvStage {
    pub width: u32,
    pub depth: u32,
    pub stride: u32,
    pub expand: u32,
}

/// One strided inverted residual, then one MobileViT block.
#[derive(Clone, Debug, PartialEq)]
pub struct VitStage {
    pub width: u32,
    pub stride: u32,
    pub expand: u32,
    /// Channels of the transformer.
    pub dim: u32,
    /// Transformer layers.
    pub layers: u32,
    /// Attention heads, each a quarter as wide as the transformer.
    pub heads: u32,
    /// MLP channels over transformer channels.
    pub mlp: u32,
    /// Side of a patch in pixels.
    pub patch: u32,
}

impl VitStage {
    /// A transformer layer with softmax attention.
    pub fn layer(&self) -> TransformerLayer {
        let key_dim = self.dim.div_ceil(HEADS);
        TransformerLayer {
            dim: self.dim,
            heads: self.heads,
            key_dim,
            hidden: self.dim * self.mlp,
            act: ActFn::Silu,
            eps_e7: 100,
        }
    }

    /// A transformer layer with separable attention.
    pub fn separable_layer(&self) -> SeparableLayer {
        SeparableLayer { dim: self.dim, hidden: self.dim * self.mlp, act: ActFn::Silu }
    }
}

/// Attention heads of every published network.
const HEADS: u32 = 4;

impl MobileVitCfg {
    /// A published network, by the widths of stem and stages 0 and 1, and the width, transformer width and layers of the
    /// other stages.
    pub fn published(expand: u32, widths: [u32; 3], depth1: u32, vit: [(u32, u32, u32); 3], head: u32) -> MobileVitCfg {
        let [stem, w0, w1] = widths;
        let vit = vit.map(|(width, dim, layers)| VitStage {
            width,
            stride: 2,
            expand,
            dim,
            layers,
            heads: HEADS,
            mlp: 2,
            patch: 2,
        });
        MobileVitCfg {
            stem: Stem { width: stem, stride: 2 },
            conv: [
                ConvStage { width: w0, depth: 1, stride: 1, expand },
                ConvStage { width: w1, depth: depth1, stride: 2, expand },
            ],
            vit,
            head,
        }
    }

    /// The chain of blocks; `block` builds the MobileViT block of a stage.
    pub fn plan<B: Block + 'static>(&self, resolution: u32, classes: u32, block: impl Fn(&VitStage) -> B) -> Plan {
        let mut plan = Plan::of_image(resolution, InitStyle::Mobile);
        let root = Path::root();
        let unit = |out, kernel, stride| ConvBnAct {
            conv: "conv",
            bn: "bn",
            out: Sections::plain(out),
            kernel,
            stride,
            bias: false,
            act: Some(ActFn::Silu),
        };
        plan.push(root.at("stem"), unit(self.stem.width, 3, self.stem.stride));
        let stages = root.at("stages");
        let mut width = self.stem.width;
        let mv2 = |from: u32, out, stride, expand: u32| InvertedResidual {
            mid: Some(make_divisible(f64::from(from * expand), 8)),
            out,
            kernel: 3,
            stride,
            act: ActFn::Silu,
            squeeze: None,
            drop: 0,
            naming: Naming::Units,
        };
        for (i, s) in (0u32..).zip(&self.conv) {
            for j in 0..s.depth {
                let stride = if j == 0 { s.stride } else { 1 };
                plan.push(stages.at(i).at(j), mv2(width, s.width, stride, s.expand));
                width = s.width;
            }
        }
        for (i, s) in (2u32..).zip(&self.vit) {
            plan.push(stages.at(i).at(0), mv2(width, s.width, s.stride, s.expand));
            plan.push(stages.at(i).at(1), block(s));
            width = s.width;
        }
        if self.head > 0 {
            plan.push(root.at("final_conv"), unit(self.head, 1, 1));
        }
        plan.push(root.at("head"), Classifier { fc: "fc", classes });
        plan
    }

    /// The knobs of networks with separable attention, which has no heads.
    pub fn separable_knobs() -> Vec<Knob<MobileVitCfg>> {
        let mut all = MobileVitCfg::knobs();
        all.retain(|k| k.kind != KnobKind::Heads);
        all
    }

    /// The knobs of networks with multi-head attention.
    pub fn knobs() -> Vec<Knob<MobileVitCfg>> {
        let mut all = vec![
            knob!(MobileVitCfg: "stem.width", Width, stem.width),
            knob!(MobileVitCfg: "stem.stride", Stride, stem.stride),
        ];
        for i in 0..2usize {
            all.push(knob!(MobileVitCfg: format!("stages.{i}.width"), Width, conv[i].width));
            all.push(knob!(MobileVitCfg: format!("stages.{i}.stride"), Stride, conv[i].stride));
            all.push(knob!(MobileVitCfg: format!("stages.{i}.expand"), Expansion, conv[i].expand));
        }
        all.push(knob!(MobileVitCfg: "stages.1.depth", Depth, conv[1].depth).also([1, 2, 3]));
        for i in 0..3usize {
            let (stage, deepest) = (i + 2, [2, 4, 3][i]);
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.width"), Width, vit[i].width));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.stride"), Stride, vit[i].stride));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.expand"), Expansion, vit[i].expand));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.dim"), Width, vit[i].dim));
            let depth = knob!(MobileVitCfg: format!("stages.{stage}.depth"), Depth, vit[i].layers);
            all.push(depth.also(1..=deepest));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.heads"), Heads, vit[i].heads));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.mlp"), Expansion, vit[i].mlp));
            all.push(knob!(MobileVitCfg: format!("stages.{stage}.patch"), Patch, vit[i].patch).also([1, 2, 4]));
        }
        all.push(Knob::new("head.width", KnobKind::Width, |c: &MobileVitCfg| c.head, |c, v| c.head = v));
        all
    }
}
