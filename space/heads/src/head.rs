//! What a head is: what it reads, and the blocks it appends.

use std::fmt::Debug;

use mobilenas_dense::rcnn::RcnnRules;
use mobilenas_dense::ssd::SsdRules;
use mobilenas_space::ir::{Feature, Plan, ShapeError};
use serde::{Deserialize, Serialize};

/// The path below which a backbone's tensors are.
pub const BACKBONE: &str = "backbone";

/// What a head is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Boxes with scores.
    Detection,
    /// A class for each pixel.
    Segmentation,
}

impl Task {
    /// Its name in commands and configs.
    pub fn name(self) -> &'static str {
        match self {
            Task::Detection => "detection",
            Task::Segmentation => "segmentation",
        }
    }
}

/// What a head wants of a backbone.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Strides of the feature maps that it reads, as the backbone has them without dilation.
    pub strides: &'static [u32],
    /// The output stride of its paper; none if the backbone stays as it is.
    pub output_stride: Option<u32>,
    /// The output strides that may be asked for.
    pub output_strides: &'static [u32],
    /// Whether the first feature map is not read as it is, but as the block after it expands it.
    pub expanded: bool,
}

/// How a head is made. What is left out is the head's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// Number of classes; of a detector, with the background.
    pub classes: u32,
    /// Pixels of the image from one position of the last map to the next: the backbone is dilated to it.
    pub output_stride: Option<u32>,
    /// Channels before the classifier or, of a detector, of the widest map.
    pub width: Option<u32>,
    /// How logits are resized to the image: corner to corner or, if false, edge to edge.
    pub align_corners: Option<bool>,
    /// Whether there is an auxiliary head, which training has a loss on and nothing else reads.
    pub auxiliary: bool,
    /// Whether logits are resized to the image. Scores at another size than the network's resize the small ones.
    pub upsample: bool,
}

impl HeadOptions {
    /// The head of its paper, for so many classes.
    pub fn new(classes: u32) -> HeadOptions {
        HeadOptions { classes, output_stride: None, width: None, align_corners: None, auxiliary: false, upsample: true }
    }
}

/// A family of heads.
pub trait Head: Debug + Send + Sync {
    /// Its name in commands and configs.
    fn name(&self) -> &'static str;

    /// Its paper.
    fn cite(&self) -> &'static str;

    /// What it is for.
    fn task(&self) -> Task;

    /// Side of the images that it was published for, in pixels.
    fn resolution(&self) -> u32;

    /// Number of classes that it was published for, with the background.
    fn classes(&self) -> u32;

    /// What it wants of a backbone.
    fn needs(&self) -> Needs;

    /// Channels that it was published with: before the classifier or, of a detector, of its widest map. The others are in
    /// proportion.
    fn width(&self) -> u32;

    /// The rules of its anchors, of a detector of a single stage.
    fn ssd_rules(&self) -> Option<SsdRules> {
        None
    }

    /// The rules of a detector of two stages: anchors, proposals, regions.
    fn rcnn_rules(&self) -> Option<RcnnRules> {
        None
    }

    /// Whether its paper resizes logits to the image corner to corner rather than edge to edge.
    fn align_corners(&self) -> bool {
        false
    }

    /// Appends its blocks, which read `features`: one for each stride that it needs, in that order.
    ///
    /// # Errors
    /// When a size does not fit.
    fn append(&self, plan: &mut Plan, features: &[Feature], options: &HeadOptions) -> Result<(), ShapeError>;
}
