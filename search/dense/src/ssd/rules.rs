//! The two published sets of rules.

use super::{AnchorConfig, Assigner, Coder, DetectionConfig, Matcher};
use crate::{CenterBox, DenseError};

/// A published set of rules: anchors, matching, coding and what is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SsdRules {
    /// cvnets', of MobileViT's SSDLite.
    Cvnets,
    /// torchvision's, of MobileNetV3's SSDLite.
    Torchvision,
}

impl SsdRules {
    /// Anchors for maps of (rows, columns), and how boxes are matched and coded with them.
    ///
    /// # Errors
    /// When there are not six maps.
    pub fn assigner(self, maps: &[(usize, usize)]) -> Result<Assigner, DenseError> {
        let (matcher, coder) = match self {
            SsdRules::Cvnets => (Matcher::CVNETS, Coder::CVNETS),
            SsdRules::Torchvision => (Matcher::TORCHVISION, Coder::torchvision()),
        };
        let mut anchors = self.anchors().anchors(maps)?;
        if self == SsdRules::Torchvision {
            // It makes them in single precision, which decides among anchors of one shape around a small box.
            anchors.iter_mut().for_each(|a| *a = in_single_precision(a));
        }
        Ok(Assigner::new(anchors, matcher, coder))
    }

    /// Which anchors each map has.
    pub fn anchors(self) -> AnchorConfig {
        match self {
            SsdRules::Cvnets => AnchorConfig::cvnets(),
            SsdRules::Torchvision => AnchorConfig::torchvision(),
        }
    }

    /// Which boxes are detections.
    pub fn detections(self) -> DetectionConfig {
        match self {
            SsdRules::Cvnets => DetectionConfig::cvnets(),
            SsdRules::Torchvision => DetectionConfig::torchvision(),
        }
    }
}

fn in_single_precision(a: &CenterBox) -> CenterBox {
    let [cx, cy, w, h] = [a.cx, a.cy, a.w, a.h].map(|v| f64::from(v as f32));
    CenterBox { cx, cy, w, h }
}
