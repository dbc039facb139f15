//! Batches as tensors.

use std::sync::Arc;

use mobilenas_data as data;
use mobilenas_data::Target;
use mobilenas_dense::dataset::ImageEntry;
use mobilenas_dense::mask::Rle;
use mobilenas_dense::{BBox, DenseError, DenseLabel, DenseTarget, TargetBox};
use tch::{Device, Kind, TchError, Tensor};

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
    /// Boxes and a class for each pixel.
    Dense(DenseTargets),
}

/// Boxes and class maps of a batch.
#[derive(Debug)]
pub struct DenseTargets {
    /// The label of each image.
    pub labels: Arc<[Arc<DenseLabel>]>,
    /// Columns and rows of the images.
    pub size: (usize, usize),
    /// The class of each pixel, `[B, H, W]`, int64, 255 where it is ignored; none where the images have no class maps.
    pub map: Option<Tensor>,
}

impl DenseTargets {
    /// Images alike, to time steps with: one object in the middle, all pixels of the first class.
    pub(crate) fn example(images: usize, (width, height): (usize, usize)) -> Result<DenseTargets, TchError> {
        let (w, h) = (width as f64, height as f64);
        let boxes = vec![TargetBox { bbox: BBox::new(w / 4.0, h / 4.0, 3.0 * w / 4.0, 3.0 * h / 4.0), class: 0 }];
        let (id, path, objects) = (0, std::path::PathBuf::new(), Vec::new());
        let entry = ImageEntry { id, path, width: width as u32, height: height as u32, objects, map: None };
        let target = DenseTarget { boxes, ..DenseTarget::default() };
        let label = Arc::new(DenseLabel { entry: Arc::new(entry), maps: None, target, whole: None });
        let map = Tensor::f_zeros([images as i64, height as i64, width as i64], (Kind::Int64, Device::Cpu))?;
        Ok(DenseTargets { labels: vec![label; images].into(), size: (width, height), map: Some(map) })
    }

    /// The same with a mask that fills each box.
    pub(crate) fn with_masks(self) -> Result<DenseTargets, DenseError> {
        let (width, height) = self.size;
        let filled = |b: &TargetBox| {
            let [x1, y1, x2, y2] = b.bbox.xyxy();
            Rle::of_polygon(height, width, &[x1, y1, x2, y1, x2, y2, x1, y2])
        };
        let with = |label: &Arc<DenseLabel>| -> Result<Arc<DenseLabel>, DenseError> {
            let masks = label.target.boxes.iter().map(filled).collect::<Result<_, DenseError>>()?;
            let target = DenseTarget { masks, ..label.target.clone() };
            Ok(Arc::new(DenseLabel { target, ..DenseLabel::clone(label) }))
        };
        let labels = self.labels.iter().map(with).collect::<Result<Vec<_>, DenseError>>()?.into();
        Ok(DenseTargets { labels, ..self })
    }

    fn shallow_clone(&self) -> DenseTargets {
        let map = self.map.as_ref().map(Tensor::shallow_clone);
        DenseTargets { labels: self.labels.clone(), size: self.size, map }
    }
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
            Targets::Dense(all) => Targets::Dense(all.shallow_clone()),
        }
    }

    /// The class of each image, `[B]`, int64, where that is what they are labelled with.
    pub fn labels(&self) -> Option<&Tensor> {
        match self {
            Targets::Classes { labels, .. } => Some(labels),
            Targets::Dense(_) => None,
        }
    }

    fn to(&self, device: Device) -> Result<Targets, TchError> {
        match self {
            Targets::Classes { labels, mixed } => Ok(Targets::Classes {
                labels: labels.f_to_device(device)?,
                mixed: mixed.as_ref().map(|t| t.f_to_device(device)).transpose()?,
            }),
            Targets::Dense(all) => {
                let map = all.map.as_ref().map(|t| t.f_to_device(device)).transpose()?;
                Ok(Targets::Dense(DenseTargets { map, ..all.shallow_clone() }))
            }
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
        if let Some(Target::Dense(_)) = batch.targets.first() {
            return Ok(Batch { images: images.map_err(&torch)?, targets: Targets::Dense(dense(batch)?) });
        }
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

/// The labels of a batch, and the class maps where every image has one.
fn dense(batch: &data::Batch) -> Result<DenseTargets, TaskError> {
    let torch = TaskError::torch("batch");
    let labels: Option<Arc<[Arc<DenseLabel>]>> = batch.targets.iter().map(|t| t.dense().cloned()).collect();
    let labels = labels.ok_or(TaskError::Target { task: "batch", expected: "boxes or class map" })?;
    let ((_, h, w), n) = (batch.shape, labels.len() as i64);
    let maps: Option<Vec<&[u8]>> = labels.iter().map(|l| l.target.map.as_ref().map(|m| m.labels.as_slice())).collect();
    let tensor = |maps: Vec<&[u8]>| {
        let all = Tensor::f_from_slice(&maps.concat())?.f_to_kind(Kind::Int64)?;
        all.f_view([n, h as i64, w as i64])
    };
    let map = maps.map(tensor).transpose().map_err(&torch)?;
    Ok(DenseTargets { labels, size: (w, h), map })
}
