//! What an ONNX file does after a detector's outputs.

use mobilenas_dense::DenseError;
use mobilenas_dense::ssd::{DetectionConfig, SsdRules};
use mobilenas_onnx::Detections;
use mobilenas_space::ir::Graph;

use super::ssd::map_sizes;

/// How the outputs of a detector become detections inside its ONNX file, by the rules that its head was published with.
///
/// # Errors
/// When the graph has not the feature maps of such a head.
pub fn detections(rules: SsdRules, graph: &Graph) -> Result<Detections, DenseError> {
    let maps: Vec<(usize, usize)> = map_sizes(graph).into_iter().map(|(h, w)| (h as usize, w as usize)).collect();
    let assigner = rules.assigner(&maps)?;
    let DetectionConfig { score_threshold, candidates_per_class, nms_iou, per_class, per_image } = rules.detections();
    Ok(Detections {
        anchors: assigner.anchors().iter().map(|a| [a.cx, a.cy, a.w, a.h]).collect(),
        center_variance: assigner.coder().center,
        side_variance: assigner.coder().size,
        max_log: assigner.coder().max_log,
        score_threshold,
        candidates_per_class,
        nms_iou,
        per_class,
        per_image,
    })
}
