//! Masks of objects: run lengths as COCO has them, and polygons. Pixel for pixel those of pycocotools.

mod polygon;
mod rle;
mod text;

pub use rle::Rle;
