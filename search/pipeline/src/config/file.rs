//! A config's file: read strictly by the schema of a type, written with every default.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use mobilenas_host::Problems;
use mobilenas_space::fnv;
use mobilenas_train::recipe::{Recipe, RecipeName};
use serde_json::Value as Json;

use super::yaml::Node;
use super::{ConfigError, check, renamed, yaml};

/// Whose config is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A user's: an old name of a key is a mistake.
    User,
    /// The resolved one in the folder of a run: its keys may have the names that they had when it began.
    Run,
}

/// Name of the resolved config in the folder of a run.
pub const FILE: &str = "config.yaml";

/// Larger files are no configs.
const LARGEST: u64 = 1 << 20;

/// The schema of a type.
pub(super) fn schema_of<T: schemars::JsonSchema>() -> Json {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    Json::from(settings.into_generator().into_root_schema_for::<T>())
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
    // Pipes and devices do not say their length beforehand.
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|f| f.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(bad(format!("found more than {LARGEST} bytes, at most {LARGEST} are read")));
    }
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

/// Reads a YAML file by the schema of a type, strictly. What is sound comes back beside the mistakes, so that later checks
/// can add theirs.
pub(super) fn read<T: schemars::JsonSchema + serde::de::DeserializeOwned>(
    file: &Path,
    origin: Origin,
) -> Result<(Node, Json, Problems), ConfigError> {
    let mut tree = yaml::parse(&text(file)?).map_err(|e| ConfigError::Syntax {
        file: file.to_path_buf(),
        line: e.line,
        message: e.message,
    })?;
    let mut problems = Problems::new(file);
    if tree.value == yaml::Value::Null {
        let found = "found no values".to_string();
        return Err(ConfigError::File { file: file.to_path_buf(), found });
    }
    if origin == Origin::Run {
        renamed::rename(&mut tree);
    }
    let schema = schema_of::<T>();
    let mut json = check::Checker { schema: &schema, root: &tree, problems: &mut problems }.run();
    // What the images' own section says of augmentation goes before a recipe, which knows nothing of the images.
    let said = json["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    for section in ["supernet", "retrain", "train"] {
        if let Some(own) = json.get_mut(section) {
            mobilenas_train::recipe::layer(own, &shipped, &said);
        }
    }
    if let (Err(e), true) = (T::deserialize(&json), problems.all.is_empty()) {
        // The schema describes this very type; what it lets pass and serde does not is named as serde names it.
        problems.add(tree.line_of(&[]), &[], e.to_string());
    }
    Ok((tree, json, problems))
}

/// A recipe that ships, as JSON; a test reads them all.
fn shipped(name: RecipeName) -> Json {
    let schema = schema_of::<Recipe>();
    let mut problems = Problems::new("recipe");
    let tree = yaml::parse(name.text()).ok();
    let json = tree.map(|t| check::Checker { schema: &schema, root: &t, problems: &mut problems }.run());
    json.filter(|_| problems.all.is_empty()).unwrap_or_default()
}

/// Adds a mistake at a path of the tree, unless it may only follow from one below that path.
pub(super) fn add_new(problems: &mut Problems, tree: &Node, path: &[String], message: impl Into<String>) {
    if !problems.all.iter().any(|p| p.path.starts_with(path)) {
        problems.add(tree.line_of(path), path, message);
    }
}

/// A value that came without problems.
pub(super) fn sound<T>(value: Option<T>, problems: Problems) -> Result<T, ConfigError> {
    let file = problems.file.clone();
    problems.none()?;
    value.ok_or(ConfigError::File { file, found: "found no values".to_string() })
}

/// The config as YAML, every default written out.
///
/// # Errors
/// Never for a config that was loaded.
pub fn to_yaml(config: &impl serde::Serialize) -> Result<String, serde_yaml::ser::Error> {
    serde_yaml::to_string(config)
}

/// Digest of the config as YAML.
///
/// # Errors
/// Never for a config that was loaded.
pub fn digest(config: &impl serde::Serialize) -> Result<String, serde_yaml::ser::Error> {
    to_yaml(config).map(|text| fnv::text_digest(&text))
}

/// Digest of a resolved config that was written to a file.
///
/// # Errors
/// When the file cannot be read.
pub fn text_digest(file: &Path) -> Result<String, ConfigError> {
    text(file).map(|text| fnv::text_digest(&text))
}
