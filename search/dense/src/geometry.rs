//! Boxes. Their unit, pixels or parts of the image, is the caller's; a corner (0, 0) is the upper left of the image.

/// A box by its corners: `xyxy` in torchvision's words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BBox {
    /// Left.
    pub x1: f64,
    /// Top.
    pub y1: f64,
    /// Right.
    pub x2: f64,
    /// Bottom.
    pub y2: f64,
}

/// A box by its centre and sides: `cxcywh` in torchvision's words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CenterBox {
    /// Centre, to the right.
    pub cx: f64,
    /// Centre, down.
    pub cy: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl BBox {
    /// A box by its corners.
    pub fn new(x1: f64, y1: f64, x2: f64, y2: f64) -> BBox {
        BBox { x1, y1, x2, y2 }
    }

    /// From left, top, width and height: `xywh`, as COCO writes boxes.
    pub fn from_xywh([x, y, w, h]: [f64; 4]) -> BBox {
        BBox { x1: x, y1: y, x2: x + w, y2: y + h }
    }

    /// Left, top, width and height.
    pub fn xywh(&self) -> [f64; 4] {
        [self.x1, self.y1, self.width(), self.height()]
    }

    /// Left, top, right and bottom.
    pub fn xyxy(&self) -> [f64; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }

    /// Width.
    pub fn width(&self) -> f64 {
        self.x2 - self.x1
    }

    /// Height.
    pub fn height(&self) -> f64 {
        self.y2 - self.y1
    }

    /// Area.
    pub fn area(&self) -> f64 {
        self.width() * self.height()
    }

    /// Centre.
    pub fn center(&self) -> (f64, f64) {
        ((self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0)
    }

    /// The area that two boxes share.
    pub fn intersection(&self, other: &BBox) -> f64 {
        let w = (self.x2.min(other.x2) - self.x1.max(other.x1)).max(0.0);
        let h = (self.y2.min(other.y2) - self.y1.max(other.y1)).max(0.0);
        w * h
    }

    /// Intersection over union; `eps` is added to the union.
    pub fn iou(&self, other: &BBox, eps: f64) -> f64 {
        let shared = self.intersection(other);
        shared / (self.area() + other.area() - shared + eps)
    }

    /// Each coordinate times its axis' factor.
    pub fn scaled(&self, x: f64, y: f64) -> BBox {
        BBox { x1: self.x1 * x, y1: self.y1 * y, x2: self.x2 * x, y2: self.y2 * y }
    }

    /// Moved to the right and down.
    pub fn shifted(&self, x: f64, y: f64) -> BBox {
        BBox { x1: self.x1 + x, y1: self.y1 + y, x2: self.x2 + x, y2: self.y2 + y }
    }

    /// The part inside an image of a width and height.
    pub fn clipped(&self, width: f64, height: f64) -> BBox {
        let (x, y) = (|v: f64| v.clamp(0.0, width), |v: f64| v.clamp(0.0, height));
        BBox { x1: x(self.x1), y1: y(self.y1), x2: x(self.x2), y2: y(self.y2) }
    }
}

impl CenterBox {
    /// The same box by its corners.
    pub fn corners(&self) -> BBox {
        let (w, h) = (self.w / 2.0, self.h / 2.0);
        BBox { x1: self.cx - w, y1: self.cy - h, x2: self.cx + w, y2: self.cy + h }
    }
}

impl From<BBox> for CenterBox {
    fn from(b: BBox) -> CenterBox {
        let (cx, cy) = b.center();
        CenterBox { cx, cy, w: b.width(), h: b.height() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (a, b) = (BBox::new(0.0, 0.0, 4.0, 2.0), BBox::from_xywh([2.0, 1.0, 4.0, 4.0]));
        assert_eq!((a.area(), b.area(), a.intersection(&b)), (8.0, 16.0, 2.0));
        assert_eq!(a.iou(&b, 0.0), 2.0 / 22.0);
        assert_eq!(a.iou(&b, 3.0), 2.0 / 25.0);
        assert_eq!(a.intersection(&b.shifted(2.0, 0.0)), 0.0, "edges that touch share nothing");
        assert_eq!(b.clipped(5.0, 3.0), BBox::new(2.0, 1.0, 5.0, 3.0));
        assert_eq!(BBox::new(-9.0, 7.0, -1.0, 8.0).clipped(5.0, 3.0), BBox::new(0.0, 3.0, 0.0, 3.0));
        assert_eq!(CenterBox::from(b), CenterBox { cx: 4.0, cy: 3.0, w: 4.0, h: 4.0 });
        assert_eq!(CenterBox::from(b).corners(), b);
        assert_eq!(b.scaled(0.5, 2.0).xywh(), [1.0, 2.0, 2.0, 8.0]);
    }
}
