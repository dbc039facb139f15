//! Boxes as offsets from their anchors, and back.

use crate::{BBox, CenterBox};

/// How offsets are scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coder {
    /// Variance of the centre: its offset over the anchor's side is divided by this.
    pub center: f64,
    /// Variance of the sides: the logarithm of their ratio is divided by this.
    pub size: f64,
    /// Largest logarithm of a ratio of sides that is decoded.
    pub max_log: f64,
}

impl Coder {
    /// cvnets': nothing is cut off.
    pub const CVNETS: Coder = Coder { center: 0.1, size: 0.2, max_log: f64::INFINITY };

    /// torchvision's: a box is at most 62.5 times its anchor's side.
    pub fn torchvision() -> Coder {
        Coder { max_log: (1000.0f64 / 16.0).ln(), ..Coder::CVNETS }
    }

    /// The offsets of a box: right, down, width, height.
    pub fn encode(&self, bbox: &BBox, anchor: &CenterBox) -> [f64; 4] {
        let b = CenterBox::from(*bbox);
        [
            (b.cx - anchor.cx) / anchor.w / self.center,
            (b.cy - anchor.cy) / anchor.h / self.center,
            (b.w / anchor.w).ln() / self.size,
            (b.h / anchor.h).ln() / self.size,
        ]
    }

    /// The box of offsets.
    pub fn decode(&self, offsets: [f64; 4], anchor: &CenterBox) -> BBox {
        let side = |offset: f64, side: f64| (offset * self.size).min(self.max_log).exp() * side;
        let decoded = CenterBox {
            cx: offsets[0] * self.center * anchor.w + anchor.cx,
            cy: offsets[1] * self.center * anchor.h + anchor.cy,
            w: side(offsets[2], anchor.w),
            h: side(offsets[3], anchor.h),
        };
        decoded.corners()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_undoes_encoding() {
        let anchor = CenterBox { cx: 0.3, cy: 0.6, w: 0.2, h: 0.4 };
        let b = BBox::new(0.25, 0.1, 0.75, 0.9);
        let offsets = Coder::CVNETS.encode(&b, &anchor);
        assert!((offsets[0] - 10.0).abs() < 1e-12 && (offsets[3] - 2f64.ln() * 5.0).abs() < 1e-12, "{offsets:?}");
        let back = Coder::CVNETS.decode(offsets, &anchor);
        assert!(back.xyxy().iter().zip(b.xyxy()).all(|(a, b)| (a - b).abs() < 1e-15), "{back:?}");
    }

    #[test]
    fn torchvision_bounds_the_sides() {
        let anchor = CenterBox { cx: 0.5, cy: 0.5, w: 0.1, h: 0.1 };
        let wide = Coder::torchvision().decode([0.0, 0.0, 1e3, 0.0], &anchor);
        assert!((wide.width() - 6.25).abs() < 1e-12 && (wide.height() - 0.1).abs() < 1e-15, "{wide:?}");
        assert!(Coder::CVNETS.decode([0.0, 0.0, 30.0, 0.0], &anchor).width() > 40.0);
    }
}
