//! Configs: strict YAML in, checked values out. The types here are the one description: the JSON schema, the messages and
//! the defaults all follow from them.

mod check;
mod defaults;
mod mistakes;
mod problems;
mod types;
pub mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

pub use problems::{Problem, Problems, nearest};
pub use types::*;
pub use yaml::Node;

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
    /// The text is no YAML.
    #[error("{}, line {line}: {message}, expected YAML", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// The YAML does not say what it should.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// A config with the tree it was read from, which knows the lines.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub file: PathBuf,
    /// The tree.
    pub tree: Node,
    /// The config, every default filled in.
    pub config: Config,
}

/// Larger files are no configs.
const LARGEST: u64 = 1 << 20;

fn schema_of<T: schemars::JsonSchema>() -> Json {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    Json::from(settings.into_generator().into_root_schema_for::<T>())
}

/// The JSON schema of a config, by which editors complete.
pub fn schema() -> Json {
    let mut schema = schema_of::<Config>();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".into(), "mobilenas search config".into());
    }
    schema
}

fn text(file: &Path) -> Result<String, ConfigError> {
    let bad = |found: String| ConfigError::File { file: file.to_path_buf(), found };
    let meta = fs::metadata(file).map_err(|e| bad(e.to_string()))?;
    if meta.is_dir() {
        return Err(bad("found a directory".into()));
    }
    if meta.len() > LARGEST {
        return Err(bad(format!("found {} bytes, at most {LARGEST} are read", meta.len())));
    }
    let bytes = fs::read(file).map_err(|e| bad(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        bad(format!("found bytes that are not UTF-8 on line {line}"))
    })?;
    if text.trim().is_empty() {
        return Err(bad("found an empty file".into()));
    }
    Ok(text)
}

/// Reads a YAML file as a type, strictly: all mistakes at once.
fn read<T: schemars::JsonSchema + serde::de::DeserializeOwned>(file: &Path) -> Result<(Node, T), ConfigError> {
    let tree = yaml::parse(&text(file)?).map_err(|e| ConfigError::Syntax {
        file: file.to_path_buf(),
        line: e.line,
        message: e.message,
    })?;
    let mut problems = Problems::new(file);
    let schema = schema_of::<T>();
    let json = check::Checker { schema: &schema, root: &tree, problems: &mut problems }.run();
    problems.none()?;
    let value = serde_json::from_value(json).map_err(|e| {
        // The schema describes this very type; what it lets pass and serde does not is named as serde names it.
        let mut p = Problems::new(file);
        p.add(&tree, &[], e.to_string());
        p
    })?;
    Ok((tree, value))
}

/// Reads a config.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    let (tree, mut config): (Node, Config) = read(file)?;
    if config.name.is_none() {
        config.name = file.file_stem().map(|s| s.to_string_lossy().into_owned());
    }
    let mut problems = Problems::new(file);
    for (path, message) in config.mistakes() {
        problems.add(&tree, &path, message);
    }
    problems.none()?;
    Ok(Loaded { file: file.to_path_buf(), tree, config })
}

/// Reads a genome as runs write it for their winners: a space in which every knob has one choice.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_genome(file: &Path) -> Result<(Node, Space), ConfigError> {
    read(file)
}

/// The config as YAML, every default written out.
///
/// # Errors
/// Never for a config that was loaded.
pub fn to_yaml(config: &Config) -> Result<String, serde_yaml::ser::Error> {
    serde_yaml::to_string(config)
}
