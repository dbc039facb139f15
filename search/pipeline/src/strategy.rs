//! What search strategies may know of a search space.

use mobilenas_space::Space;
use mobilenas_strategy::{Knob, SpaceInfo};

/// The choices, names and kinds of a space's knobs.
pub fn space_info(space: &Space) -> SpaceInfo {
    let knobs = space.knobs().iter().map(|k| Knob { name: k.name.clone(), kind: k.kind.name() }).collect();
    SpaceInfo { domain: space.domain().clone(), knobs }
}
