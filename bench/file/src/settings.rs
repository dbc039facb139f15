//! What configs say of a model file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model file that is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The file.
    pub file: PathBuf,
    /// Its format: onnx, torchscript, openvino or tflite; by the ending of its name if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Its name in tables and baselines; the file if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Sizes of its dynamic axes by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dims: BTreeMap<String, i64>,
    /// What is said of single inputs. TorchScript files need all of them, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputSetting>,
}

/// What is said of one input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSetting {
    /// Its name.
    pub name: String,
    /// Its sizes; those of the file if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Vec<i64>>,
    /// Its element type: float32, float16, float64, int64, int32, int8, uint8 or bool; that of the file if left out,
    /// float32 for TorchScript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The smallest value that it gets; -1.7 if left out, 0 for whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The largest value that it gets; 1.7 if left out, 1 for whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// A model file that the regression check guards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardedFile {
    /// The file.
    pub file: PathBuf,
    /// Its format: onnx, torchscript, openvino or tflite; by the ending of its name if left out.
    #[serde(default)]
    pub format: Option<String>,
    /// Its name in tables and baselines; the file if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Sizes of its dynamic axes by their names.
    #[serde(default)]
    pub dims: BTreeMap<String, i64>,
    /// What is said of single inputs. TorchScript files need all of them, in order.
    #[serde(default)]
    pub inputs: Vec<InputSetting>,
    /// The older file that it is compared with: exactly, unless a baseline's file has numbers of it, and in time.
    #[serde(default)]
    pub baseline: Option<PathBuf>,
    /// Distance within which outputs are the same, relative to their norm.
    #[serde(default = "tolerance")]
    #[schemars(range(min = 0, max = 1))]
    pub tolerance: f64,
    /// Metrics that may change with a warning only, such as weights and outputs of a model that is trained anew.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// Distance within which outputs are the same unless a config says otherwise. Kernels for other vector units add up in
/// another order: with float32, sums of thousands of products differ by some 1e-6 of their norm.
pub const TOLERANCE: f64 = 1e-4;

fn tolerance() -> f64 {
    TOLERANCE
}

impl GuardedFile {
    /// A file with nothing said beside.
    pub fn new(of: ModelFile) -> GuardedFile {
        let ModelFile { file, format, name, dims, inputs } = of;
        GuardedFile { file, format, name, dims, inputs, baseline: None, tolerance: TOLERANCE, allow: Vec::new() }
    }

    /// The file itself.
    pub fn model(&self) -> ModelFile {
        let GuardedFile { file, format, name, dims, inputs, .. } = self.clone();
        ModelFile { file, format, name, dims, inputs }
    }

    /// The older file, read as the newer one is.
    pub fn older(&self) -> Option<ModelFile> {
        let file = self.baseline.clone()?;
        Some(ModelFile { file, ..self.model() })
    }
}

impl ModelFile {
    /// Its name in tables and baselines.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.file.display().to_string())
    }

    /// What is said of an input.
    pub(crate) fn setting(&self, name: &str) -> Option<&InputSetting> {
        self.inputs.iter().find(|i| i.name == name)
    }
}
