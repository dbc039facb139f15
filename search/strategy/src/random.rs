//! Random search.

use mobilenas_space::{Domain, Genome};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Observation, Settings, SpaceInfo, Strategy, StrategyKind};

pub(crate) const KIND: StrategyKind =
    StrategyKind::new::<RandomSettings>("random", "draws every genome with equal probability");

/// Random search has no settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RandomSettings {}

impl Settings for RandomSettings {
    fn build(&self, _space: &SpaceInfo) -> Box<dyn Strategy> {
        Box::new(Random)
    }
}

struct Random;

impl Strategy for Random {
    fn ask(&mut self, domain: &Domain, n: usize, rng: &mut dyn Rng) -> Vec<Genome> {
        (0..n).map(|_| domain.sample(rng)).collect()
    }

    fn tell(&mut self, _observations: &[Observation]) {}
}
