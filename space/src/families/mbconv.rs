//! What MnasNet (Tan et al., 2019), EfficientNet and its Lite form share: a stem, seven stages of inverted residuals with
//! optional squeeze-and-excitation, a 1x1 convolution and a classifier. They differ in their tables and activations.

use super::spec::{Knob, knob};
use crate::blocks::{Classifier, ConvBnAct, InvertedResidual, Naming, SqueezeExcite, make_divisible};
use crate::ir::{ActFn, InitStyle, Path, Plan, Sections};

#[derive(Clone, Debug, PartialEq)]
pub struct MbConvCfg {
    pub stem: u32,
    pub stem_stride: u32,
    pub stages: [Stage; 7],
    pub head: u32,
}

/// `depth` inverted residuals; the first has the stride. Those of the first stage do not expand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    pub expand: u32,
    pub width: u32,
    pub depth: u32,
    pub stride: u32,
    pub kernel: u32,
    /// Channels inside squeeze-and-excitation over those that a block reads, in percent; 0 leaves it out.
    pub squeeze: u32,
}

/// A row of a paper's table.
pub const fn stage(expand: u32, width: u32, depth: u32, stride: u32, kernel: u32, squeeze: u32) -> Stage {
    Stage { expand, width, depth, stride, kernel, squeeze }
}

/// Channels under a width multiplier.
pub fn scaled(channels: u32, multiplier: f64) -> u32 {
    make_divisible(f64::from(channels) * multiplier, 8)
}

/// The activation of a family, and its stochastic depth.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    pub act: ActFn,
    /// Drop rate after the last block in thousandths; block `i` of `n` drops at `i / n` of it.
    pub drop_path: u32,
}

impl MbConvCfg {
    pub fn plan(&self, how: Training, resolution: u32, classes: u32) -> Plan {
        let mut plan = Plan::of_image(resolution, InitStyle::Mobile);
        let (root, act) = (Path::root(), how.act);
        let unit = |conv, bn, out, kernel, stride| ConvBnAct {
            conv,
            bn,
            out: Sections::plain(out),
            kernel,
            stride,
            bias: false,
            act: Some(act),
        };
        plan.push(root.clone(), unit("conv_stem", "bn1", self.stem, 3, self.stem_stride));
        let blocks: u32 = self.stages.iter().map(|s| s.depth).sum();
        let (mut width, mut index) = (self.stem, 0);
        for (i, s) in (0u32..).zip(&self.stages) {
            let expand = if i == 0 { 1 } else { s.expand };
            for j in 0..s.depth {
                let mid = (i > 0).then(|| make_divisible(f64::from(width * expand), 8));
                let block = InvertedResidual {
                    mid,
                    out: s.width,
                    kernel: s.kernel,
                    stride: if j == 0 { s.stride } else { 1 },
                    act,
                    squeeze: SqueezeExcite::of_input(s.squeeze, mid.unwrap_or(width), expand, act),
                    drop: how.drop_path * index / blocks,
                    naming: Naming::Flat,
                };
                plan.push(root.at("blocks").at(i).at(j), block);
                (width, index) = (s.width, index + 1);
            }
        }
        plan.push(root.clone(), unit("conv_head", "bn2", self.head, 1, 1));
        plan.push(root, Classifier { fc: "classifier", classes });
        plan
    }

    /// The knobs; `deepest` are the blocks of the deepest network of each stage.
    pub fn knobs(deepest: [u32; 7]) -> Vec<Knob<MbConvCfg>> {
        let mut all =
            vec![knob!(MbConvCfg: "stem.width", Width, stem), knob!(MbConvCfg: "stem.stride", Stride, stem_stride)];
        for (i, deepest) in deepest.into_iter().enumerate() {
            all.push(knob!(MbConvCfg: format!("stages.{i}.width"), Width, stages[i].width));
            all.push(knob!(MbConvCfg: format!("stages.{i}.depth"), Depth, stages[i].depth).also(1..=deepest));
            all.push(knob!(MbConvCfg: format!("stages.{i}.stride"), Stride, stages[i].stride));
            all.push(knob!(MbConvCfg: format!("stages.{i}.kernel"), Kernel, stages[i].kernel).also([3, 5]));
            all.push(knob!(MbConvCfg: format!("stages.{i}.squeeze"), Expansion, stages[i].squeeze));
            if i > 0 {
                let expand = knob!(MbConvCfg: format!("stages.{i}.expand"), Expansion, stages[i].expand);
                all.push(expand.also([3, 4, 6]));
            }
        }
        all.push(knob!(MbConvCfg: "head.width", Width, head));
        all
    }
}
