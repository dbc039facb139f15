//! Configs: strict YAML in, checked values out. The types here are the one description: the JSON schema, the messages and
//! the defaults all follow from them.

mod check;
mod defaults;
pub mod difference;
mod error;
mod name;
mod renamed;
mod search;
mod study;
#[cfg(test)]
mod tests;
mod train;
mod types;
mod validate;
pub mod yaml;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value as Json;

pub use error::ConfigError;
pub use mobilenas_bench::models::published;
pub use mobilenas_bench::profile::settings::*;
pub use mobilenas_bench::regression::settings::*;
pub use mobilenas_bench::settings::*;
pub use mobilenas_data::settings::*;
pub use mobilenas_host::{Problem, Problems, nearest};
use mobilenas_space::fnv;
pub use mobilenas_strategy::StrategyConfig;
pub use mobilenas_torch::device::DeviceName as Device;
pub use mobilenas_train::recipe::*;
pub use mobilenas_train::settings::*;
pub use search::*;
pub use study::*;
pub use train::*;
pub use types::*;
pub use yaml::Node;

use crate::strategy::space_info;

/// Whose config is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A user's: an old name of a key is a mistake.
    User,
    /// The resolved one in the folder of a run: its keys may have the names that they had when it began.
    Run,
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

/// Name of the resolved config in the folder of a run.
pub const FILE: &str = "config.yaml";

/// Larger files are no configs.
const LARGEST: u64 = 1 << 20;

fn schema_of<T: schemars::JsonSchema>() -> Json {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    Json::from(settings.into_generator().into_root_schema_for::<T>())
}

fn titled<T: schemars::JsonSchema>(title: &str) -> Json {
    let mut schema = schema_of::<T>();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".into(), title.into());
    }
    schema
}

/// The JSON schema of a search's config, by which editors complete.
pub fn schema() -> Json {
    titled::<Config>("mobilenas search config")
}

/// The JSON schema of a training's config.
pub fn train_schema() -> Json {
    titled::<TrainConfig>("mobilenas train config")
}

/// The JSON schema of a study's config.
pub fn study_schema() -> Json {
    titled::<StudyConfig>("mobilenas study config")
}

/// The JSON schema of a config of `bench check`.
pub fn gate_schema() -> Json {
    titled::<RegressionConfig>("mobilenas bench check config")
}

/// The JSON schema of a config of measuring networks.
pub fn bench_schema() -> Json {
    titled::<BenchConfig>("mobilenas bench run config")
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
fn read<T: schemars::JsonSchema + serde::de::DeserializeOwned>(
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
fn add_new(problems: &mut Problems, tree: &Node, path: &[String], message: impl Into<String>) {
    if !problems.all.iter().any(|p| p.path.starts_with(path)) {
        problems.add(tree.line_of(path), path, message);
    }
}

/// A value that came without problems.
fn sound<T>(value: Option<T>, problems: Problems) -> Result<T, ConfigError> {
    let file = problems.file.clone();
    problems.none()?;
    value.ok_or(ConfigError::File { file, found: "found no values".to_string() })
}

/// Reads a config.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    load_from(file, Origin::User)
}

/// Reads a config, or the one in the folder of a run.
///
/// # Errors
/// As for [`load`].
pub fn load_from(file: &Path, origin: Origin) -> Result<Loaded, ConfigError> {
    let (tree, json, problems) = read::<Config>(file, origin)?;
    let config = Config::deserialize(&json).ok();
    let mistakes = config.iter().flat_map(Config::validate).collect();
    loaded((file, origin), (tree, json, problems), config, mistakes, &[])
}

/// Reads a config of a study, or the one in its folder: the search's part of it, and what is studied.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_study(file: &Path, origin: Origin) -> Result<(Loaded, Study), ConfigError> {
    let (tree, json, problems) = read::<StudyConfig>(file, origin)?;
    let mut config = StudyConfig::deserialize(&json).ok();
    let mut listed = Vec::new();
    if let Some(StudyConfig { search, study }) = &mut config {
        match json["study"]["strategies"].is_null() {
            true => study.strategies.retain(|s| s.kind().check_number(search.search.objectives.len()).is_ok()),
            false => listed = study.strategies.clone(),
        }
    }
    let mistakes = config.iter().flat_map(StudyConfig::validate).collect();
    let (search, study) = config.map(|c| (c.search, c.study)).unzip();
    Ok((loaded((file, origin), (tree, json, problems), search, mistakes, &listed)?, study.unwrap_or_default()))
}

