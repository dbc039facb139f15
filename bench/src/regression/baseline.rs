//! The baseline's file: versioned JSON, one entry a model, made to be read in a diff.

use std::collections::BTreeMap;
use std::path::Path;

use mobilenas_file::FileExact;
use serde::{Deserialize, Serialize};

use super::exact::Exact;
use super::stored::StoredBaseline;
use mobilenas_host::json_file::{self, FileError};

/// Version of the file.
pub const SCHEMA: u32 = 1;

/// Accuracy on a fixed list of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Digest of the images' names, in order.
    pub images: String,
    /// How many they are.
    pub total: u64,
    /// How many were right.
    pub right: u64,
}

/// What was blessed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this format.
    pub schema: u32,
    /// The program that wrote it.
    pub program: String,
    /// Exact numbers by model.
    pub exact: BTreeMap<String, Exact>,
    /// Exact numbers of model files by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileExact>,
    /// Accuracy by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy: BTreeMap<String, Accuracy>,
    /// Instructions of one inference by model and engine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instructions: BTreeMap<String, u64>,
    /// Times, with the machine they were measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timed: Option<StoredBaseline>,
}

impl Baseline {
    /// One without entries.
    pub fn empty() -> Baseline {
        Baseline {
            schema: SCHEMA,
            program: concat!("mobilenas ", env!("CARGO_PKG_VERSION")).to_string(),
            exact: BTreeMap::new(),
            files: BTreeMap::new(),
            accuracy: BTreeMap::new(),
            instructions: BTreeMap::new(),
            timed: None,
        }
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is of another version.
    pub fn read(file: &Path) -> Result<Option<Baseline>, FileError> {
        json_file::read(file, SCHEMA, "a baseline that `mobilenas bench bless` wrote")
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), FileError> {
        json_file::write(file, json_file::text(file, self, true)?.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_read_strictly() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b.json");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Baseline::read(&file).map(Option::unwrap).map_err(|e| e.to_string().split_once(": ").unwrap().1.to_string())
        };
        Baseline::empty().write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(read(&text), Ok(Baseline::empty()));
        let exact = r#""exact": {"a": {"params": 1}}, "exact": {}"#;
        let twice = read(&text.replace("\"exact\": {}", exact)).unwrap_err();
        assert!(twice.starts_with("the key \"exact\" twice at line 4 ") && twice.ends_with(", expected each key once"));
        assert_eq!(read("{\"schema\": 9}").unwrap_err(), "schema 9, expected schema 1");
        assert_eq!(read("[]").unwrap_err(), "no schema, expected a baseline that `mobilenas bench bless` wrote");
    }
}
