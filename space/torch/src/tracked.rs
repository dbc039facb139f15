//! Running statistics that a supernet shares like its weights: what training leaves where nobody recalibrates.

use mobilenas_space::ir::{ParamSpec, Role};
use tch::{Kind, Tensor};

use crate::error::{NetError, torch};
use crate::net::Net;
use crate::params::{Params, Shared, axes_in, slice, slice_of_entry};
use crate::store::ParamStore;

/// Slices of a supernet's tensors. Its running statistics come as copies, which [`TrackedStats::write_back`] returns.
#[derive(Clone, Copy, Debug)]
pub struct TrackedStats<'a>(pub &'a ParamStore);

impl Params for TrackedStats<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        if p.role != Role::Statistic {
            return Shared(self.0).get(p);
        }
        let slice = slice_of_entry(self.0, self.0.shared(p)?, p)?;
        let mut copy = slice.f_zeros_like().map_err(torch(&p.shared))?;
        copy.f_copy_(&slice).map_err(torch(&p.shared))?;
        Ok(copy)
    }
}

impl TrackedStats<'_> {
    /// Writes a network's running statistics to their slices of the store; the store's other channels stay.
    ///
    /// # Errors
    /// When a tensor is not the store's, or libtorch fails.
    pub fn write_back(&self, net: &Net) -> Result<(), NetError> {
        let statistics = net.tensors().into_iter().flatten().filter(|(p, _)| p.role == Role::Statistic);
        for (p, values) in statistics.filter(|(p, _)| !p.axes.is_empty()) {
            let entry = self.0.shared(&p)?;
            let all = Tensor::f_arange(entry.tensor.size()[0], (Kind::Int64, entry.tensor.device()));
            let channels = slice(all.map_err(torch(&p.shared))?, axes_in(self.0, entry, &p), &p)?;
            let mut whole = entry.tensor.shallow_clone();
            let _ = whole.f_index_copy_(0, &channels, &values).map_err(torch(&p.shared))?;
        }
        Ok(())
    }
}
