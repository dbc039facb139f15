//! What is found, compared with what is there: all that the meters of detection and segmentation know.

use anyhow::Result;
use mobilenas_dense::metrics::ConfusionMatrix;
use mobilenas_dense::metrics::coco::CocoEvaluator;
use mobilenas_task::{AveragePrecision, Meter as _, Outputs, Overlap, Targets};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Does;

/// What is found, compared with what is there.
pub(super) enum Judge {
    Boxes(AveragePrecision),
    Maps(Overlap),
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
            Does::Segment(how) => Judge::Maps(Overlap::new(how)),
        }
    }

    pub(super) fn take(&mut self, outputs: &Outputs, targets: &Targets) -> Result<()> {
        Ok(match self {
            Judge::Boxes(meter) => meter.update(outputs, targets),
            Judge::Maps(meter) => meter.update(outputs, targets),
        }?)
    }

    pub(super) fn compared(&self) -> Compared {
        match self {
            Judge::Boxes(meter) => Compared::Boxes(meter.evaluator().clone()),
            Judge::Maps(meter) => Compared::Maps(meter.matrix().cloned(), meter.samples()),
        }
    }

    /// Adds what another process has compared.
    pub(super) fn add(&mut self, other: Compared) {
        match (self, other) {
            (Judge::Boxes(meter), Compared::Boxes(images)) => meter.add(images),
            (Judge::Maps(meter), Compared::Maps(Some(matrix), images)) => meter.add(&matrix, images),
            (Judge::Boxes(_), Compared::Maps(..)) | (Judge::Maps(_), Compared::Boxes(_) | Compared::Maps(None, _)) => {}
        }
    }

    pub(super) fn images(&self) -> u64 {
        match self {
            Judge::Boxes(meter) => meter.samples(),
            Judge::Maps(meter) => meter.samples(),
        }
    }

    pub(super) fn metrics(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Judge::Boxes(meter) => meter.scores().named().to_vec(),
            Judge::Maps(meter) => {
                let of = |f: fn(&ConfusionMatrix) -> Option<f64>| meter.matrix().and_then(f);
                vec![("mIoU", of(ConfusionMatrix::mean_iou)), ("pixel accuracy", of(ConfusionMatrix::pixel_accuracy))]
            }
        }
    }

    /// Average precision or IoU of each class that occurs.
    pub(super) fn of_classes(&self) -> Vec<(usize, f64)> {
        match self {
            Judge::Boxes(meter) => meter.scores().ap_of_category.into_iter().map(|(c, v)| (c as usize, v)).collect(),
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
