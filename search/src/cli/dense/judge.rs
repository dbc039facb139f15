//! What is found, compared with what is there.

use anyhow::Result;
use mobilenas_dense::IGNORED;
use mobilenas_dense::metrics::ConfusionMatrix;
use mobilenas_dense::metrics::coco::CocoEvaluator;
use mobilenas_task::{Detection, Outputs, Segmentation, Targets};
use serde_json::{Value as Json, json};

use super::Does;

/// What is found, compared with what is there.
pub(super) enum Judge {
    Boxes(Detection, CocoEvaluator<[f64; 4]>),
    Maps(Segmentation, ConfusionMatrix),
}

impl Judge {
    pub(super) fn new(does: Does, classes: usize) -> Judge {
        match does {
            Does::Detect(how) => Judge::Boxes(how, CocoEvaluator::default()),
            Does::Segment(how) => Judge::Maps(how, ConfusionMatrix::new(classes)),
        }
    }

    pub(super) fn take(&mut self, outputs: &Outputs, targets: &Targets) -> Result<()> {
        let Targets::Dense(targets) = targets else { return Ok(()) };
        match self {
            Judge::Boxes(how, evaluator) => {
                for (label, found) in targets.labels.iter().zip(how.detect(outputs)?) {
                    let entry = &label.entry;
                    let found = found.iter().map(|d| d.in_image(entry.width, entry.height)).collect();
                    evaluator.add(entry.id, entry.truths(), found);
                }
            }
            Judge::Maps(how, matrix) => {
                let sizes: Vec<_> =
                    targets.labels.iter().map(|l| (l.entry.width as usize, l.entry.height as usize)).collect();
                for (label, guess) in targets.labels.iter().zip(how.class_maps(outputs, &sizes)?) {
                    let truth = label.whole.as_ref().map_or(&[][..], |m| m.labels.as_slice());
                    matrix.update(&guess, truth, IGNORED)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn metrics(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Judge::Boxes(_, evaluator) => evaluator.scores().named().to_vec(),
            Judge::Maps(_, matrix) => {
                vec![("mIoU", matrix.mean_iou()), ("pixel accuracy", matrix.pixel_accuracy())]
            }
        }
    }

    /// Average precision or IoU of each class that occurs.
    pub(super) fn of_classes(&self) -> Vec<(usize, f64)> {
        match self {
            Judge::Boxes(_, evaluator) => {
                evaluator.scores().ap_of_category.into_iter().map(|(c, v)| (c as usize, v)).collect()
            }
            Judge::Maps(_, matrix) => matrix.iou().into_iter().enumerate().filter_map(|(c, v)| Some((c, v?))).collect(),
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
