//! Detections inside the file: what follows the outputs of a single-shot detector, as ONNX operators.

use mobilenas_space::ir::Value;

use super::error::OnnxError;
use super::lower::Lowering;
use super::options::{Batch, Detections};
use super::proto::{Attribute, Size, ValueInfo, kind};
use super::writer::value_info;

/// Names of the outputs of a file with detections: corners, probabilities, classes.
pub const DETECTIONS: [&str; 3] = ["boxes", "scores", "labels"];
/// Name of the axis with as many places as there are detections.
const FOUND: &str = "detections";

/// An output of the network with its ONNX value.
struct Output<'a> {
    name: String,
    value: &'a Value,
}

impl Lowering<'_> {
    fn output(&self, name: &'static str, columns: Option<u32>, anchors: usize) -> Result<Output<'_>, OnnxError> {
        let graph = self.graph;
        let found = graph.outputs.iter().find(|o| o.name == name);
        let found = found.ok_or_else(|| OnnxError::NoDetector { found: format!("no output {name}") })?;
        let value = &graph.nodes[found.node].value;
        let fits = matches!(value.dims[..], [n, c] if n as usize == anchors && columns.is_none_or(|k| k == c));
        match fits {
            true => Ok(Output { name: self.value(found.node), value }),
            false => Err(OnnxError::NoDetector { found: format!("{name} {:?} for {anchors} anchors", value.dims) }),
        }
    }

    /// Appends what makes detections of the outputs `boxes` and `scores`, and describes the file's outputs.
    pub(super) fn detections(&mut self, how: &Detections) -> Result<Vec<ValueInfo>, OnnxError> {
        if self.options.batch != Batch::Fixed(1) {
            return Err(OnnxError::NoDetector { found: "a batch of several images".to_string() });
        }
        let offsets = self.output("boxes", Some(4), how.anchors.len())?.name;
        let logits = self.output("scores", None, how.anchors.len())?;
        let (logits, classes) = (logits.name, logits.value.channels());
        self.w.at("detections".to_string());
        let boxes = self.decoded(&offsets, how);
        let scores = self.probabilities(&logits, classes);
        let kept = self.suppressed(&boxes, &scores, how, classes);
        self.best(&boxes, &scores, &kept, how);
        let found = || Size::Param(FOUND.to_string());
        let [boxes, scores, labels] = DETECTIONS;
        Ok(vec![
            value_info(boxes, kind::FLOAT, found(), &[4]),
            value_info(scores, kind::FLOAT, found(), &[]),
            value_info(labels, kind::INT64, found(), &[]),
        ])
    }

    /// A number for both columns of each anchor.
    fn of_anchors(&mut self, name: &str, how: &Detections, numbers: impl Fn(&[f64; 4]) -> [f64; 2]) -> String {
        let raw = how.anchors.iter().flat_map(numbers).flat_map(|v| (v as f32).to_le_bytes()).collect();
        self.w.tensor(format!("anchors.{name}"), kind::FLOAT, &[how.anchors.len() as i64, 2], raw)
    }

    /// Corners of all anchors' boxes, `[1, N, 4]`.
    fn decoded(&mut self, offsets: &str, how: &Detections) -> String {
        let factor = self.of_anchors("center_factor", how, |[.., w, h]| [w, h].map(|side| side * how.center_variance));
        let center = self.of_anchors("center", how, |[cx, cy, ..]| [*cx, *cy]);
        let half = self.of_anchors("half_side", how, |[.., w, h]| [w, h].map(|side| side / 2.0));
        let moved = self.slice_axis(offsets, 2, 0, 2);
        let moved = self.w.node("Mul", &[&moved, &factor], vec![]);
        let center = self.w.node("Add", &[&moved, &center], vec![]);
        let log = self.slice_axis(offsets, 2, 2, 2);
        let variance = self.w.number(how.side_variance as f32);
        let mut log = self.w.node("Mul", &[&log, &variance], vec![]);
        if how.max_log.is_finite() {
            let most = self.w.number(how.max_log as f32);
            log = self.w.node("Min", &[&log, &most], vec![]);
        }
        let ratio = self.w.node("Exp", &[&log], vec![]);
        let half = self.w.node("Mul", &[&ratio, &half], vec![]);
        let corners = ["Sub", "Add"].map(|op| self.w.node(op, &[&center, &half], vec![]));
        self.w.node("Concat", &[&corners[0], &corners[1]], vec![Attribute::int("axis", 2)])
    }

    /// Probabilities of all classes but the background, `[1, classes - 1, N]`.
    fn probabilities(&mut self, logits: &str, classes: u32) -> String {
        let all = self.w.node("Softmax", &[logits], vec![Attribute::int("axis", 2)]);
        let objects = self.slice_axis(&all, 2, 1, classes.saturating_sub(1));
        self.transpose(&objects, &[0, 2, 1])
    }

    /// Image, class and anchor of what non-maximum suppression keeps, `[M, 3]`: class by class, the best first.
    fn suppressed(&mut self, boxes: &str, scores: &str, how: &Detections, classes: u32) -> String {
        let anchors = how.anchors.len() as i64;
        let most = how.candidates_per_class.map_or(anchors, |n| n as i64);
        let mut candidates = scores.to_string();
        if most < anchors {
            // The others get the probability 0, which is above no threshold.
            let size = self.w.ints(&[1, i64::from(classes.saturating_sub(1)), anchors]);
            let nothing = self.w.node("ConstantOfShape", &[&size], vec![]);
            let most = self.w.ints(&[most]);
            let [best, places] = self.top(scores, &most, 2);
            let axis = Attribute::int("axis", 2);
            candidates = self.w.node("ScatterElements", &[&nothing, &places, &best], vec![axis]);
        }
        let kept = self.w.ints(&[how.per_class.map_or(anchors, |n| n as i64)]);
        let [iou, threshold] = [how.nms_iou, how.score_threshold].map(|v| self.w.vector(v as f32));
        self.w.node("NonMaxSuppression", &[boxes, &candidates, &kept, &iou, &threshold], vec![])
    }

    /// Names the outputs: the best of what was kept, the best first.
    fn best(&mut self, boxes: &str, scores: &str, kept: &str, how: &Detections) {
        let [out_boxes, out_scores, out_labels] = DETECTIONS;
        let all = self.w.node("GatherND", &[scores, kept], vec![]);
        let mut count = self.w.node("Shape", &[&all], vec![]);
        if let Some(most) = how.per_image {
            let most = self.w.ints(&[most as i64]);
            count = self.w.node("Min", &[&count, &most], vec![]);
        }
        let [best, places] = self.top(&all, &count, 0);
        self.w.node("Identity", &[&best], vec![]);
        self.w.rename_last(out_scores);
        let kept = self.w.node("Gather", &[kept, &places], vec![Attribute::int("axis", 0)]);
        let [one, two] = [1, 2].map(|i| self.w.int(i));
        let class = self.w.node("Gather", &[&kept, &one], vec![Attribute::int("axis", 1)]);
        self.w.node("Add", &[&class, &one], vec![]);
        self.w.rename_last(out_labels);
        let anchor = self.w.node("Gather", &[&kept, &two], vec![Attribute::int("axis", 1)]);
        let rows = self.reshape(boxes, &[-1, 4]);
        let rows = self.w.node("Gather", &[&rows, &anchor], vec![Attribute::int("axis", 0)]);
        let [low, high] = [0.0, 1.0].map(|v| self.w.number(v));
        self.w.node("Clip", &[&rows, &low, &high], vec![]);
        self.w.rename_last(out_boxes);
    }

    /// The largest values along an axis and their places, the largest first; of equal ones the first.
    fn top(&mut self, x: &str, count: &str, axis: i64) -> [String; 2] {
        self.w.pair("TopK", &[x, count], vec![Attribute::int("axis", axis)])
    }
}