/// A config whose values were read, with its name, if nothing is wrong with it. `studied` are the strategies that a study
/// lists beside that of the search.
fn loaded(
    (file, origin): (&Path, Origin),
    (tree, json, mut problems): (Node, Json, Problems),
    config: Option<Config>,
    mistakes: Vec<(Vec<String>, String)>,
    studied: &[StrategyConfig],
) -> Result<Loaded, ConfigError> {
    let name = config.as_ref().filter(|_| origin == Origin::User).and_then(|c| name::mistake(c.name.as_deref()));
    for (path, message) in mistakes.into_iter().chain(name) {
        add_new(&mut problems, &tree, &path, message);
    }
    if let Ok(section) = Space::deserialize(&json["space"]) {
        // The number of classes changes nothing about what may be wrong.
        if let Some(space) = space(&tree, &["space"], &section, 10, &mut problems).map(|space| space_info(&space)) {
            let own = config.iter().map(|c| ("search.strategy".to_string(), &c.search.strategy));
            let listed = studied.iter().enumerate().map(|(i, s)| (format!("study.strategies.{i}"), s));
            for (at, strategy) in own.chain(listed) {
                for (key, message) in strategy.validate(&space) {
                    let path = format!("{at}.{}.{key}", strategy.kind().name);
                    let path: Vec<String> = path.split('.').map(str::to_string).collect();
                    add_new(&mut problems, &tree, &path, message);
                }
            }
        }
    }
    let mut config = sound(config, problems)?;
    config.name.get_or_insert_with(|| name::of(file));
    Ok(Loaded { file: file.to_path_buf(), tree, config })
}

/// Reads a config of one network's training.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_train(file: &Path) -> Result<TrainConfig, ConfigError> {
    let (tree, json, mut problems) = read::<TrainConfig>(file, Origin::User)?;
    let config = TrainConfig::deserialize(&json).ok();
    let name = config.iter().flat_map(|c| name::mistake(c.name.as_deref()));
    for (path, message) in config.iter().flat_map(TrainConfig::validate).chain(name) {
        add_new(&mut problems, &tree, &path, message);
    }
    let design = config.as_ref().filter(|_| problems.all.is_empty()).and_then(|c| c.network.design(10));
    for e in design.and_then(|d| mobilenas_space::Space::new(&d).err()).unwrap_or_default() {
        let path: Vec<String> = std::iter::once("network".to_string()).chain(e.at).collect();
        let hint = e.nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        add_new(&mut problems, &tree, &path, format!("found {}, expected {}{hint}", e.found, e.expected));
    }
    let mut config = sound(config, problems)?;
    config.name.get_or_insert_with(|| name::of(file));
    Ok(config)
}

/// Reads a config of `bench check`.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_gate(file: &Path) -> Result<RegressionConfig, ConfigError> {
    load_checked(file, RegressionConfig::validate)
}

/// Reads a config of measuring networks.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_bench(file: &Path) -> Result<BenchConfig, ConfigError> {
    load_checked(file, BenchConfig::validate)
}

/// Path of a key, and what is wrong there.
type Mistake = (Vec<String>, String);

fn load_checked<T: schemars::JsonSchema + serde::de::DeserializeOwned>(
    file: &Path,
    validate: fn(&T) -> Vec<Mistake>,
) -> Result<T, ConfigError> {
    let (tree, json, mut problems) = read::<T>(file, Origin::User)?;
    let config = T::deserialize(&json).ok();
    for (path, message) in config.iter().flat_map(validate) {
        add_new(&mut problems, &tree, &path, message);
    }
    sound(config, problems)
}

/// Reads a genome as runs write it for their winners: a space in which every knob has one choice.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_genome(file: &Path, classes: u32) -> Result<mobilenas_space::Space, ConfigError> {
    let (tree, json, mut problems) = read::<Space>(file, Origin::User)?;
    let section = Space::deserialize(&json).ok();
    let space = section.and_then(|s| space(&tree, &[], &s, classes, &mut problems));
    sound(space, problems)
}

impl Loaded {
    /// The space that the config describes.
    ///
    /// # Errors
    /// Every mistake below `space`, with its line; none for a config that was loaded.
    pub fn space(&self, classes: u32) -> Result<mobilenas_space::Space, ConfigError> {
        let mut problems = Problems::new(&self.file);
        let space = space(&self.tree, &["space"], &self.config.space, classes, &mut problems);
        sound(space, problems)
    }
}

fn design(s: &Space, classes: u32) -> mobilenas_space::SpaceConfig {
    mobilenas_space::SpaceConfig {
        family: s.family.clone(),
        width: s.scale.width,
        divisor: s.scale.divisor,
        knobs: s.knobs.clone(),
        classes,
    }
}

/// The space that a part of a YAML tree describes; `below` is where that part stands.
fn space(
    tree: &Node,
    below: &[&str],
    s: &Space,
    classes: u32,
    problems: &mut Problems,
) -> Option<mobilenas_space::Space> {
    let errors = match mobilenas_space::Space::new(&design(s, classes)) {
        Ok(space) => return Some(space),
        Err(errors) => errors,
    };
    for e in errors {
        let path: Vec<String> = below.iter().map(ToString::to_string).chain(e.at).collect();
        let hint = e.nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        add_new(problems, tree, &path, format!("found {}, expected {}{hint}", e.found, e.expected));
    }
    None
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
