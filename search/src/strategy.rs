//! Strategies, and the one that a config names.

use mobilenas_space::Space;
pub use mobilenas_strategy::{
    MesSlimming, Nsga2, Observation, Predictor, Random, RegularizedEvolution, Strategy, dominates,
};

use crate::config;

/// The strategy that a config names, on a space.
pub fn from_config(config: &config::Strategy, space: &Space) -> Box<dyn Strategy> {
    let config::Strategy { random: _, regularized_evolution, nsga2, mes_slimming, predictor } = config;
    if let Some(e) = regularized_evolution {
        Box::new(RegularizedEvolution::new(e.population, e.sample, e.mutation))
    } else if let Some(n) = nsga2 {
        Box::new(Nsga2::new(n.population, n.crossover, n.mutation))
    } else if let Some(s) = mes_slimming {
        let kinds: Vec<&str> = s.actions.iter().map(|a| a.kind()).collect();
        let knobs = space.knobs().iter().enumerate().filter(|(_, k)| kinds.contains(&k.kind.name()));
        Box::new(MesSlimming::new(s.beam, s.target, knobs.map(|(i, _)| i)).probing(s.probe))
    } else if let Some(p) = predictor {
        Box::new(Predictor::new(p.warm, p.explore))
    } else {
        Box::new(Random)
    }
}
