//! A classifier's weights for the backbone below a head.

use mobilenas_heads::BACKBONE;
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_torch::weights::Named;
use mobilenas_torch::{NetError, ParamStore, Params as _, Shared};
use tch::Tensor;

/// A backbone's tensor as the classifier has it.
fn of_classifier(name: &str) -> Option<&str> {
    name.strip_prefix(BACKBONE)?.strip_prefix('.')
}

/// Whether tensors are a classifier's, and the network, by the names of its own tensors, has a head in its place.
pub fn is_backbone<'a>(mut own: impl Iterator<Item = &'a String>, named: &Named) -> bool {
    let headed = own.any(|name| of_classifier(name).is_some());
    headed && !named.keys().any(|name| of_classifier(name).is_some())
}

/// Fills the backbone of a store; the head stays as it is initialised. A few tensors of a backbone are a head's own: norms of
/// its feature maps, tables for another side. Gives how many are there and how many were expected if more are missing.
///
/// # Errors
/// When a tensor has another shape.
pub fn fill_backbone(store: &mut ParamStore, named: &Named) -> Result<Option<[usize; 2]>, NetError> {
    let own: Vec<String> =
        store.entries().map(|(name, _)| name.clone()).filter(|n| of_classifier(n).is_some()).collect();
    let mut found = 0;
    for name in &own {
        if let Some(t) = of_classifier(name).and_then(|name| named.get(name)) {
            store.set(name, t)?;
            found += 1;
        }
    }
    Ok((10 * (own.len() - found) > own.len()).then_some([found, own.len()]))
}

/// The tensors of a network of a supernet: the classifier's for its backbone, those that the store has for its head.
///
/// # Errors
/// When the store lacks one.
pub fn with_head(store: &ParamStore, graph: &Graph, named: &Named) -> Result<Named, NetError> {
    let one = |p: &ParamSpec| -> Result<(String, Tensor), NetError> {
        let given = of_classifier(&p.name).and_then(|name| named.get(name)).map(Tensor::shallow_clone);
        let t = given.map_or_else(|| Shared(store).get(p).map(|t| t.detach().copy()), Ok)?;
        Ok((p.name.clone(), t))
    };
    graph.params().iter().map(one).collect()
}
