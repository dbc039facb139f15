//! The trained network or supernet that a supernet begins with.

use std::path::Path;

use mobilenas_space::{Genome, Space};
use mobilenas_torch::{ParamStore, weights};
use mobilenas_train::backbone::{fill_backbone, is_backbone, with_head};
use mobilenas_train::settings::SupernetInit;

use super::ExperimentError;
use crate::config;

/// Sets the slices of a supernet that the network of `init` reads to its weights, or the whole of it to another's.
pub(super) fn inherit(
    store: &mut ParamStore,
    space: &Space,
    (key, init): (&str, &SupernetInit),
) -> Result<(), ExperimentError> {
    let wrong = |found, expected| ExperimentError::Init { key: key.to_string(), found, expected };
    if let Some(file) = &init.supernet {
        let expected = "the supernet of a space with the same widths, depths and kernels";
        return fill(store, file).map_err(|found| wrong(format!("{}: {found}", file.display()), expected));
    }
    let graph = space.lower(&genome(space, init, &wrong)?)?;
    let inherited = weights::load(&init.weights).and_then(|(named, _)| {
        let named = if is_backbone(graph.params().iter().map(|p| &p.name), &named) {
            with_head(store, &graph, &named)?
        } else {
            named
        };
        store.inherit(&graph, &named)
    });
    inherited.map(drop).map_err(|e| wrong(format!("{}: {e}", init.weights.display()), "the weights of that network"))
}

/// Takes all tensors of a supernet; of a classifier's those of the backbone, where this one has a head.
fn fill(store: &mut ParamStore, file: &Path) -> Result<(), String> {
    let (named, _) = weights::load(file).map_err(|e| e.to_string())?;
    if !is_backbone(store.entries().map(|(name, _)| name), &named) {
        return store.fill(&named).map_err(|e| e.to_string());
    }
    match fill_backbone(store, &named).map_err(|e| e.to_string())? {
        Some([found, all]) => Err(format!("has {found} of the backbone's {all} tensors")),
        None => Ok(()),
    }
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
