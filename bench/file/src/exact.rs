//! What is exactly known about a model file: numbers that no machine changes, and its outputs within a tolerance.

use std::collections::BTreeMap;

use mobilenas_space::formula::noise;
use serde::{Deserialize, Serialize};

use crate::{FileError, ModelFile, Output};

/// What is known without running a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its inputs as `NAME: KIND[SIZES]`, in order.
    pub inputs: Vec<String>,
    /// Its outputs, where the file tells.
    pub outputs: Vec<String>,
    /// Versions of its operator sets by domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub opset: BTreeMap<String, i64>,
    /// How often each operator occurs.
    pub ops: BTreeMap<String, u64>,
    /// Digest of operators, attributes and what reads what.
    pub graph: String,
    /// Elements of its weights.
    pub params: u64,
    /// Their bytes.
    pub weight_bytes: u64,
    /// Their digest.
    pub weights: String,
    /// Multiply-accumulates of one run, as far as sizes are known; none where the format does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Operators that multiply, or may, and are not in `macs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_macs: Vec<String>,
}

/// What is exactly known about a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileExact {
    /// Its format.
    pub format: String,
    /// The inputs that everything here is of: `images float32 1x3x224x224`.
    pub fed: Vec<String>,
    /// What is known without running it.
    pub facts: Facts,
    /// Its outputs; absent where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<OutputNumbers>>,
}

/// An output in a few numbers, which any change of any element moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputNumbers {
    /// Its name.
    pub name: String,
    /// Its kind and sizes: `float32[1, 1000]`.
    pub shape: String,
    /// Elements that are infinite or no numbers; they count as zeros in what follows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// Its Euclidean norm.
    pub norm: f64,
    /// Its products with vectors of noise.
    pub projections: Vec<f64>,
    /// Its first numbers.
    pub first: Vec<f64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Products with noise that are kept: a change that all of them miss has to be at right angles to each.
const PROJECTIONS: usize = 4;
/// Numbers that are kept.
const FIRST: usize = 8;

impl OutputNumbers {
    /// An output in a few numbers.
    pub fn of(output: &Output) -> OutputNumbers {
        let finite: Vec<f64> = output.numbers.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
        let project = |i| noise(&format!("projection {i}"), finite.len()).zip(&finite).map(|(a, b)| a * b).sum();
        let dims = output.dims.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        OutputNumbers {
            name: output.name.clone(),
            shape: format!("{}[{dims}]", output.kind),
            not_finite: output.numbers.iter().filter(|v| !v.is_finite()).count() as u64,
            norm: finite.iter().map(|v| v * v).sum::<f64>().sqrt(),
            projections: (0..PROJECTIONS).map(project).collect(),
            first: finite.iter().take(FIRST).copied().collect(),
        }
    }

    /// How far two are apart, relative to the norm.
    pub fn distance(&self, other: &OutputNumbers) -> f64 {
        if self.shape != other.shape || self.not_finite != other.not_finite {
            return f64::INFINITY;
        }
        let numbers = |of: &OutputNumbers| [of.projections.clone(), of.first.clone(), vec![of.norm]].concat();
        let apart = numbers(self).iter().zip(numbers(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if apart == 0.0 { 0.0 } else { apart / self.norm.max(f64::MIN_POSITIVE) }
    }
}

impl FileExact {
    /// Works everything out; outputs where they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read, sizes are missing, or the library refuses it.
    pub fn of(file: &ModelFile, outputs: bool) -> Result<FileExact, FileError> {
        let format = file.format()?;
        let inputs = format.inputs(file)?;
        let facts = format.facts(file, &inputs)?;
        let values = match outputs {
            true => Some(format.load(file, &inputs, 1)?.outputs()?.iter().map(OutputNumbers::of).collect()),
            false => None,
        };
        let fed = inputs.iter().map(crate::Input::in_words).collect();
        Ok(FileExact { format: format.name().to_string(), fed, facts, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> OutputNumbers {
        let dims = vec![values.len() as i64];
        OutputNumbers::of(&Output { name: "y".into(), kind: "float32".into(), dims, numbers: values.to_vec() })
    }

    #[test]
    fn every_element_moves_the_numbers() {
        let was: Vec<f64> = (0..1000).map(|i| f64::from(i % 7) - 3.0).collect();
        for at in [0, 8, 500, 999] {
            let mut is = was.clone();
            is[at] += 0.1;
            let apart = numbers(&was).distance(&numbers(&is));
            assert!(apart > 1e-5 && apart < 0.1, "{at}: {apart}");
        }
        let mut swapped = was.clone();
        swapped.swap(500, 501);
        assert!(numbers(&was).distance(&numbers(&swapped)) > 1e-4, "its norm and its first numbers are the same");
        assert!(numbers(&was).distance(&numbers(&was)).abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let masked = numbers(&[1.0, f64::NEG_INFINITY, f64::NAN]);
        assert_eq!((masked.not_finite, masked.norm), (2, 1.0));
        assert!(masked.distance(&numbers(&[1.0, 0.0, 0.0])).is_infinite());
        assert!(masked.distance(&masked).abs() < f64::MIN_POSITIVE);
    }
}
