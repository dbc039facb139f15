//! COCO's twelve numbers.

/// The twelve numbers, each from 0 to 1, none where no truth counts: average precision (mean over thresholds, points of
/// recall and categories with truth) and average recall.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CocoScores {
    /// At all thresholds.
    pub ap: Option<f64>,
    /// At IoU 0.5.
    pub ap50: Option<f64>,
    /// At IoU 0.75.
    pub ap75: Option<f64>,
    /// Of objects of less than 32 x 32 pixels.
    pub ap_small: Option<f64>,
    /// Of those between.
    pub ap_medium: Option<f64>,
    /// Of objects of more than 96 x 96 pixels.
    pub ap_large: Option<f64>,
    /// Recall of the best detection of a class and image.
    pub ar1: Option<f64>,
    /// Of the best ten.
    pub ar10: Option<f64>,
    /// Of the best hundred.
    pub ar100: Option<f64>,
    /// Of those, small objects.
    pub ar_small: Option<f64>,
    /// Medium ones.
    pub ar_medium: Option<f64>,
    /// Large ones.
    pub ar_large: Option<f64>,
    /// Average precision of each category with truth.
    pub ap_of_category: Vec<(u32, f64)>,
}

impl CocoScores {
    /// The twelve numbers with their names, in pycocotools' order.
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("AP", self.ap),
            ("AP50", self.ap50),
            ("AP75", self.ap75),
            ("AP_small", self.ap_small),
            ("AP_medium", self.ap_medium),
            ("AP_large", self.ap_large),
            ("AR1", self.ar1),
            ("AR10", self.ar10),
            ("AR100", self.ar100),
            ("AR_small", self.ar_small),
            ("AR_medium", self.ar_medium),
            ("AR_large", self.ar_large),
        ]
    }
}
