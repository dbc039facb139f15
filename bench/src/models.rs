//! The published networks by name.

use mobilenas_host::nearest;
use mobilenas_space::families::{self, FAMILIES};

/// Names of all published networks.
pub fn published() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|f| f.variants()).map(|v| v.id).collect()
}

/// What is wrong with a name that is no published network's.
pub fn unknown(model: &str) -> Option<String> {
    if families::variant(model).is_some() {
        return None;
    }
    let hint = nearest(model, published()).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
    Some(format!("found {model:?}, expected a published network (`mobilenas models` lists them){hint}"))
}
