//! Plans: the blocks of a network, before they are lowered.

use smallvec::SmallVec;

use super::dilated::Dilated;
use super::dilation::Dilation;
use super::{BN_EPS_E7, Block, Builder, Graph, InitStyle, Path, PathSegment, Sections, ShapeError, Val, Value};

/// What stands for the image among the blocks that a block reads.
pub const IMAGE: usize = usize::MAX;

/// A block at its position in a network.
#[derive(Debug)]
pub struct PlacedBlock {
    /// Its path in the stand-alone network.
    pub path: Path,
    /// Its path in the supernet.
    pub shared: Path,
    /// The block.
    pub block: Box<dyn Block>,
    /// The blocks whose values it reads, by index, or [`IMAGE`]; none for the one before it or, of the first block, the image.
    pub reads: Vec<usize>,
}

impl PlacedBlock {
    fn append(&self, b: &mut Builder, values: &[Val]) -> Result<Val, ShapeError> {
        b.block((&self.path, &self.shared), self.block.kind(), values, |b| self.block.lower_all(b, values))
    }

    /// The block as a graph of its own, over given values.
    pub fn standalone(&self, inputs: &[Value], style: InitStyle) -> Result<Graph, ShapeError> {
        let mut b = Builder::of_inputs(inputs.iter().cloned(), style);
        let values: SmallVec<[Val; 2]> = (0..inputs.len()).map(Builder::input).collect();
        let out = self.append(&mut b, &values)?;
        Ok(b.finish(out))
    }
}

/// A feature map of a network, which heads read.
#[derive(Clone, Debug)]
pub struct Feature {
    /// The block that gives it.
    pub block: usize,
    /// Pixels of the image from one of its positions to the next, before the network is dilated.
    pub stride: u32,
    /// Its type.
    pub value: Value,
}

/// A block through which heads read the value of another.
#[derive(Debug)]
struct Tap {
    block: usize,
    path: Path,
    through: Box<dyn Block>,
}

/// A network as a list of blocks: what a family makes of a configuration, before lowering.
#[derive(Debug)]
pub struct Plan {
    /// The image.
    pub input: Value,
    /// How tensors are initialised.
    pub style: InitStyle,
    /// Epsilon of the batch norms, in units of 1e-7.
    pub bn_eps_e7: u32,
    /// The blocks, in order; unless it says otherwise, each reads the value of the one before.
    pub blocks: Vec<PlacedBlock>,
    /// Names of outputs, and the blocks that give them; none for the last block's `logits`.
    pub outputs: Vec<(&'static str, usize)>,
    taps: Vec<Tap>,
}

impl Plan {
    /// An empty chain over an image.
    pub fn new(input: Value, style: InitStyle) -> Plan {
        let (blocks, outputs, taps) = (Vec::with_capacity(32), Vec::new(), Vec::new());
        Plan { input, style, bn_eps_e7: BN_EPS_E7, blocks, outputs, taps }
    }

    /// An empty chain over an RGB image of `resolution` x `resolution`.
    pub fn of_image(resolution: u32, style: InitStyle) -> Plan {
        Plan::new(Value::map(Sections::plain(3), resolution, resolution), style)
    }

    /// Appends a block whose path in the supernet is its path in the stand-alone network.
    pub fn push(&mut self, path: Path, block: impl Block + 'static) {
        self.push_shared(path.clone(), path, block);
    }

    /// Appends a block with another path in the supernet.
    pub fn push_shared(&mut self, path: Path, shared: Path, block: impl Block + 'static) {
        self.blocks.push(PlacedBlock { path, shared, block: Box::new(block), reads: Vec::new() });
    }

    /// Appends a block that reads the values of others, and gives its index.
    pub fn push_reading(&mut self, path: Path, reads: Vec<usize>, block: impl Block + 'static) -> usize {
        self.blocks.push(PlacedBlock { path: path.clone(), shared: path, block: Box::new(block), reads });
        self.blocks.len() - 1
    }

    /// Parts a block in two, so that its expanded map can be read: the block itself, and the next one. Whether it has one.
    pub fn split(&mut self, block: usize) -> bool {
        let Some([first, second]) = self.blocks.get(block).and_then(|p| p.block.split()) else { return false };
        let place = &mut self.blocks[block];
        place.block = first;
        let rest =
            PlacedBlock { path: place.path.clone(), shared: place.shared.clone(), block: second, reads: Vec::new() };
        for read in self.blocks.iter_mut().flat_map(|p| &mut p.reads).filter(|read| (block..IMAGE).contains(*read)) {
            *read += 1;
        }
        self.blocks.insert(block + 1, rest);
        true
    }

    /// Says that heads read the value of the last block through another one, which no classifier has.
    pub fn tap(&mut self, path: Path, through: impl Block + 'static) {
        let block = self.blocks.len().saturating_sub(1);
        self.taps.push(Tap { block, path, through: Box::new(through) });
    }

    /// Lowers the blocks to operations.
    ///
    /// # Errors
    /// When a size does not fit; the message names the operation.
    pub fn lower(&self) -> Result<Graph, ShapeError> {
        let (b, values, last) = self.append()?;
        if self.outputs.is_empty() {
            return Ok(b.finish(last));
        }
        let outputs: Vec<_> = self.outputs.iter().map(|(name, block)| (*name, values[*block])).collect();
        Ok(b.finish_with(&outputs))
    }

