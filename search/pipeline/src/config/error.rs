//! What is wrong with a config.

use std::path::PathBuf;

use mobilenas_host::{Problems, printable};

/// A config that cannot be used: the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read as text.
    #[error("{}: {found}, expected a YAML file in UTF-8", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
    },
    /// A space that the config does not have, or none of several.
    #[error("{}: found the space {found}, expected {expected}", file.display())]
    Space {
        /// The file.
        file: PathBuf,
        /// The name.
        found: String,
        /// What there is.
        expected: String,
    },
    /// The text is no YAML.
    #[error("{}{}: {}", file.display(), place(*line), printable(message))]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line; 0 if the parser does not say.
        line: u64,
        /// What was found and what was expected.
        message: String,
    },
    /// The YAML does not say what it should.
    #[error(transparent)]
    Problems(#[from] Problems),
}

fn place(line: u64) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}
