//! What a dataset holds.

use std::path::PathBuf;

use super::damage::notes;
use super::{Damaged, MapRule};
use crate::mask::Rle;
use crate::{BBox, DenseError};

/// A split of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseDataset {
    /// Where it was read from: a file or a folder.
    pub path: PathBuf,
    /// The images.
    pub images: Vec<ImageEntry>,
    /// The classes of objects; an object has the place of its class. Empty where there are only class maps.
    pub classes: Vec<Class>,
    /// How class maps are read, where there are any.
    pub maps: Option<MapRule>,
    /// What was left out.
    pub damaged: Vec<Damaged>,
}

/// A class of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its id in the files: COCO's are not contiguous.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// An image with what it is labelled with.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageEntry {
    /// Its id; by it, images are in order.
    pub id: u64,
    /// Its file.
    pub path: PathBuf,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Its objects, in the order of the file.
    pub objects: Vec<Object>,
    /// The file of its class map.
    pub map: Option<PathBuf>,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Left, top, width and height in pixels; may reach a pixel beyond the image.
    pub xywh: [f64; 4],
    /// The place of its class among the dataset's, from 0.
    pub class: u32,
    /// Its area, by which metrics tell small from large: of the mask where COCO states it, else of the box.
    pub area: f64,
    /// Whether it stands for many objects.
    pub crowd: bool,
    /// Whether VOC calls it difficult: it counts in no metric of VOC's.
    pub difficult: bool,
    /// Whether VOC calls it truncated: part of it lies outside of the image.
    pub truncated: bool,
    /// Its mask.
    pub shape: Option<Shape>,
}

impl Object {
    /// A plain object with a box.
    pub fn of_box(xywh: [f64; 4], class: u32) -> Object {
        let area = xywh[2] * xywh[3];
        Object { xywh, class, area, crowd: false, difficult: false, truncated: false, shape: None }
    }

    /// Its box by the corners.
    pub fn bbox(&self) -> BBox {
        BBox::from_xywh(self.xywh)
    }
}

/// A mask as the files have it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Corners x, y, x, y, ... of one polygon or several.
    Polygons(Vec<Vec<f64>>),
    /// Run lengths.
    Rle(Rle),
}

impl Shape {
    /// The mask in an image of a size.
    ///
    /// # Errors
    /// When a polygon is none.
    pub fn rle(&self, height: usize, width: usize) -> Result<Rle, DenseError> {
        match self {
            Shape::Polygons(p) => Rle::of_polygons(height, width, p),
            Shape::Rle(rle) => Ok(rle.clone()),
        }
    }
}

impl DenseDataset {
    /// What a user has to know: what was left out.
    pub fn notes(&self) -> Vec<String> {
        notes(&self.path, &self.damaged)
    }

    /// Number of objects.
    pub fn objects(&self) -> usize {
        self.images.iter().map(|i| i.objects.len()).sum()
    }
}
