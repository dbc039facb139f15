//! The space of a config, and a genome as a space of one network.

use std::path::Path;
use std::sync::Arc;

use mobilenas_heads::head_of_knob;
use mobilenas_host::Problems;
use mobilenas_space::{ChangeError, PlanChange, SpaceConfig, SpaceError, UNKNOWN_KNOB};
use serde::Deserialize as _;

use super::ConfigError;
use super::file::{Origin, add_new, read, sound};
use super::spaces::Space;
use super::yaml::Node;

/// Reads a genome as runs write it for their winners: a space in which every knob has one choice. Its network may be changed:
/// given a head.
///
/// # Errors
/// When the file cannot be read, is no YAML, or has mistakes: then all of them.
pub fn load_genome(
    file: &Path,
    classes: u32,
    change: Option<Arc<dyn PlanChange>>,
) -> Result<mobilenas_space::Space, ConfigError> {
    let (tree, json, mut problems) = read::<Space>(file, Origin::User)?;
    let section = Space::deserialize(&json).ok();
    let space = section.and_then(|s| space(&tree, &[], (&s, classes), change, &mut problems));
    sound(space, problems)
}

fn design(s: &Space, classes: u32) -> SpaceConfig {
    SpaceConfig {
        family: s.family.clone(),
        width: s.scale.width,
        divisor: s.scale.divisor,
        knobs: s.knobs.clone(),
        classes,
    }
}

/// The space that a part of a YAML tree describes, for a number of classes; `below` is where that part stands.
pub(super) fn space(
    tree: &Node,
    below: &[String],
    (s, classes): (&Space, u32),
    change: Option<Arc<dyn PlanChange>>,
    problems: &mut Problems,
) -> Option<mobilenas_space::Space> {
    changed(&design(s, classes), change).map_err(|e| add(tree, below, e, problems)).ok()
}

/// Adds what is wrong with a space whose section is at a place of a YAML tree.
pub(super) fn add(tree: &Node, below: &[String], error: ChangeError, problems: &mut Problems) {
    match error {
        ChangeError::Space(errors) => {
            for e in errors {
                let path: Vec<String> = below.iter().chain(&e.at).cloned().collect();
                add_new(problems, tree, &path, said(&e));
            }
        }
        ChangeError::Unfit(e) => add_new(problems, tree, &["head".to_string()], e.to_string()),
    }
}

/// The space of a design, all of whose networks are changed alike if they are changed.
pub(super) fn changed(
    design: &SpaceConfig,
    change: Option<Arc<dyn PlanChange>>,
) -> Result<mobilenas_space::Space, ChangeError> {
    match change {
        None => mobilenas_space::Space::new(design).map_err(ChangeError::Space),
        Some(change) => mobilenas_space::Space::changed(design, change),
    }
}

/// What is wrong at a place of a space.
fn said(e: &SpaceError) -> String {
    if let [.., name] = &e.at[..]
        && let Some(head) = head_of_knob(name).filter(|_| e.found == UNKNOWN_KNOB)
    {
        return format!("found a knob of the head {}, expected it with that head alone", head.name());
    }
    let hint = e.nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default();
    format!("found {}, expected {}{hint}", e.found, e.expected)
}
