//! Reads configs: all mistakes of a file at once.

use std::path::{Path, PathBuf};

use mobilenas_device::DeviceConfig;
use mobilenas_host::Problems;
use mobilenas_strategy::StrategyConfig;
use serde::Deserialize as _;
use serde_json::Value as Json;

use super::file::{Origin, add_new, read, sound};
use super::genome::{self, changed, space};
use super::spaces::{NamedSpace, Space, SpaceEntry};
use super::types::Config;
use super::yaml::{Node, Value};
use super::{BenchConfig, ConfigError, RegressionConfig, Study, StudyConfig, TrainConfig, defaults, entries, name};
use crate::strategy::space_info;

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

impl Loaded {
    /// The space that is named; none need be named where there is one.
    ///
    /// # Errors
    /// When there is none of that name, or one of several has to be named.
    pub fn entry(&self, name: Option<&str>) -> Result<SpaceEntry, ConfigError> {
        let mut all = self.config.entries();
        let names = || self.config.spaces.iter().map(NamedSpace::name).collect::<Vec<_>>().join(", ");
        let at = match name {
            None => (all.len() == 1).then_some(0),
            Some(_) => all.iter().position(|entry| entry.name.as_deref() == name),
        };
        match at {
            Some(at) => Ok(all.swap_remove(at)),
            None => {
                let expected =
                    if self.config.spaces.is_empty() { "none".to_string() } else { format!("one of {}", names()) };
                let found = name.unwrap_or("none").to_string();
                Err(ConfigError::Space { file: self.file.clone(), found, expected })
            }
        }
    }

    /// A space that the config describes.
    ///
    /// # Errors
    /// Every mistake in its section, with its line; none for a config that was loaded.
    pub fn space(&self, entry: &SpaceEntry, classes: u32) -> Result<mobilenas_space::Space, ConfigError> {
        let mut problems = Problems::new(&self.file);
        let change = self.config.task_config().change(classes, false);
        let space = space(&self.tree, &entry.at, (&entry.section, classes), change, &mut problems);
        sound(space, problems)
    }
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
    let mut config = Config::deserialize(&json).ok();
    if let Some(config) = &mut config {
        with_objectives(config, &json);
    }
    // The map `workers` is not in the folder of a run.
    let latency = config.iter().filter(|_| origin == Origin::User).filter_map(Config::latency_mistake);
    let mistakes = config.iter().flat_map(Config::validate).chain(latency).collect();
    loaded((file, origin), (tree, json, problems), config, mistakes, &[])
}

/// Fills in the objectives that a config does not say: those of its task.
fn with_objectives(config: &mut Config, json: &Json) {
    if json["search"]["objectives"].is_null() {
        config.search.objectives = defaults::objectives_of(config.task_config().task().metrics()[0].name);
    }
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
        with_objectives(search, &json);
        match json["study"]["strategies"].is_null() {
            true => study.strategies.retain(|s| s.check_objectives(&search.search.metrics()).is_ok()),
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
    if let Some(message) = entries::missing(&tree) {
        problems.add(tree.line_of(&[]), &[], message);
    }
    for entry in sound_entries(&tree, &json) {
        // The number of classes changes nothing about what may be wrong.
        let change = config.as_ref().and_then(|c| c.task_config().change(10, false));
        let found = space(&tree, &entry.at, (&entry.section, 10), change, &mut problems);
        let objectives = config.as_ref().map_or(&[][..], |c| &c.search.objectives);
        if let Some(space) = found.map(|space| space_info(&space, objectives)) {
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
    for s in &mut config.spaces {
        s.name = Some(s.name().to_string());
    }
    Ok(Loaded { file: file.to_path_buf(), tree, config })
}

/// The spaces of a config that may have mistakes elsewhere.
fn sound_entries(tree: &Node, json: &Json) -> Vec<SpaceEntry> {
    let one = Space::deserialize(&json["space"]).ok().map(SpaceEntry::only);
    let listed = match tree.get("spaces").map(|node| &node.value) {
        Some(Value::Seq(items)) => items.len(),
        _ => 0,
    };
    // What is no map was left out: then the others stand elsewhere.
    let several = json["spaces"].as_array().filter(|all| all.len() == listed).into_iter().flatten().enumerate();
    let several = several.filter_map(|(i, json)| NamedSpace::deserialize(json).ok().map(|s| s.entry(i)));
    one.into_iter().chain(several).collect()
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
    let design =
        config.as_ref().filter(|_| problems.all.is_empty()).and_then(|c| c.network.design(10, None).zip(Some(c)));
    let built = design.and_then(|(d, c)| changed(&d, c.task_config().change(10, false)).err());
    if let Some(e) = built {
        genome::add(&tree, &["network".to_string()], e, &mut problems);
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

/// Reads a file that names a device.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_device(file: &Path) -> Result<DeviceConfig, ConfigError> {
    load_checked(file, |d: &DeviceConfig| {
        let path = |key: String| key.split('.').map(String::from).collect();
        d.validate().into_iter().map(|(key, message)| (path(key), message)).collect()
    })
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
