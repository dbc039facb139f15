//! DeepLabv3 (Chen et al., 2017, arXiv 1706.05587) as ml-cvnets has it: atrous spatial pyramid pooling.

use mobilenas_space::ir::{Block, Builder, Feature, Op, Path, Plan, ShapeError, Val};

use super::head::{Head, HeadOptions, Needs, Task};
use super::segmenter::{OUTPUT_STRIDES, SIDE, VOC, classify};
use super::unit::Unit;

#[derive(Debug)]
pub(super) struct DeepLabV3;

impl Head for DeepLabV3 {
    fn name(&self) -> &'static str {
        "deeplabv3"
    }

    fn cite(&self) -> &'static str {
        "DeepLabv3, Chen et al. 2017, arXiv 1706.05587, with the sizes of MobileViTv2, arXiv 2206.02680"
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
        let out = options.width.unwrap_or(self.width());
        // The rates of the paper, twice as large on maps twice as fine.
        let rates = if options.output_stride == Some(8) { [12, 24, 36] } else { [6, 12, 18] };
        let reads = features.last().map(|f| f.block).into_iter().collect();
        let path = Path::root().at("seg_head").at("aspp").at("aspp_layer");
        let aspp = plan.push_reading(path, reads, Aspp { out, rates });
        classify(self, plan, aspp, features, options);
        Ok(())
    }
}

/// Atrous spatial pyramid pooling: a 1x1 convolution, three dilated ones and the mean of the map, side by side.
#[derive(Debug, Hash)]
struct Aspp {
    out: u32,
    rates: [u32; 3],
}

impl Block for Aspp {
    fn kind(&self) -> &'static str {
        "aspp"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.class("ASPP");
        let (h, w) = b.hw(x)?;
        let all = b.within("convs", |b| {
            let mut all = vec![b.within(0, |b| Unit::new(self.out, 1).append(b, x))?];
            for (i, rate) in (1u32..).zip(self.rates) {
                all.push(b.within(i, |b| Unit::new(self.out, 3).dilated(rate).append(b, x))?);
            }
            all.push(b.within(4, |b| {
                b.within("aspp_pool", |b| {
                    b.class("ASPPPooling");
                    let mean = b.op(Op::GlobalPool { keep: true }, &[x])?;
                    let y = b.within("conv_1x1", |b| Unit::new(self.out, 1).append(b, mean))?;
                    b.op(Op::Resize { h, w, align_corners: false }, &[y])
                })
            })?);
            b.op(Op::Concat, &all)
        })?;
        b.within("project", |b| Unit::new(self.out, 1).append(b, all))
    }
}
