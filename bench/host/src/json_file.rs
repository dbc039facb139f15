//! Versioned files of one JSON object: read strictly, written whole.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::problems::printable;
use crate::write::write_whole;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is there, and cannot be read.
    #[error("{}: {found}, expected {expected}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// It cannot be written.
    #[error("{}: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Reads a file whose `schema` is a version; `None` if there is none. `expected` names who wrote it.
///
/// # Errors
/// When it is there and cannot be read, holds a key twice, or is of another version.
pub fn read<T: DeserializeOwned>(file: &Path, schema: u32, expected: &str) -> Result<Option<T>, FileError> {
    let refuse = |found: String, expected: &str| FileError::Read {
        file: file.to_path_buf(),
        found: printable(&found),
        expected: expected.to_string(),
    };
    let text = match std::fs::read_to_string(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| refuse(e.to_string(), expected))?,
    };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| refuse(e.to_string(), expected))?;
    match json.get("schema") {
        Some(found) if *found == schema => {}
        Some(found) => return Err(refuse(format!("schema {found}"), &format!("schema {schema}"))),
        None => return Err(refuse("no schema".to_string(), expected)),
    }
    // Of a key that stands there twice, the reader above would take the last without a word.
    serde_json::from_str::<UniqueKeys>(&text).map_err(|e| refuse(e.to_string(), "each key once"))?;
    serde_json::from_value(json).map(Some).map_err(|e| refuse(e.to_string(), expected))
}

/// Writes bytes in one step.
///
/// # Errors
/// When the system refuses.
pub fn write(file: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_whole(file, bytes).map_err(|source| FileError::Write { file: file.to_path_buf(), source })
}

/// JSON of a value, with a line feed at its end.
///
/// # Errors
/// When the value cannot be JSON; `file` is named.
pub fn text(file: &Path, value: &impl Serialize, pretty: bool) -> Result<String, FileError> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let problem = |e: serde_json::Error| FileError::Write { file: file.to_path_buf(), source: e.into() };
    Ok(text.map_err(problem)? + "\n")
}

/// Any JSON whose objects hold each key once.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueKeys, D::Error> {
        deserializer.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("the key {key:?} twice")));
            }
            seen.insert(key);
            map.next_value::<UniqueKeys>()?;
        }
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<UniqueKeys, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }
}
