//! What an image of a dataset is labelled with, before and after a transform.

use std::sync::Arc;

use crate::dataset::{DenseDataset, ImageEntry, MapRule};
use crate::{ClassMap, DenseError, DenseTarget, Sample};

/// The label of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseLabel {
    /// The image as its dataset lists it.
    pub entry: Arc<ImageEntry>,
    /// How its class map is read.
    pub maps: Option<Arc<MapRule>>,
    /// Boxes and class map in pixels of the transformed image; empty before.
    pub target: DenseTarget,
    /// The class map at the image's own size, of an image that is scored.
    pub whole: Option<ClassMap>,
}

impl DenseLabel {
    /// The labels of a dataset's images.
    pub fn all(data: &DenseDataset) -> Vec<DenseLabel> {
        let maps = data.maps.clone().map(Arc::new);
        let label = |entry: &ImageEntry| DenseLabel {
            entry: Arc::new(entry.clone()),
            maps: maps.clone(),
            target: DenseTarget::default(),
            whole: None,
        };
        data.images.iter().map(label).collect()
    }

    /// The image with its target.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn sample(&self) -> Result<Sample, DenseError> {
        self.entry.sample(self.maps.as_deref())
    }

    /// The label of the transformed image.
    pub fn transformed(&self, target: DenseTarget, whole: Option<ClassMap>) -> DenseLabel {
        DenseLabel { target, whole, ..self.clone() }
    }
}
