//! The space of a config, and a genome as a space of one network.

use std::path::Path;

use mobilenas_host::Problems;
use serde::Deserialize as _;

use super::ConfigError;
use super::file::{Origin, add_new, read, sound};
use super::spaces::Space;
use super::yaml::Node;

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
pub(super) fn space(
    tree: &Node,
    below: &[String],
    s: &Space,
    classes: u32,
    problems: &mut Problems,
) -> Option<mobilenas_space::Space> {
    let errors = match mobilenas_space::Space::new(&design(s, classes)) {
        Ok(space) => return Some(space),
        Err(errors) => errors,
    };
    for e in errors {
        let path: Vec<String> = below.iter().cloned().chain(e.at).collect();
        let hint = e.nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        add_new(problems, tree, &path, format!("found {}, expected {}{hint}", e.found, e.expected));
    }
    None
}
