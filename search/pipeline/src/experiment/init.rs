//! The trained network that a supernet begins with.

use mobilenas_space::{Genome, Space};
use mobilenas_torch::{ParamStore, weights};
use mobilenas_train::backbone::{is_backbones, with_head};
use mobilenas_train::settings::SupernetInit;

use super::ExperimentError;
use crate::config;

/// Sets the slices of a supernet that the network of `init` reads to its weights.
pub(super) fn inherit(
    store: &mut ParamStore,
    space: &Space,
    (key, init): (&str, &SupernetInit),
) -> Result<(), ExperimentError> {
    let wrong = |found, expected| ExperimentError::Init { key: key.to_string(), found, expected };
    let graph = space.lower(&genome(space, init, &wrong)?)?;
    let inherited = weights::load(&init.weights).and_then(|(named, _)| {
        let named = if is_backbones(&graph, &named) { with_head(store, &graph, &named)? } else { named };
        store.inherit(&graph, &named)
    });
    inherited.map(drop).map_err(|e| wrong(format!("{}: {e}", init.weights.display()), "the weights of that network"))
}

/// Where the network lies in the space.
fn genome(
    space: &Space,
    init: &SupernetInit,
    wrong: &dyn Fn(String, &'static str) -> ExperimentError,
) -> Result<Genome, ExperimentError> {
    let outside = |e: mobilenas_space::SpaceError| wrong(e.to_string(), "a network of the space");
    if let Some(file) = &init.genome {
        let one = config::load_genome(file, space.classes(), space.change().cloned())?;
        return space.genome(&space.completed(one.values(&one.smallest()))).map_err(outside);
    }
    space.variant(init.model.as_deref().unwrap_or_default()).map_err(outside)
}
