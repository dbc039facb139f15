//! What a written ONNX file looks like.

use std::collections::BTreeMap;

/// The version of ONNX's operator set: the first with exact Gelu as one operator.
pub const OPSET: i64 = 20;
/// The version of the file format that goes with it.
pub const IR_VERSION: i64 = 9;
/// Name of the input.
pub const INPUT: &str = "images";

/// Name of an input of a file: the images; of a block that reads several values, the others are numbered.
pub fn input_name(index: usize) -> String {
    if index == 0 { INPUT.to_string() } else { format!("{INPUT}.{index}") }
}
/// Name of a classifier's output.
pub const OUTPUT: &str = mobilenas_space::ir::LOGITS;
/// Key of the metadata that names the weights which stay in float32 in a float16 file.
pub const FLOAT32_WEIGHTS: &str = "float32_weights";

/// The size of the batch axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// A fixed size.
    Fixed(u32),
    /// Any size; the axis is named `batch`.
    Dynamic,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of the batch axis.
    pub batch: Batch,
    /// Stores weights in float16 and casts them to float32 when the file is loaded; all arithmetic stays in float32.
    /// Tensors that float16 does not hold stay in float32; the metadata names them under [`FLOAT32_WEIGHTS`].
    pub float16: bool,
    /// What a detector's file does with the outputs `boxes` and `scores`; if left out, it gives them as they are.
    pub detections: Option<Detections>,
    /// Metadata of the file.
    pub about: BTreeMap<String, String>,
}

/// How offsets to anchors and logits of classes become detections: decoding, softmax with the background first, and
/// non-maximum suppression class by class. The file then takes one image. Its outputs are `boxes` `[n, 4]`: left, top,
/// right and bottom in parts of the image, within it; `scores` `[n]`: probabilities, the largest first; `labels` `[n]`,
/// int64: classes from 1 on, as 0 is the background.
#[derive(Clone, Debug, PartialEq)]
pub struct Detections {
    /// The anchor of each row: its centre to the right and down, its width and height, in parts of the image.
    pub anchors: Vec<[f64; 4]>,
    /// What the offset of a centre is multiplied by, beside the anchor's side.
    pub center_variance: f64,
    /// What the logarithm of a ratio of sides is multiplied by.
    pub side_variance: f64,
    /// Largest logarithm of a ratio of sides.
    pub max_log: f64,
    /// A probability has to be above this, which is not below 0.
    pub score_threshold: f64,
    /// Boxes of a class that enter non-maximum suppression; if left out, all.
    pub candidates_per_class: Option<usize>,
    /// A box goes if its IoU with a better one of its class is above this.
    pub nms_iou: f64,
    /// Boxes of a class that are kept; if left out, all.
    pub per_class: Option<usize>,
    /// Boxes that are kept; if left out, all.
    pub per_image: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options { batch: Batch::Fixed(1), float16: false, detections: None, about: BTreeMap::new() }
    }
}

/// The floating-point tensors of a network by name, row-major.
pub type Arrays = BTreeMap<String, Vec<f32>>;
