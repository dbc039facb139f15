//! A supernet that begins with the weights of one of its networks.

use std::collections::BTreeSet;

use mobilenas_space::ir::{Graph, ParamSpec, Role, SliceRule};
use tch::{Kind, TchError, Tensor};

use crate::error::{NetError, torch};
use crate::params::{axes_in, slice};
use crate::store::ParamStore;
use crate::weights::{Named, misfits, wanted};

impl ParamStore {
    /// Sets the slices of the shared tensors that a network of the space reads to the tensors of that network, so that as a
    /// subnet it computes what they compute. What no slice covers keeps its values, and so do the classifiers if `named`
    /// has them for another number of classes. Returns their names.
    ///
    /// A table of attention biases that the supernet has at another resolution is interpolated.
    ///
    /// # Errors
    /// When tensors are missing, unexpected or misshapen: all of them. Nothing has changed then.
    pub fn inherit(&mut self, graph: &Graph, named: &Named) -> Result<Vec<String>, NetError> {
        let anew = other_classes(graph, named);
        let (mut wanted, kept) = (wanted(graph), |name: &String| !anew.contains(name));
        wanted.retain(|name, _| kept(name));
        let found = named.iter().filter(|(name, _)| kept(name)).map(|(n, t)| (n, t.kind(), t.size()));
        let misfits = misfits(&wanted, found);
        if !misfits.is_empty() {
            return Err(NetError::Misfits(misfits));
        }
        for p in graph.params().iter().filter(|p| kept(&p.name) && !matches!(p.role, Role::Counter | Role::Index)) {
            if let Some(values) = named.get(&p.name) {
                self.set_slice(p, values)?;
            }
        }
        Ok(anew.into_iter().collect())
    }

    /// Sets the slice that a specification asks for.
    fn set_slice(&mut self, p: &ParamSpec, values: &Tensor) -> Result<(), NetError> {
        let entry = self.shared(p)?;
        let axes = axes_in(self, entry, p).to_vec();
        let (p, values) = with_whole_tables(p, values, &axes).map_err(torch(&p.name))?;
        let (shape, device) = (entry.tensor.size(), entry.tensor.device());
        let places = Tensor::f_arange(entry.tensor.numel() as i64, (Kind::Int64, device));
        let places = places.and_then(|t| t.f_view(shape.as_slice())).map_err(torch(&p.name))?;
        let places = slice(places, &axes, &p)?;
        let copy = || {
            let values = values.f_to_device(device)?.f_to_kind(entry.tensor.kind())?.f_reshape([-1])?;
            let mut flat = entry.tensor.f_detach()?.f_view([-1])?;
            flat.f_index_copy_(0, &places.f_reshape([-1])?, &values).map(drop)
        };
        copy().map_err(torch(&p.name))
    }
}

/// A specification and its values with tables as large as the shared tensor's.
fn with_whole_tables(p: &ParamSpec, values: &Tensor, whole: &[SliceRule]) -> Result<(ParamSpec, Tensor), TchError> {
    let (mut p, mut values) = (p.clone(), values.shallow_clone());
    for (to, from) in p.axes.iter_mut().zip(whole) {
        let (SliceRule::Table { h, w }, SliceRule::Table { h: own_h, w: own_w }) = (from, &*to) else { continue };
        let [h, w, own_h, own_w] = [*h, *w, *own_h, *own_w].map(i64::from);
        if [h, w] != [own_h, own_w] {
            let rows = values.size()[0];
            let grid = values.f_to_kind(Kind::Float)?.f_view([1, rows, own_h, own_w])?;
            values = grid.f_upsample_bilinear2d([h, w], true, None, None)?.f_reshape([rows, h * w])?;
            *to = from.clone();
        }
    }
    Ok((p, values))
}

/// The tensors of classifiers that `named` has for another number of classes.
fn other_classes(graph: &Graph, named: &Named) -> BTreeSet<String> {
    let own = graph.heads.iter().flat_map(|head| graph.node_params(*head));
    let differs = |p: &ParamSpec| {
        let (found, own) = (named.get(&p.name).map(Tensor::size), p.shape());
        found.is_some_and(|found| found.len() == own.len() && found[0] != own[0] && found[1..] == own[1..])
    };
    own.filter(differs).map(|p| p.name).collect()
}
