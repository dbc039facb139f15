//! Running statistics that lie in a supernet's store, shared like its weights: what training leaves where nobody
//! recalibrates.

use mobilenas_space::ir::{ParamSpec, Role};
use tch::{Kind, Tensor};

use crate::error::{NetError, torch};
use crate::net::Net;
use crate::params::{Params, Shared, cut_all, shared_entry};
use crate::store::Store;

/// Slices of a supernet's tensors, running statistics too, which are copies; [`Tracked::keep`] brings them back.
#[derive(Clone, Copy, Debug)]
pub struct Tracked<'a>(pub &'a Store);

impl Params for Tracked<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        if p.role != Role::Statistic {
            return Shared(self.0).get(p);
        }
        let entry = shared_entry(self.0, p)?;
        let axes = if self.0.keeps_apart(p) { &p.axes } else { &entry.axes };
        let cut = cut_all(entry.tensor.shallow_clone(), axes, p)?;
        let mut own = cut.f_zeros_like().map_err(torch(&p.shared))?;
        own.f_copy_(&cut).map_err(torch(&p.shared))?;
        Ok(own)
    }
}

impl Tracked<'_> {
    /// Writes a network's running statistics to their places in the store; channels that it does not have stay.
    ///
    /// # Errors
    /// When a tensor is not the store's, or libtorch refuses.
    pub fn keep(&self, net: &Net) -> Result<(), NetError> {
        let statistics = net.tensors().into_iter().flatten().filter(|(p, _)| p.role == Role::Statistic);
        for (p, values) in statistics.filter(|(p, _)| !p.axes.is_empty()) {
            let entry = shared_entry(self.0, &p)?;
            let axes = if self.0.keeps_apart(&p) { &p.axes } else { &entry.axes };
            let all = Tensor::f_arange(entry.tensor.size()[0], (Kind::Int64, entry.tensor.device()));
            let places = cut_all(all.map_err(torch(&p.shared))?, axes, &p)?;
            let mut whole = entry.tensor.shallow_clone();
            let _ = whole.f_index_copy_(0, &places, &values).map_err(torch(&p.shared))?;
        }
        Ok(())
    }
}
