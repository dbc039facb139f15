//! Mask R-CNN (He et al., 2017, arXiv 1703.06870) as mmdetection has it, with the sizes of EfficientFormer (Li et al., 2022,
//! arXiv 2206.01191): a pyramid of features, proposals from it, and boxes, classes and masks of regions that are cut from it.
//!
//! What lies between, from proposals to regions, is no part of the graph. It ends at the operations that read regions, and
//! begins again after them.

use mobilenas_dense::rcnn::RcnnRules;
use mobilenas_space::ir::{
    ActFn, Block, Builder, Feature, Graph, InitStyle, Op, Path, Plan, Sections, ShapeError, Val,
};

use super::fpn::{Lateral, Smooth};
use super::head::{Head, HeadOptions, Needs, Task};
use super::ssd::Columns;

#[derive(Debug)]
pub(super) struct MaskRcnn;

/// Channels of the pyramid and of the heads on it.
const WIDTH: u32 = 256;
/// Channels of the box head's layers, in those of the pyramid.
const BOX_WIDTH: u32 = 4;
/// Regions of an image that are classified, and of those the ones that have their masks drawn.
const REGIONS: [u32; 2] = [1000, 100];
/// Sides of the features of a region: for boxes, for masks.
const SIDES: [u32; 2] = [7, 14];
/// Pixels from one position of the finest level to the next.
const STRIDE: u32 = 4;
/// The kind of the block that makes proposals from all levels.
const RPN: &str = "rpn";

impl Head for MaskRcnn {
    fn name(&self) -> &'static str {
        "mask_rcnn"
    }

    fn cite(&self) -> &'static str {
        "Mask R-CNN, He et al. 2017, arXiv 1703.06870, with the sizes of EfficientFormer, arXiv 2206.01191"
    }

    fn task(&self) -> Task {
        Task::Detection
    }

    fn resolution(&self) -> u32 {
        800
    }

    fn classes(&self) -> u32 {
        81
    }

    fn needs(&self) -> Needs {
        Needs { strides: &[4, 8, 16, 32], output_stride: None, output_strides: &[], expanded: false }
    }

    fn width(&self) -> u32 {
        WIDTH
    }

    fn rcnn_rules(&self) -> Option<RcnnRules> {
        Some(RcnnRules::MMDETECTION)
    }

    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError> {
        let (root, width) = (Path::root(), options.width.unwrap_or(self.width()));
        let (neck, rpn, roi) = (root.at("neck"), root.at("rpn_head"), root.at("roi_head"));
        let (mut levels, mut coarser) = (Vec::new(), None);
        for (i, feature) in (0u32..).zip(features).collect::<Vec<_>>().into_iter().rev() {
            let reads = [Some(feature.block), coarser].into_iter().flatten().collect();
            let merged = plan.push_reading(neck.at("lateral_convs").at(i), reads, Lateral { width });
            levels.push(plan.push_reading(neck.at("fpn_convs").at(i), vec![merged], Smooth { width }));
            coarser = Some(merged);
        }
        levels.reverse();
        let coarsest = plan.push_reading(neck, levels.last().copied().into_iter().collect(), Coarsest);
        let all = levels.iter().copied().chain([coarsest]).collect();
        let anchors = RcnnRules::MMDETECTION.ratios.len() as u32;
        let proposed = plan.push_reading(rpn.clone(), all, Rpn { width, anchors });
        let scores = plan.push_reading(rpn.clone(), vec![proposed], Columns { start: 0, len: 1 });
        let boxes = plan.push_reading(rpn, vec![proposed], Columns { start: 1, len: 4 });
        plan.outputs = vec![("rpn_scores", scores), ("rpn_boxes", boxes)];

        let [count, masks] = REGIONS;
        let objects = options.classes.saturating_sub(1);
        let cut = Cut { count, side: SIDES[0] };
        let regions = plan.push_reading(roi.at("bbox_roi_extractor"), levels.clone(), cut);
        let head = roi.at("bbox_head");
        let shared = plan.push_reading(head.clone(), vec![regions], Shared { width: BOX_WIDTH * width });
        let fc = Fc { name: "fc_cls", out: Sections::plain(options.classes), std_e3: 10 };
        let scores = plan.push_reading(head.clone(), vec![shared], fc);
        let fc = Fc { name: "fc_reg", out: Sections::runs(objects, 4), std_e3: 1 };
        let boxes = plan.push_reading(head, vec![shared], fc);

        let cut = Cut { count: masks, side: SIDES[1] };
        let regions = plan.push_reading(roi.at("mask_roi_extractor"), levels, cut);
        let masks = plan.push_reading(roi.at("mask_head"), vec![regions], MaskHead { width, classes: objects });
        plan.outputs.extend([("scores", scores), ("boxes", boxes), ("masks", masks)]);
        Ok(())
    }
}

