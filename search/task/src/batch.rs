//! Batches as tensors.

use mobilenas_data as data;
use tch::{Device, TchError, Tensor};

use crate::TaskError;

/// What a batch should be taken for.
#[derive(Debug)]
pub enum Targets {
    /// One class an image.
    Classes {
        /// `[B]`, int64. Of mixed images, the class of the first.
        labels: Tensor,
        /// Class probabilities of mixed images, `[B, classes]`, float32, with label smoothing in them; none where nothing
        /// is mixed.
        mixed: Option<Tensor>,
    },
}

impl Targets {
    /// One class an image.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn classes(labels: &[i64]) -> Result<Targets, TchError> {
        Ok(Targets::Classes { labels: Tensor::f_from_slice(labels)?, mixed: None })
    }

    /// The same tensors.
    pub fn shallow_clone(&self) -> Targets {
        match self {
            Targets::Classes { labels, mixed } => {
                Targets::Classes { labels: labels.shallow_clone(), mixed: mixed.as_ref().map(Tensor::shallow_clone) }
            }
        }
    }

    /// The class of each image, `[B]`, int64, where that is what they are labelled with.
    pub fn labels(&self) -> Option<&Tensor> {
        match self {
            Targets::Classes { labels, .. } => Some(labels),
        }
    }

    fn to(&self, device: Device) -> Result<Targets, TchError> {
        match self {
            Targets::Classes { labels, mixed } => Ok(Targets::Classes {
                labels: labels.f_to_device(device)?,
                mixed: mixed.as_ref().map(|t| t.f_to_device(device)).transpose()?,
            }),
        }
    }
}

/// Images with their targets, as tensors.
#[derive(Debug)]
pub struct Batch {
    /// Normalised pixel values `[B, C, H, W]`, float32; C is 1 or 3.
    pub images: Tensor,
    /// The targets of the images.
    pub targets: Targets,
}

impl Batch {
    /// Copies a batch of the data loader into tensors.
    ///
    /// # Errors
    /// When libtorch refuses, or the samples have targets of different kinds.
    pub fn new(batch: &data::Batch) -> Result<Batch, TaskError> {
        let torch = TaskError::torch("batch");
        let ((c, h, w), n) = (batch.shape, batch.targets.len() as i64);
        let images = Tensor::f_from_slice(&batch.values).and_then(|t| t.f_view([n, c as i64, h as i64, w as i64]));
        let labels: Option<Vec<i64>> = batch.targets.iter().map(|t| t.class().map(i64::from)).collect();
        let labels = labels.ok_or(TaskError::Target { task: "batch", expected: "class" })?;
        let mixed = batch.mixed.as_ref().map(|m| Tensor::f_from_slice(m).and_then(|t| t.f_view([n, -1])));
        let mixed = mixed.transpose().map_err(&torch)?;
        let labels = Tensor::f_from_slice(&labels).map_err(&torch)?;
        Ok(Batch { images: images.map_err(&torch)?, targets: Targets::Classes { labels, mixed } })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.size().first().copied().unwrap_or_default() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side of the images in pixels, where they are square.
    pub fn side(&self) -> u32 {
        self.images.size().last().copied().unwrap_or_default() as u32
    }

    /// The batch on a device; nothing is copied if it is there. The one way by which images reach a GPU.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn to(&self, device: Device) -> Result<Batch, TaskError> {
        let moved = || Ok(Batch { images: self.images.f_to_device(device)?, targets: self.targets.to(device)? });
        moved().map_err(TaskError::torch("batch"))
    }
}
