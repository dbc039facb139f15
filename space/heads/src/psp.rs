//! PSPNet (Zhao et al., 2017, arXiv 1612.01105) as ml-cvnets has it: a pyramid of pooled maps.

use mobilenas_space::ir::{Block, Builder, Feature, Op, Path, Plan, ShapeError, Val};

use super::head::{Head, HeadOptions, Needs, Task};
use super::segmenter::{OUTPUT_STRIDES, SIDE, VOC, classify};
use super::unit::Unit;

#[derive(Debug)]
pub(super) struct PspNet;

/// Sides of the pooled maps.
const POOLS: [u32; 4] = [1, 2, 3, 6];

impl Head for PspNet {
    fn name(&self) -> &'static str {
        "pspnet"
    }

    fn cite(&self) -> &'static str {
        "PSPNet, Zhao et al. 2017, arXiv 1612.01105, with the sizes of MobileViTv2, arXiv 2206.02680"
    }

    fn task(&self) -> Task {
        Task::Segmentation
    }

    fn resolution(&self) -> u32 {
        SIDE
    }

    fn classes(&self) -> u32 {
        VOC
    }

    fn needs(&self) -> Needs {
        Needs { strides: &[16, 32], output_stride: Some(16), output_strides: OUTPUT_STRIDES, expanded: false }
    }

    fn width(&self) -> u32 {
        512
    }

    fn align_corners(&self) -> bool {
        true
    }

    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError> {
        let reads = features.last().map(|f| f.block).into_iter().collect();
        let path = Path::root().at("seg_head").at("psp_layer");
        let psp = plan.push_reading(path, reads, Psp { out: options.width.unwrap_or(self.width()) });
        classify(self, plan, psp, features, options);
        Ok(())
    }
}

/// The map beside its means over coarser and coarser windows, fused by a 3x3 convolution.
#[derive(Debug, Hash)]
struct Psp {
    out: u32,
}

impl Block for Psp {
    fn kind(&self) -> &'static str {
        "psp"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("PSP");
        let (h, w) = b.hw(x)?;
        // A quarter for each pool, in whole sixteens; narrow maps have fewer.
        let quarter = b.channels(x) / POOLS.len() as u32;
        let inner = if quarter < 16 { quarter.max(1) } else { quarter / 16 * 16 };
        let branches = b.within("psp_branches", |b| {
            let mut all = vec![x];
            for (i, side) in (0u32..).zip(POOLS) {
                all.push(b.within(i, |b| {
                    let pooled = match side {
                        1 => b.op(Op::GlobalPool { keep: true }, &[x])?,
                        _ => b.op(Op::AdaptiveAvgPool { h: side, w: side }, &[x])?,
                    };
                    let y = b.within(1, |b| Unit::new(inner, 1).append(b, pooled))?;
                    b.op(Op::Resize { h, w, align_corners: true }, &[y])
                })?);
            }
            b.op(Op::Concat, &all)
        })?;
        b.within("fusion", |b| b.within(0, |b| Unit::new(self.out, 3).append(b, branches)))
    }
}
