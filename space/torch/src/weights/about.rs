//! Tensors by name, the words about them, and the checksum of both.

use std::collections::BTreeMap;
use std::path::Path;

use tch::Tensor;

use crate::error::NetError;

/// Tensors by name.
pub type Named = BTreeMap<String, Tensor>;

/// Words about them.
pub type About = BTreeMap<String, String>;

/// An error about a file.
pub(super) fn file(path: &Path, found: impl std::fmt::Display, expected: &str) -> NetError {
    NetError::File { path: path.display().to_string(), found: found.to_string(), expected: expected.to_string() }
}

/// The word that holds the checksum of the other words and of all tensors.
pub(super) const CHECKSUM: &str = "checksum";

/// CRC-32 of the words, and of each tensor's name and bytes in the order of the names.
pub(super) struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub(super) fn of(about: &About) -> Checksum {
        let mut sum = crc32fast::Hasher::new();
        for (key, value) in about {
            sum.update(key.as_bytes());
            sum.update(value.as_bytes());
        }
        Checksum(sum)
    }

    pub(super) fn add(&mut self, name: &str, data: &[u8]) {
        self.0.update(name.as_bytes());
        self.0.update(data);
    }

    pub(super) fn text(self) -> String {
        format!("{:08x}", self.0.finalize())
    }

    pub(super) fn check(self, expected: &str, path: &Path) -> Result<(), NetError> {
        match self.text() {
            found if found == expected => Ok(()),
            found => Err(file(path, format!("damaged (its checksum is {found})"), &format!("checksum {expected}"))),
        }
    }
}

/// The header's entry that holds the words about the tensors, as a JSON object of texts.
pub(super) const ABOUT: &str = "mobilenas";
