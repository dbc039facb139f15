//! COCO's JSON, as much of it as is used.

use serde::Deserialize;

use crate::DenseError;
use crate::mask::Rle;

use super::Shape;

#[derive(Debug, Deserialize)]
pub(super) struct Json<S> {
    pub(super) images: Vec<Image>,
    pub(super) annotations: Vec<Annotation<S>>,
    pub(super) categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) file_name: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) id: u64,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation<S> {
    pub(super) id: Option<u64>,
    pub(super) image_id: u64,
    pub(super) category_id: u64,
    #[serde(default)]
    pub(super) bbox: Vec<f64>,
    pub(super) area: Option<f64>,
    #[serde(default)]
    pub(super) iscrowd: u8,
    pub(super) segmentation: Option<S>,
}

/// An object's mask in one of COCO's three forms.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    /// Height and width, and run lengths.
    Runs {
        size: [usize; 2],
        counts: Counts,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Counts {
    Text(String),
    Runs(Vec<u32>),
}

/// A mask, or none where masks are passed over.
pub(super) trait IntoShape {
    fn shape(self) -> Result<Option<Shape>, DenseError>;
}

impl IntoShape for serde::de::IgnoredAny {
    fn shape(self) -> Result<Option<Shape>, DenseError> {
        Ok(None)
    }
}

impl IntoShape for Segmentation {
    fn shape(self) -> Result<Option<Shape>, DenseError> {
        let shape = match self {
            Segmentation::Polygons(p) if p.is_empty() => return Ok(None),
            Segmentation::Polygons(p) => {
                // In an image of one pixel: corners are looked at, and next to nothing is drawn.
                Rle::of_polygons(1, 1, &p.iter().map(|c| c[..c.len().min(6)].to_vec()).collect::<Vec<_>>())?;
                Shape::Polygons(p)
            }
            Segmentation::Runs { size: [height, width], counts: Counts::Text(text) } => {
                Shape::Rle(Rle::from_text(height, width, &text)?)
            }
            Segmentation::Runs { size: [height, width], counts: Counts::Runs(runs) } => {
                Shape::Rle(Rle::new(height, width, runs)?)
            }
        };
        Ok(Some(shape))
    }
}