    /// The blocks in a builder, the value of each, and that of the last.
    fn append(&self) -> Result<(Builder, Vec<Val>, Val), ShapeError> {
        let (mut b, image) = Builder::new(self.input.clone(), self.style);
        let mut last = image;
        b.set_bn_eps(self.bn_eps_e7);
        let mut values = Vec::with_capacity(self.blocks.len());
        for p in &self.blocks {
            let reads: SmallVec<[Val; 2]> =
                p.reads.iter().map(|i| if *i == IMAGE { image } else { values[*i] }).collect();
            last = p.append(&mut b, if reads.is_empty() { std::slice::from_ref(&last) } else { &reads })?;
            values.push(last);
        }
        Ok((b, values, last))
    }

    /// The type of the image, then that of each block's value.
    fn values(&self) -> Result<Vec<Value>, ShapeError> {
        let (b, values, _) = self.append()?;
        Ok([&self.input].into_iter().chain(values.iter().map(|v| b.value(*v))).cloned().collect())
    }

    /// The network without what comes after its last feature map, its paths below a prefix, and dilated to an output stride
    /// if one is given; and its feature maps, from the largest. Those are what the family taps or else, for each stride, the
    /// value of the last block.
    ///
    /// What comes after the last stage is no feature. A block belongs to a stage if its path has an index, as in
    /// `stages.3.1` and `blocks.6.0`; stem, classifier and the convolutions before it have none.
    ///
    /// # Errors
    /// When a size does not fit.
    pub fn into_backbone(
        mut self,
        prefix: &'static str,
        output_stride: Option<u32>,
    ) -> Result<(Plan, Vec<Feature>), ShapeError> {
        let prefix = &Path::root().at(prefix);
        for placed in &mut self.blocks {
            (placed.path, placed.shared) = (placed.path.below(prefix), placed.shared.below(prefix));
        }
        let mut last: Vec<(u32, usize)> = Vec::new();
        if self.taps.is_empty() {
            let of_stage = |p: &PlacedBlock| p.path.segments().iter().any(|s| matches!(s, PathSegment::Index(_)));
            let end = self.blocks.iter().rposition(of_stage).map_or(0, |i| i + 1);
            for (block, value) in self.values()?[1..].iter().take(end).enumerate() {
                let Some(stride) = stride(&self.input, value) else { continue };
                match last.last_mut() {
                    Some(last) if last.0 == stride => last.1 = block,
                    _ => last.push((stride, block)),
                }
            }
        }
        let mut blocks: Vec<usize> = last.into_iter().map(|(_, block)| block).collect();
        let most = blocks.iter().copied().chain(self.taps.iter().map(|t| t.block)).max();
        self.blocks.truncate(most.map_or(0, |m| m + 1));
        for Tap { block, path, through } in std::mem::take(&mut self.taps) {
            let path = path.below(prefix);
            self.blocks.push(PlacedBlock { path: path.clone(), shared: path, block: through, reads: vec![block] });
            blocks.push(self.blocks.len() - 1);
        }
        let values = self.values()?;
        let strides = blocks.iter().map(|block| stride(&self.input, &values[block + 1])).collect::<Vec<_>>();
        let (plan, values) = match output_stride {
            Some(most) => {
                let plan = self.dilated(most, &values);
                let values = plan.values()?;
                (plan, values)
            }
            None => (self, values),
        };
        let feature = |(block, stride): (usize, Option<u32>)| {
            stride.map(|stride| Feature { block, stride, value: values[block + 1].clone() })
        };
        let features = blocks.into_iter().zip(strides).filter_map(feature).collect();
        Ok((plan, features))
    }

    /// Drops the blocks whose values no output reads, such as stages beyond the maps that a head takes. A plan that names
    /// no outputs stays as it is.
    pub fn drop_unread(&mut self) {
        if self.outputs.is_empty() {
            return;
        }
        let mut read = vec![false; self.blocks.len()];
        self.outputs.iter().for_each(|(_, block)| read[*block] = true);
        for (i, placed) in self.blocks.iter_mut().enumerate().rev() {
            if placed.reads.is_empty() {
                placed.reads.push(if i == 0 { IMAGE } else { i - 1 });
            }
            if read[i] {
                placed.reads.iter().filter(|r| **r != IMAGE).for_each(|r| read[*r] = true);
            }
        }
        let place = |i: &mut usize| {
            if *i != IMAGE {
                *i = read[..*i].iter().filter(|r| **r).count();
            }
        };
        let mut kept = read.iter();
        self.blocks.retain(|_| kept.next() == Some(&true));
        self.blocks.iter_mut().flat_map(|p| &mut p.reads).for_each(place);
        self.outputs.iter_mut().for_each(|(_, block)| place(block));
    }

    /// The network with positions no further apart than `output_stride` pixels: strides beyond become 1, and the windows
    /// after them are dilated instead, as far as each block lets them be. `values` are those without dilation.
    fn dilated(mut self, output_stride: u32, values: &[Value]) -> Plan {
        let (mut so_far, mut rate) = (1, 1);
        for (i, mut placed) in std::mem::take(&mut self.blocks).into_iter().enumerate() {
            let from = placed.reads.first().map_or(i, |block| block.wrapping_add(1));
            let by = stride(&values[from], &values[i + 1]).unwrap_or(1);
            let unstride = by > 1 && so_far * by > output_stride;
            if unstride || rate > 1 {
                placed.block = Box::new(Dilated { inner: placed.block, dilation: Dilation { rate, unstride } });
            }
            self.blocks.push(placed);
            if unstride {
                rate *= by;
            } else {
                so_far *= by;
            }
        }
        self
    }
}

/// How many pixels of one map lie from one position of another to the next, as a power of two.
fn stride(from: &Value, to: &Value) -> Option<u32> {
    let ((from, _), (to, _)) = (from.hw()?, to.hw()?);
    Some(((2 * from + to) / (2 * to).max(1)).max(1).next_power_of_two())
}
