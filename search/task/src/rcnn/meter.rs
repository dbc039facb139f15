//! How good boxes and masks are.

use std::any::Any;

use mobilenas_dense::BBox;
use mobilenas_dense::mask::Rle;
use mobilenas_dense::metrics::coco::{CocoEvaluator, CocoScores, Found};
use mobilenas_dense::rcnn::Match;

use super::detected::dense;
use super::instances::Instances;
use super::read::{Read, numbers};
use crate::{Meter, Outputs, Targets, TaskError};

/// COCO's average precision of what is detected, by boxes and by masks.
#[derive(Debug)]
pub struct InstancePrecision {
    task: Instances,
    boxes: CocoEvaluator<[f64; 4]>,
    masks: CocoEvaluator<Rle>,
}

impl InstancePrecision {
    /// Of no images so far.
    pub fn new(task: Instances) -> InstancePrecision {
        InstancePrecision { task, boxes: CocoEvaluator::default(), masks: CocoEvaluator::default() }
    }

    /// What is counted, by boxes and by masks.
    pub fn evaluators(&self) -> (&CocoEvaluator<[f64; 4]>, &CocoEvaluator<Rle>) {
        (&self.boxes, &self.masks)
    }

    /// Adds images that others have counted.
    pub fn add(&mut self, boxes: CocoEvaluator<[f64; 4]>, masks: CocoEvaluator<Rle>) {
        self.boxes.merge(boxes);
        self.masks.merge(masks);
    }

    /// All of COCO's numbers, by boxes and by masks.
    pub fn scores(&self) -> [CocoScores; 2] {
        [self.boxes.scores(), self.masks.scores()]
    }
}

impl Meter for InstancePrecision {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let targets = dense(targets)?;
        for (label, found) in targets.labels.iter().zip(self.task.detect(outputs)?) {
            let entry = &label.entry;
            let own = |one: &mobilenas_dense::rcnn::Instance| one.in_image(found.size, entry.width, entry.height);
            let boxes: Vec<Found<[f64; 4]>> = found.instances.iter().map(own).collect();
            let size = (entry.width as usize, entry.height as usize);
            let mask = |(i, of): (usize, &Found<[f64; 4]>)| {
                let region = found.mask(i, size);
                Found { region, category: of.category, score: of.score }
            };
            self.masks.add(entry.id, entry.mask_truths()?, boxes.iter().enumerate().map(mask).collect());
            self.boxes.add(entry.id, entry.truths(), boxes);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<InstancePrecision>() {
            self.add(other.boxes.clone(), other.masks.clone());
        }
    }

    fn samples(&self) -> u64 {
        self.boxes.len() as u64
    }

    fn values(&self) -> Vec<f64> {
        let [boxes, masks] = self.scores();
        [boxes.ap, boxes.ap50, masks.ap].map(|v| 100.0 * v.unwrap_or(0.0)).to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Counts anchors with an object that are taken for one.
#[derive(Debug)]
pub(super) struct FoundAnchors {
    task: Instances,
    found: u64,
    anchors: u64,
    samples: u64,
}

impl FoundAnchors {
    pub(super) fn new(task: Instances) -> FoundAnchors {
        FoundAnchors { task, found: 0, anchors: 0, samples: 0 }
    }
}

impl Meter for FoundAnchors {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let (read, targets) = (Read::of(self.task.rules, outputs)?, dense(targets)?);
        let logits = numbers(read.logits)?;
        for (label, logits) in targets.labels.iter().zip(logits.chunks(read.anchors.len().max(1))) {
            let objects: Vec<BBox> = label.target.boxes.iter().map(|b| b.bbox).collect();
            let matches = read.rules.anchors.matches(&objects, &read.anchors);
            let with = matches.iter().zip(logits).filter(|(m, _)| matches!(m, Match::Object(_)));
            for (_, logit) in with {
                self.anchors += 1;
                self.found += u64::from(*logit > 0.0);
            }
        }
        self.samples += targets.labels.len() as u64;
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<FoundAnchors>() {
            self.found += other.found;
            self.anchors += other.anchors;
            self.samples += other.samples;
        }
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn values(&self) -> Vec<f64> {
        vec![100.0 * self.found as f64 / self.anchors.max(1) as f64]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
