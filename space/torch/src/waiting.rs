//! Networks that wait for regions: what runs before regions are known, and what runs on them.

use mobilenas_space::ir::Op;
use tch::{TchError, Tensor};

use crate::error::{NetError, op, torch};
use crate::input;
use crate::mode::Mode;
use crate::net::Net;
use crate::regions::{Region, features};

/// A network that has run as far as it does without regions.
#[derive(Debug)]
pub struct Waiting {
    net: Net,
    mode: Mode,
    /// Outputs that need no regions, in the order of the graph.
    pub outputs: Vec<Tensor>,
    /// Each node that reads regions, with the maps that they are cut from.
    stages: Vec<(usize, Vec<Tensor>)>,
}

impl Waiting {
    /// Runs what reads the features of regions, and gives its outputs in the order of the graph, each with a row for each
    /// region. `stage` says which: stages are in the order of the graph.
    ///
    /// # Errors
    /// When there is no such stage, or an operation fails; the message names it.
    pub fn outputs_of(&self, stage: usize, regions: &[Region]) -> Result<Vec<Tensor>, NetError> {
        let missing = || NetError::NoValue { at: format!("stage {stage} of regions") };
        let (node, maps) = self.stages.get(stage).ok_or_else(missing)?;
        let of = &self.net.graph().nodes[*node];
        let Op::Regions { side, stride, .. } = of.op else { return Err(missing()) };
        let maps: Vec<&Tensor> = maps.iter().collect();
        let cut = features(&maps, regions, (side, stride)).map_err(torch(&of.path))?;
        self.net.run_after(*node, cut, self.mode)
    }

    /// The same without gradients: outputs and maps are detached.
    pub fn detached(&self) -> Waiting {
        let detached = |all: &[Tensor]| all.iter().map(Tensor::detach).collect();
        Waiting {
            net: self.net.same(),
            mode: self.mode,
            outputs: detached(&self.outputs),
            stages: self.stages.iter().map(|(node, maps)| (*node, detached(maps))).collect(),
        }
    }
}

impl Net {
    /// Runs a batch of images as far as no regions are needed; none if the graph reads no regions.
    ///
    /// # Errors
    /// When an operation fails; the message names it.
    pub fn until_regions(&self, images: &Tensor, mode: Mode) -> Result<Option<Waiting>, NetError> {
        let roots = self.graph().region_roots();
        let stages: Vec<usize> = (0..roots.len()).filter(|i| roots[*i] == Some(*i)).collect();
        if stages.is_empty() {
            return Ok(None);
        }
        let nodes = &self.graph().nodes;
        let outputs: Vec<usize> = self.graph().outputs.iter().map(|o| o.node).filter(|o| roots[*o].is_none()).collect();
        let maps = stages.iter().flat_map(|s| nodes[*s].inputs.iter().map(|i| *i as usize));
        let wanted: Vec<usize> = outputs.iter().copied().chain(maps).collect();
        let mut values = self.run_before(images, mode, &wanted, |i| roots[i].is_none())?.into_iter();
        let outputs = values.by_ref().take(outputs.len()).collect();
        let with_maps = |s: &usize| (*s, values.by_ref().take(nodes[*s].inputs.len()).collect());
        let stages = stages.iter().map(with_maps).collect();
        Ok(Some(Waiting { net: self.same(), mode, outputs, stages }))
    }

    /// Runs those nodes for which `part` holds on a batch of images, and gives the values of `wanted` ones.
    fn run_before(
        &self,
        images: &Tensor,
        mode: Mode,
        wanted: &[usize],
        part: impl Fn(usize) -> bool,
    ) -> Result<Vec<Tensor>, NetError> {
        self.run_part((0, input::values(self.graph(), &[images])?), mode, wanted, part, |_, _| Ok(()))
    }

    /// Runs the nodes after one for which `part` holds, from its value.
    fn run_from(
        &self,
        node: usize,
        value: Tensor,
        mode: Mode,
        wanted: &[usize],
        part: impl Fn(usize) -> bool,
    ) -> Result<Vec<Tensor>, NetError> {
        self.run_part((node, vec![Some(value)]), mode, wanted, part, |_, _| Ok(()))
    }

    /// The outputs after a node that reads regions, from its value.
    fn run_after(&self, node: usize, value: Tensor, mode: Mode) -> Result<Vec<Tensor>, NetError> {
        let roots = self.graph().region_roots();
        let after = |i: &usize| roots[*i] == Some(node);
        let wanted: Vec<usize> = self.graph().outputs.iter().map(|o| o.node).filter(after).collect();
        if value.size().first() == Some(&0) {
            // No region: libtorch's kernels do not all take an empty batch.
            let empty = |i: &usize| {
                let size: Vec<i64> =
                    std::iter::once(0).chain(self.graph().nodes[*i].value.dims.iter().map(|d| i64::from(*d))).collect();
                Tensor::f_zeros(size.as_slice(), (value.kind(), value.device())).map_err(op_at(self, *i))
            };
            return wanted.iter().map(empty).collect();
        }
        self.run_from(node, value, mode, &wanted, |i| roots[i] == Some(node))
    }
}

fn op_at(net: &Net, node: usize) -> impl Fn(TchError) -> NetError {
    let path = net.graph().nodes[node].path.clone();
    move |e| op(&path)(e.into())
}
