//! Batches of images as tensors. A training asks its [`Feed`] for the batch of a step and knows nothing of where it comes
//! from; scoring goes through a list once, with [`View::batches`].

mod budget;
mod damage;
mod feed;
mod norm;
mod sampler;
mod stream;
mod view;

use tch::{Device, Tensor};

pub use budget::Budget;
pub use damage::Damage;
pub use feed::{Feed, Recipe};
pub use norm::Norm;
pub use sampler::{Formula, MultiScale, Sampler};
pub use stream::Stream;
pub use view::View;

use super::TrainError;

/// Images with their labels.
#[derive(Debug)]
pub struct Batch {
    /// Normalised levels `[B, C, H, W]`, float32; C is 1 or 3.
    pub images: Tensor,
    /// Class of each image, `[B]`, int64. Of mixed images, the class of the first.
    pub labels: Tensor,
    /// What mixed images should be taken for, `[B, classes]`, float32, with label smoothing in it; none where nothing is
    /// mixed.
    pub targets: Option<Tensor>,
}

impl Batch {
    /// Side of the images in pixels, where they are square.
    pub fn side(&self) -> u32 {
        self.images.size().last().copied().unwrap_or_default() as u32
    }

    /// A batch of `[B, C, H, W]` levels, with the labels of its images.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(levels: &[f32], labels: &[i64], (c, h, w): (usize, usize, usize)) -> Result<Batch, TrainError> {
        let shape = [labels.len() as i64, c as i64, h as i64, w as i64];
        let images = Tensor::f_from_slice(levels).and_then(|t| t.f_view(shape)).map_err(TrainError::torch)?;
        Ok(Batch { images, labels: Tensor::f_from_slice(labels).map_err(TrainError::torch)?, targets: None })
    }

    /// The batch on a device; nothing is copied if it is there. The one way by which images reach a GPU.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn to(&self, device: Device) -> Result<Batch, TrainError> {
        let moved = |t: &Tensor| t.f_to_device(device).map_err(TrainError::torch);
        let targets = self.targets.as_ref().map(moved).transpose()?;
        Ok(Batch { images: moved(&self.images)?, labels: moved(&self.labels)?, targets })
    }
}
