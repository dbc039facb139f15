//! The features of regions, and networks that wait for them: what runs before regions are known, and what runs on them.

use mobilenas_space::ir::Op;
use mobilenas_space::ir::regions::{Corners, bins, level, spread};
use tch::{Kind, TchError, Tensor};

use crate::error::{NetError, op, torch};
use crate::mode::Mode;
use crate::net::Net;

/// A region of an image of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// The image's place in the batch.
    pub image: usize,
    /// Left, top, right and bottom in pixels of the images.
    pub corners: Corners,
}

/// The features of regions, `[R, C, side, side]`, from the maps `[B, C, H, W]` of a pyramid's levels. All bins of all regions
/// are one sum of rows with weights, so no gradient of a whole map is made for a single region.
pub(crate) fn features(maps: &[&Tensor], regions: &[Region], (side, stride): (u32, u32)) -> Result<Tensor, TchError> {
    let (mut tables, mut begins, mut end) = (Vec::with_capacity(maps.len()), Vec::with_capacity(maps.len()), 0);
    for map in maps {
        let (b, c, h, w) = map.size4()?;
        tables.push(map.f_permute([0, 2, 3, 1])?.f_reshape([-1, c])?);
        begins.push((end, h as usize, w as usize));
        end += b * h * w;
    }
    let (table, channels) = (Tensor::f_cat(&tables, 0)?, tables.first().map_or(0, |t| t.size()[1]));
    // Sums of many small parts need their digits.
    let table = if table.kind() == Kind::Double { table } else { table.f_to_kind(Kind::Float)? };
    let (mut places, mut weights, mut offsets): (Vec<i64>, Vec<f64>, Vec<i64>) = Default::default();
    for region in regions {
        let level = level(region.corners, maps.len());
        let Some((begin, rows, columns)) = begins.get(level).copied() else { continue };
        let begin = begin + (region.image * rows * columns) as i64;
        let stride = f64::from(stride) * (1u32 << level) as f64;
        bins(region.corners, stride, (rows, columns), side as usize, |taps| {
            offsets.push(places.len() as i64);
            for (at, weight) in taps {
                places.push(begin + at as i64);
                weights.push(weight);
            }
        });
    }
    let (n, side) = (regions.len() as i64, i64::from(side));
    if n == 0 {
        return table.f_narrow(0, 0, 0)?.f_reshape([0, channels, side, side]);
    }
    let device = table.device();
    let tensor = |v: &[i64]| Tensor::f_from_slice(v)?.f_to_device(device);
    let weights = Tensor::f_from_slice(&weights)?.f_to_device(device)?.f_to_kind(table.kind())?;
    let (sums, ..) = Tensor::f_embedding_bag(
        &table,
        &tensor(&places)?,
        &tensor(&offsets)?,
        false,
        SUM,
        false,
        Some(&weights),
        false,
    )?;
    sums.f_view([n, side, side, channels])?.f_permute([0, 3, 1, 2])
}

/// `embedding_bag`'s mode that adds.
const SUM: i64 = 0;

/// The features of regions that nobody names.
pub(crate) fn unnamed(maps: &[&Tensor], count: u32, (side, stride): (u32, u32)) -> Result<Tensor, TchError> {
    let Some(first) = maps.first() else { return Tensor::f_cat(maps, 0) };
    let (b, _, h, w) = first.size4()?;
    let size = |n: i64| f64::from(stride) * n as f64;
    let all = spread(count, (size(h), size(w)));
    let of_image = |image| all.iter().map(move |corners| Region { image, corners: *corners });
    let regions: Vec<Region> = (0..b as usize).flat_map(of_image).collect();
    features(maps, &regions, (side, stride))
}

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
