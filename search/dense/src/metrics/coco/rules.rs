//! What COCO's metrics compare, and by which numbers.

use serde::{Deserialize, Serialize};

/// Thresholds of IoU: 0.5, 0.55, ... 0.95.
pub(super) const THRESHOLDS: usize = 10;
/// Points of recall: 0, 0.01, ... 1.
pub(super) const RECALLS: usize = 101;
/// Best detections of a class and image that count.
pub(super) const MOST: [usize; 3] = [1, 10, 100];
/// Areas that count: all, small, medium, large. Borders belong to both sides.
pub(super) const AREAS: [(f64, f64); 4] =
    [(0.0, 1e10), (0.0, 32.0 * 32.0), (32.0 * 32.0, 96.0 * 96.0), (96.0 * 96.0, 1e10)];

/// An object of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth<R> {
    /// Its box or mask.
    pub region: R,
    /// Its category.
    pub category: u32,
    /// The area that decides whether it is small: COCO takes that of the mask for boxes, too.
    pub area: f64,
    /// Whether it stands for many objects: what is found in it counts neither for nor against.
    pub crowd: bool,
}

/// What was found in an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found<R> {
    /// Its box or mask.
    pub region: R,
    /// Its category.
    pub category: u32,
    /// Its score.
    pub score: f64,
}
