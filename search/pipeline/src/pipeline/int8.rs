//! What a trained network's int8 file scores, and the network as ONNX in both forms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mobilenas_host::write::write_whole;
use mobilenas_torch::Net;

use super::RunError;
use crate::evaluator::quantize;
use crate::experiment::Experiment;

/// The task's metrics of a network's int8 file by their names in rows: on the search-validation split, or on the test
/// split. Writes `KEPT.onnx` and `KEPT.int8.onnx` where they are to be kept.
///
/// # Errors
/// When ONNX Runtime or the disk refuses, or too many images are damaged.
pub(super) fn metrics(
    p: &Experiment,
    net: &Net,
    validation: bool,
    kept: Option<PathBuf>,
) -> Result<BTreeMap<String, f64>, RunError> {
    let (scoring, calibration) = (&p.config.scoring, p.calibration());
    let (images, indices, limit, prefix) = match validation {
        true => (&p.train, p.split.search_val.indices(), scoring.images.unwrap_or(usize::MAX), ""),
        false => (&p.test, p.test_split.indices(), usize::MAX, "test_"),
    };
    let scored = (images, &indices[..indices.len().min(limit)], scoring.batch);
    let found = quantize(net, (&p.train, &calibration), scored, p.task)?;
    if let Some(kept) = kept {
        for (bytes, ending) in [(&found.float32, "onnx"), (&found.int8, "int8.onnx")] {
            let path = kept.with_extension(ending);
            write_whole(&path, bytes).map_err(|error| RunError::Io { path, error })?;
        }
    }
    let named = p.task.metrics().iter().zip(&found.scores.values);
    Ok(named.map(|(m, value)| (format!("{prefix}{}_int8", m.name), *value)).collect())
}
