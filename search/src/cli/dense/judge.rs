//! What is found, compared with what is there: all that the meters of detection and segmentation know.

use anyhow::Result;
use mobilenas_dense::metrics::ConfusionMatrix;
use mobilenas_dense::metrics::coco::{CocoEvaluator, CocoScores};
use mobilenas_task::{AveragePrecision, InstancePrecision, Meter as _, Outputs, Overlap, Targets};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Does;

/// What is found, compared with what is there.
pub(super) enum Judge {
    Boxes(AveragePrecision),
    Instances(Box<InstancePrecision>),
    Maps(Overlap),
}

/// COCO's twelve numbers by masks, in pycocotools' order.
const MASK_NAMES: [&str; 12] = [
    "mask AP",
    "mask AP50",
    "mask AP75",
    "mask AP_small",
    "mask AP_medium",
    "mask AP_large",
    "mask AR1",
    "mask AR10",
    "mask AR100",
    "mask AR_small",
    "mask AR_medium",
    "mask AR_large",
];

fn of_categories(scores: CocoScores) -> Vec<(usize, f64)> {
    scores.ap_of_category.into_iter().map(|(c, v)| (c as usize, v)).collect()
}

/// What a process has compared, for another one.
#[derive(Serialize, Deserialize)]
pub(super) enum Compared {
    Boxes(CocoEvaluator<[f64; 4]>),
    Maps(Option<ConfusionMatrix>, u64),
}

impl Judge {
    pub(super) fn new(does: Does) -> Judge {
        match does {
            Does::Detect(how) => Judge::Boxes(AveragePrecision::new(how)),
            Does::Instances(how) => Judge::Instances(Box::new(InstancePrecision::new(*how))),
            Does::Segment(how) => Judge::Maps(Overlap::new(how)),
        }
    }

    pub(super) fn take(&mut self, outputs: &Outputs, targets: &Targets) -> Result<()> {
        Ok(match self {
            Judge::Boxes(meter) => meter.update(outputs, targets),
            Judge::Instances(meter) => meter.update(outputs, targets),
            Judge::Maps(meter) => meter.update(outputs, targets),
        }?)
    }

    pub(super) fn compared(&self) -> Compared {
        match self {
            Judge::Boxes(meter) => Compared::Boxes(meter.evaluator().clone()),
            // They are judged by one process.
            Judge::Instances(meter) => Compared::Boxes(meter.evaluators().0.clone()),
            Judge::Maps(meter) => Compared::Maps(meter.matrix().cloned(), meter.samples()),
        }
    }

    /// Adds what another process has compared.
    pub(super) fn add(&mut self, other: Compared) {
        match (self, other) {
            (Judge::Boxes(meter), Compared::Boxes(images)) => meter.add(images),
            (Judge::Maps(meter), Compared::Maps(Some(matrix), images)) => meter.add(&matrix, images),
            // Nothing was seen; and all processes judge the same network.
            (Judge::Boxes(_) | Judge::Instances(_) | Judge::Maps(_), _) => {}
        }
    }

    pub(super) fn images(&self) -> u64 {
        match self {
            Judge::Boxes(meter) => meter.samples(),
            Judge::Instances(meter) => meter.samples(),
            Judge::Maps(meter) => meter.samples(),
        }
    }

    pub(super) fn metrics(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Judge::Boxes(meter) => meter.scores().named().to_vec(),
            Judge::Instances(meter) => {
                let [boxes, masks] = meter.scores().map(|s| s.named());
                boxes.into_iter().chain(MASK_NAMES.into_iter().zip(masks.map(|(_, value)| value))).collect()
            }
            Judge::Maps(meter) => {
                let of = |f: fn(&ConfusionMatrix) -> Option<f64>| meter.matrix().and_then(f);
                vec![("mIoU", of(ConfusionMatrix::mean_iou)), ("pixel accuracy", of(ConfusionMatrix::pixel_accuracy))]
            }
        }
    }

    /// Average precision, of boxes or, where there are, of masks, or IoU of each class that occurs.
    pub(super) fn of_classes(&self) -> Vec<(usize, f64)> {
        match self {
            Judge::Boxes(meter) => of_categories(meter.scores()),
            Judge::Instances(meter) => {
                let [_, masks] = meter.scores();
                of_categories(masks)
            }
            Judge::Maps(meter) => {
                let all = meter.matrix().map(ConfusionMatrix::iou).unwrap_or_default();
                all.into_iter().enumerate().filter_map(|(c, v)| Some((c, v?))).collect()
            }
        }
    }

    pub(super) fn json(&self, out: &mut Json, classes: &[String]) {
        for (name, value) in self.metrics() {
            out[name.to_lowercase().replace(' ', "_")] = value.into();
        }
        let of = |(class, value): (usize, f64)| json!({ "index": class, "class": classes.get(class), "value": value });
        out["per_class"] = self.of_classes().into_iter().map(of).collect();
    }
}
