//! What search strategies may know of a search space.

use mobilenas_space::Space;
use mobilenas_strategy::{Knob, SpaceInfo};

use crate::config::Objective;

/// The choices, names and kinds of a space's knobs, and what is searched for.
pub fn space_info(space: &Space, objectives: &[Objective]) -> SpaceInfo {
    let knobs = space.knobs().iter().map(|k| Knob { name: k.name.clone(), kind: k.kind.name() }).collect();
    let objectives = objectives.iter().map(|o| o.metric.clone()).collect();
    SpaceInfo { domain: space.domain().clone(), knobs, objectives }
}
