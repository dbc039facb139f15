//! Networks bound to the weights of a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use mobilenas_space::families::Translate;
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_torch::weights::{self, About, Misfit, Weights};
use mobilenas_torch::{Net, NetError, Params};
use tch::{Kind, Tensor};

use super::Input;

/// Classes of the weights' head: the size that the network's tensors have where they depend on it. `graph` makes the
/// network for a number of classes.
pub(super) fn classes_of(graph: impl Fn(u32) -> Result<Graph>, weights: &Weights) -> Result<Result<u32, String>> {
    let Some((name, axis)) = head(&graph)?.into_iter().next() else { return Ok(Err("no classifier".to_string())) };
    let size = weights.tensors.get(&name).and_then(|t| t.shape.get(axis).copied());
    // A detector has so many numbers for each class of each anchor, and others besides.
    let at = |classes| -> Result<i64> {
        let own = graph(classes)?.params().into_iter().find(|p| p.name == name);
        Ok(own.and_then(|p| p.shape().get(axis).copied()).unwrap_or_default())
    };
    let (two, each) = (at(2)?, (at(3)? - at(2)?).max(1));
    let classes = size.map(|n| n - two).filter(|n| n % each == 0).map(|n| 2 + n / each);
    let classes = classes.and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MOST_CLASSES).contains(n));
    Ok(classes.ok_or_else(|| format!("no classifier {name}")))
}

/// The most classes that a head may have.
pub(super) const MOST_CLASSES: u32 = 1_000_000;

/// Tensors whose size depends on the number of classes, and along which axis.
pub(super) fn head(graph: impl Fn(u32) -> Result<Graph>) -> Result<Vec<(String, usize)>> {
    let (two, three) = (graph(2)?.params(), graph(3)?.params());
    let differs = |(a, b): (&ParamSpec, &ParamSpec)| {
        let axis = a.shape().iter().zip(b.shape()).position(|(x, y)| *x != y);
        axis.map(|axis| (a.name.clone(), axis))
    };
    Ok(two.iter().zip(&three).filter_map(differs).collect())
}

/// A network bound to a file's weights, with the classes of its head and what the file says of itself. `graph` makes the
/// network for a number of classes; `name` is for messages.
pub(super) fn bound<N: Translate>(
    file: &Path,
    name: &str,
    namings: &[N],
    kind: Kind,
    graph: impl Fn(u32) -> Result<Graph>,
) -> Result<(Net, u32, About)> {
    let mut weights = open(file, None)?;
    weights.rename(&weights::wanted(&graph(2)?), namings);
    let misfit = |e: String| Input(format!("{}: {e}", file.display()));
    let classes = classes_of(&graph, &weights)?.map_err(|e| misfit(format!("{e}, expected weights of {name}")))?;
    let graph = graph(classes)?;
    let side = graph.input().dims[1];
    if let Some(found) = few(&misfits(&graph, &weights)) {
        return Err(misfit(format!("not weights of {name} at {side} px: {found}")).into());
    }
    let wrong = |e: NetError| Input(e.to_string());
    let mut named = weights.read_all().map_err(wrong)?;
    weights::complete(&graph, &mut named).map_err(|e| misfit(e.to_string()))?;
    Ok((Net::bind(Arc::new(graph), &Read { named: &named, kind })?, classes, weights.about))
}

/// Opens a weights file for a network of the command line.
pub(super) fn open(file: &Path, part: Option<&str>) -> Result<Weights, Input> {
    Weights::open(file, part).map_err(|e| match &e {
        NetError::Part { parts, .. } => {
            let hint =
                parts.first().map_or_else(String::new, |(p, _)| format!(" (`weights import --part {p}` takes it)"));
            Input(format!("{e}{hint}"))
        }
        _ => Input(e.to_string()),
    })
}

/// Differences between a network and a file's tensors.
pub(super) fn misfits(graph: &Graph, weights: &Weights) -> Vec<Misfit> {
    weights::misfits(&weights::wanted(graph), weights.tensors.iter().map(|(n, t)| (n, t.kind, t.shape.clone())))
}

/// The first difference, and how many more there are.
fn few(misfits: &[Misfit]) -> Option<String> {
    match misfits {
        [] => None,
        [one] => Some(one.to_string()),
        [first, more @ ..] => Some(format!("{first}, and {} more", more.len())),
    }
}

/// Tensors as a file has them, floating ones in one precision.
struct Read<'a> {
    named: &'a BTreeMap<String, Tensor>,
    kind: Kind,
}

impl Params for Read<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let missing = || NetError::Missing { name: p.name.clone(), expected: p.shape() };
        let t = self.named.get(&p.name).ok_or_else(missing)?;
        let cast = if t.is_floating_point() { t.f_to_kind(self.kind) } else { Ok(t.shallow_clone()) };
        cast.map_err(|e| NetError::Torch { at: p.name.clone(), message: e.to_string() })
    }
}
