//! What objects are compared by.

use crate::BBox;
use crate::mask::Rle;

/// A box or a mask.
pub trait Region: Sync + Send {
    /// Its area, which decides whether a detection that finds nothing is small.
    fn area(&self) -> f64;

    /// The IoU of a detection with a truth; with a crowd, the part of the detection that lies in it.
    fn iou(&self, truth: &Self, crowd: bool) -> f64;
}

/// Left, top, width and height, as COCO's files have a box: sums of them are rounded as pycocotools rounds them.
impl Region for [f64; 4] {
    fn area(&self) -> f64 {
        self[2] * self[3]
    }

    fn iou(&self, truth: &[f64; 4], crowd: bool) -> f64 {
        let side = |k: usize| (self[k + 2] + self[k]).min(truth[k + 2] + truth[k]) - self[k].max(truth[k]);
        let (w, h) = (side(0), side(1));
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let shared = w * h;
        shared / if crowd { self.area() } else { self.area() + truth.area() - shared }
    }
}

impl Region for BBox {
    fn area(&self) -> f64 {
        self.xywh().area()
    }

    fn iou(&self, truth: &BBox, crowd: bool) -> f64 {
        self.xywh().iou(&truth.xywh(), crowd)
    }
}

/// Masks of other sizes never match.
impl Region for Rle {
    fn area(&self) -> f64 {
        Rle::area(self) as f64
    }

    fn iou(&self, truth: &Rle, crowd: bool) -> f64 {
        if (self.width(), self.height()) != (truth.width(), truth.height()) {
            return 0.0;
        }
        let shared = self.intersection(truth);
        let all = if crowd { Rle::area(self) } else { Rle::area(self) + Rle::area(truth) - shared };
        if shared == 0 { 0.0 } else { shared as f64 / all as f64 }
    }
}
