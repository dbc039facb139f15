//! Semantic FPN (Kirillov et al., 2019, arXiv 1901.02446) as mmsegmentation has it, with the sizes of EfficientFormer (Li et
//! al., 2022, arXiv 2206.01191).

use mobilenas_space::ir::{ActFn, Block, Builder, Feature, InitStyle, Op, Path, Plan, ShapeError, Val};

use super::head::{Head, HeadOptions, Needs, Task};
use super::segmenter::{SIDE, resized};

#[derive(Debug)]
pub(super) struct SemanticFpn;

/// Channels of the pyramid.
const WIDTH: u32 = 256;

impl Head for SemanticFpn {
    fn name(&self) -> &'static str {
        "semantic_fpn"
    }

    fn cite(&self) -> &'static str {
        "Semantic FPN, Kirillov et al. 2019, arXiv 1901.02446, with the sizes of EfficientFormer, arXiv 2206.01191"
    }

    fn task(&self) -> Task {
        Task::Segmentation
    }

    fn resolution(&self) -> u32 {
        SIDE
    }

    fn classes(&self) -> u32 {
        150
    }

    fn needs(&self) -> Needs {
        Needs { strides: &[4, 8, 16, 32], output_stride: None, output_strides: &[], expanded: false }
    }

    fn width(&self) -> u32 {
        128
    }

    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError> {
        let (neck, head, out) =
            (Path::root().at("neck"), Path::root().at("decode_head"), options.width.unwrap_or(self.width()));
        let (mut merged, mut coarser) = (Vec::new(), None);
        for (i, feature) in (0u32..).zip(features).collect::<Vec<_>>().into_iter().rev() {
            let reads = [Some(feature.block), coarser].into_iter().flatten().collect();
            let lateral = plan.push_reading(neck.at("lateral_convs").at(i), reads, Lateral { width: WIDTH });
            merged.push((i, lateral));
            coarser = Some(lateral);
        }
        merged.reverse();
        for (i, block) in &mut merged {
            *block = plan.push_reading(neck.at("fpn_convs").at(*i), vec![*block], Smooth { width: WIDTH });
        }
        let scale =
            |(i, from)| plan.push_reading(head.at("scale_heads").at(i), vec![from], ScaleHead { level: i, out });
        let scaled = merged.into_iter().map(scale).collect();
        let low = plan.push_reading(head, scaled, Classifier { classes: options.classes });
        let logits = resized(plan, low, options, options.align_corners.unwrap_or(self.align_corners()));
        plan.outputs = vec![("logits", logits)];
        Ok(())
    }
}

/// A feature map with the pyramid's channels, plus the coarser level at its size.
#[derive(Debug, Hash)]
pub(crate) struct Lateral {
    pub(crate) width: u32,
}

impl Block for Lateral {
    fn kind(&self) -> &'static str {
        "fpn_lateral"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        let [x, coarser @ ..] = values else { return Err(b.error("no value", "a feature map")) };
        b.init_style(InitStyle::Xavier);
        let mut y = b.conv("conv", *x, self.width, 1, 1, true)?;
        let (h, w) = b.hw(y)?;
        for c in coarser {
            let near = b.op(Op::ResizeNearest { h, w }, &[*c])?;
            y = b.add(y, near)?;
        }
        Ok(y)
    }
}

/// The convolution after a level.
#[derive(Debug, Hash)]
pub(crate) struct Smooth {
    pub(crate) width: u32,
}

impl Block for Smooth {
    fn kind(&self) -> &'static str {
        "fpn_conv"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Xavier);
        b.conv("conv", x, self.width, 3, 1, true)
    }
}

/// Convolutions that bring a level to the size of the first, twice as large after each.
#[derive(Debug, Hash)]
struct ScaleHead {
    level: u32,
    out: u32,
}

impl Block for ScaleHead {
    fn kind(&self) -> &'static str {
        "fpn_scale"
    }

    fn lower(&self, b: &mut Builder, mut x: Val) -> Result<Val, ShapeError> {
        for i in 0..self.level.max(1) {
            x = b.within(2 * i, |b| {
                b.class("ConvModule");
                let y = b.conv("conv", x, self.out, 3, 1, false)?;
                let y = b.bn("bn", y)?;
                b.act(ActFn::Relu, y)
            })?;
            if self.level > 0 {
                let (h, w) = b.hw(x)?;
                x = b.op(Op::Resize { h: 2 * h, w: 2 * w, align_corners: false }, &[x])?;
            }
        }
        Ok(x)
    }
}

/// The sum of all levels, and a logit for each class.
#[derive(Debug, Hash)]
struct Classifier {
    classes: u32,
}

impl Block for Classifier {
    fn kind(&self) -> &'static str {
        "fpn_classifier"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        let [first, rest @ ..] = values else { return Err(b.error("no value", "feature maps")) };
        let mut y = *first;
        for x in rest {
            y = b.add(y, *x)?;
        }
        b.init_style(InitStyle::Normal { std_e3: 10 });
        b.conv("conv_seg", y, self.classes, 1, 1, true)
    }
}