/// Height and width of the levels that a detector of two stages makes proposals from, in the order of its anchors.
pub fn level_sizes(graph: &Graph) -> Vec<(u32, u32)> {
    let rpn = graph.blocks.iter().find(|b| b.kind == RPN);
    rpn.into_iter().flat_map(|b| &b.inputs).filter_map(|i| graph.nodes[*i].value.hw()).collect()
}

/// Every second position of the last level.
#[derive(Debug, Hash)]
struct Coarsest;

impl Block for Coarsest {
    fn kind(&self) -> &'static str {
        "fpn_coarsest"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.op(Op::MaxPool { kernel: 1, stride: 2, pad: 0 }, &[x])
    }
}

/// A row for each anchor of each position of each level: a logit of an object, and four offsets. The layers are the same
/// for all levels.
#[derive(Debug, Hash)]
struct Rpn {
    width: u32,
    anchors: u32,
}

impl Block for Rpn {
    fn kind(&self) -> &'static str {
        RPN
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Normal { std_e3: 10 });
        let mut rows = Vec::with_capacity(values.len());
        for (i, x) in values.iter().enumerate() {
            rows.push(b.tied(i > 0, |b| {
                let y = b.conv("rpn_conv", *x, self.width, 3, 1, true)?;
                let y = b.act(ActFn::Relu, y)?;
                let mut columns = Vec::with_capacity(2);
                for (name, len) in [("rpn_cls", 1), ("rpn_reg", 4)] {
                    let z = b.conv_to(name, y, Sections::runs(self.anchors, len), true)?;
                    let z = b.op(Op::Flatten, &[z])?;
                    columns.push(b.op(Op::SplitRows { parts: self.anchors }, &[z])?);
                }
                b.op(Op::Concat, &columns)
            })?);
        }
        b.op(Op::ConcatRows, &rows)
    }
}

/// The features of regions, of all levels but the coarsest.
#[derive(Debug, Hash)]
struct Cut {
    count: u32,
    side: u32,
}

impl Block for Cut {
    fn kind(&self) -> &'static str {
        "regions"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        self.lower_all(b, &[x])
    }

    fn lower_all(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        b.op(Op::Regions { count: self.count, side: self.side, stride: STRIDE }, values)
    }
}

/// The layers that classes and boxes of a region share.
#[derive(Debug, Hash)]
struct Shared {
    width: u32,
}

impl Block for Shared {
    fn kind(&self) -> &'static str {
        "box_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Xavier);
        let mut y = b.op(Op::Vector, &[x])?;
        for i in 0..2u32 {
            y = b.within("shared_fcs", |b| {
                let out = Sections::plain(self.width);
                b.op_at(i, Op::Linear { out, bias: true }, &[y])
            })?;
            y = b.act(ActFn::Relu, y)?;
        }
        Ok(y)
    }
}

/// A number of each kind for a region.
#[derive(Debug, Hash)]
struct Fc {
    name: &'static str,
    out: Sections,
    std_e3: u32,
}

impl Block for Fc {
    fn kind(&self) -> &'static str {
        "box_head_output"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Normal { std_e3: self.std_e3 });
        b.linear(self.name, x, self.out.clone())
    }
}

/// A mask of a region for each class, twice as large as its features.
#[derive(Debug, Hash)]
struct MaskHead {
    width: u32,
    classes: u32,
}

impl Block for MaskHead {
    fn kind(&self) -> &'static str {
        "mask_head"
    }

    fn lower(&self, b: &mut Builder, x: Val) -> Result<Val, ShapeError> {
        b.init_style(InitStyle::Mobile);
        let mut y = x;
        for i in 0..4u32 {
            y = b.within("convs", |b| b.within(i, |b| b.conv("conv", y, self.width, 3, 1, true)))?;
            y = b.act(ActFn::Relu, y)?;
        }
        let out = Sections::plain(self.width);
        y = b.op_at("upsample", Op::ConvTranspose { out, kernel: 2, bias: true }, &[y])?;
        y = b.act(ActFn::Relu, y)?;
        b.conv("conv_logits", y, self.classes, 1, 1, true)
    }
}
