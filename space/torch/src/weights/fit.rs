//! Whether tensors are a network's: every difference at once.

use std::collections::BTreeMap;

use mobilenas_space::ir::{Graph, Init, Role, distances};
use tch::{Device, Kind, Tensor};

use super::Named;
pub use super::misfit::Misfit;
use crate::error::{NetError, torch};

/// What a network expects: shape and purpose of each tensor by its name.
pub type Wanted = BTreeMap<String, (Vec<i64>, Role)>;

/// What a stand-alone network expects.
pub fn wanted(graph: &Graph) -> Wanted {
    graph.params().into_iter().map(|p| (p.name.clone(), (p.shape(), p.role))).collect()
}

/// All differences, those of the network's tensors first, in the order of the names. Counters of batch norms may be
/// missing or of any type, since no result depends on them, and so may indices, which follow from the network's size;
/// [`complete`] makes them.
pub fn misfits<'a>(wanted: &Wanted, found: impl IntoIterator<Item = (&'a String, Kind, Vec<i64>)>) -> Vec<Misfit> {
    let found: BTreeMap<&String, (Kind, Vec<i64>)> = found.into_iter().map(|(n, k, s)| (n, (k, s))).collect();
    let mut all = Vec::new();
    for (name, (shape, role)) in wanted {
        let it = name.clone();
        match found.get(name) {
            None if made(*role) => {}
            None => all.push(Misfit::Missing(it, shape.clone())),
            Some((_, other)) if other != shape => all.push(Misfit::Shape(it, other.clone(), shape.clone())),
            Some((kind, _)) => {
                let whole = matches!(role, Role::Index);
                if *role != Role::Counter && floating(*kind) == whole {
                    all.push(Misfit::Type(it, *kind, whole));
                }
            }
        }
    }
    all.extend(found.keys().filter(|n| !wanted.contains_key(**n)).map(|n| Misfit::Unexpected((*n).clone())));
    all
}

fn floating(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

/// Whether a tensor can be made where a file lacks it.
fn made(role: Role) -> bool {
    matches!(role, Role::Counter | Role::Index)
}

/// Makes the tensors without [`misfits`] a network's: counters and indices of its type, those that are missing too.
///
/// # Errors
/// When indices are others than the network's, or libtorch refuses.
pub fn complete(graph: &Graph, named: &mut Named) -> Result<(), NetError> {
    for p in graph.params().into_iter().filter(|p| made(p.role)) {
        let found = named.get(&p.name).map(|t| t.f_to_kind(Kind::Int64)).transpose().map_err(torch(&p.name))?;
        let tensor = match (p.init, found) {
            (Init::Distances { h, w, stride }, found) => {
                let own = Tensor::f_from_slice(&distances(h, w, stride)).and_then(|t| t.f_view(p.shape().as_slice()));
                let own = own.map_err(torch(&p.name))?;
                if !found.is_none_or(|t| t.size() == own.size() && t.equal(&own)) {
                    return Err(NetError::Indices { name: p.name, h, w });
                }
                own
            }
            (_, Some(found)) => found,
            (_, None) => Tensor::f_zeros(p.shape().as_slice(), (Kind::Int64, Device::Cpu)).map_err(torch(&p.name))?,
        };
        named.insert(p.name, tensor);
    }
    Ok(())
}
