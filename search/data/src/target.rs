//! What a sample is labelled with.

use std::sync::Arc;

use mobilenas_dense::DenseLabel;

/// The label of one sample. A geometric transform acts on it as it acts on the image; a class stays what it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The index of a class.
    Class(u32),
    /// Boxes and a class for each pixel.
    Dense(Arc<DenseLabel>),
}

impl Target {
    /// The class of a whole image, where that is what the sample has.
    pub fn class(&self) -> Option<u32> {
        match self {
            Target::Class(class) => Some(*class),
            Target::Dense(_) => None,
        }
    }

    /// Boxes and class map, where that is what the sample has.
    pub fn dense(&self) -> Option<&Arc<DenseLabel>> {
        match self {
            Target::Class(_) => None,
            Target::Dense(label) => Some(label),
        }
    }
}

/// What the images of a dataset are labelled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// A class an image.
    #[default]
    Classes,
    /// Boxes.
    Boxes,
    /// Boxes with masks.
    Masks,
    /// A class a pixel.
    ClassMaps,
}

impl Labels {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Labels::Classes => "a class for each image",
            Labels::Boxes => "boxes",
            Labels::Masks => "boxes with masks",
            Labels::ClassMaps => "class maps",
        }
    }
}
