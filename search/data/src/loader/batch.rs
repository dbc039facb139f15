//! A batch of images.

use crate::Target;

/// Images with their targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Normalised pixel values `[B, C, H, W]`; C is 1 or 3.
    pub values: Vec<f32>,
    /// Channels, height and width of each image.
    pub shape: (usize, usize, usize),
    /// The target of each image. Of mixed images, that of the first.
    pub targets: Vec<Target>,
    /// Class probabilities of mixed images, `[B, classes]`, with label smoothing in them; none where nothing is mixed.
    pub mixed: Option<Vec<f32>>,
}
