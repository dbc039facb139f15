//! What is wrong with the configuration of a space.

/// What [`SpaceError::found`] says of a knob that there is not.
pub const UNKNOWN_KNOB: &str = "an unknown knob";

/// A mistake in the configuration of a space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: found {found}, expected {expected}", at.join("."))]
pub struct SpaceError {
    /// Place below `space`: `family`, `knobs.stages.2.width`.
    pub at: Vec<String>,
    /// What was found there.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The closest valid name, if a name is wrong.
    pub nearest: Option<String>,
}

impl SpaceError {
    pub(crate) fn new(at: &[&str], found: impl Into<String>, expected: impl Into<String>) -> SpaceError {
        let at = at.iter().map(ToString::to_string).collect();
        SpaceError { at, found: found.into(), expected: expected.into(), nearest: None }
    }

    pub(crate) fn nearest<'a>(mut self, name: &str, valid: impl Iterator<Item = &'a str>) -> SpaceError {
        self.nearest = valid
            .map(|v| (strsim::damerau_levenshtein(name, v), v))
            .min()
            .filter(|(distance, v)| *distance <= v.len().max(name.len()).div_ceil(2))
            .map(|(_, v)| v.to_string());
        self
    }
}
