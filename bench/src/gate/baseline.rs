//! The baseline's file: versioned JSON, one entry a model, made to be read in a diff.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::GateError;
use super::exact::Exact;
use super::stored::Stored;

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
    /// Accuracy by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy: BTreeMap<String, Accuracy>,
    /// Instructions of one inference by model and engine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instructions: BTreeMap<String, u64>,
    /// Times, with the machine they were measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timed: Option<Stored>,
}

impl Baseline {
    /// One without entries.
    pub fn empty() -> Baseline {
        Baseline {
            schema: SCHEMA,
            program: concat!("mobilenas ", env!("CARGO_PKG_VERSION")).to_string(),
            exact: BTreeMap::new(),
            accuracy: BTreeMap::new(),
            instructions: BTreeMap::new(),
            timed: None,
        }
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is of another version.
    pub fn read(file: &Path) -> Result<Option<Baseline>, GateError> {
        let refuse = |found: String, expected: &str| GateError::Baseline {
            file: file.to_path_buf(),
            found,
            expected: expected.to_string(),
        };
        let text = match std::fs::read_to_string(file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| refuse(e.to_string(), "a baseline that `mobilenas bench bless` wrote"))?,
        };
        let expected = "a baseline that `mobilenas bench bless` wrote";
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| refuse(e.to_string(), expected))?;
        match json.get("schema").and_then(serde_json::Value::as_u64) {
            Some(v) if v == u64::from(SCHEMA) => {}
            Some(v) => return Err(refuse(format!("schema {v}"), &format!("schema {SCHEMA}"))),
            None => return Err(refuse("no schema".into(), expected)),
        }
        serde_json::from_value(json).map(Some).map_err(|e| refuse(e.to_string(), expected))
    }

    /// Writes the file beside, flushes it, and puts it in its place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), GateError> {
        // Maps of strings and numbers: making text of them cannot fail.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        super::output::replace(file, text.as_bytes())
    }
}
