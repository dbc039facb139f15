//! Where a training's batches come from.

use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;
use tch::Tensor;

use super::sampler::{Draw, Order};
use super::{Batch, Sampler, Stream, View};
use crate::data::DataError;
use crate::seed::{Purpose, rng};
use crate::train::TrainError;
use crate::train::augment::Augment;

/// What happens to images on their way into a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Augmentation.
    pub augment: Augment,
    /// Which images a step takes.
    pub sampler: Sampler,
    /// Label smoothing; it goes into the targets where batches are mixed, and is the loss's elsewhere.
    pub label_smoothing: f64,
    /// Threads that make batches.
    pub threads: usize,
}

/// The batches of a training. The batch of a step depends on the images, the recipe, the seed and the step alone; a cheap
/// handle, of which there may be several.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    view: View,
    order: Order,
    recipe: Recipe,
    seed: u64,
    pool: ThreadPool,
}

/// Draws of an image that stands in for a damaged one.
const TRIES: u64 = 100;

impl Feed {
    /// Batches of the images at the given positions of a set.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn new(view: View, indices: &[usize], recipe: Recipe, seed: u64) -> Result<Feed, DataError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(recipe.threads.max(1))
            .thread_name(|i| format!("images-{i}"))
            .build()
            .map_err(|e| DataError::Threads(e.to_string()))?;
        let order = Order::new(indices.to_vec(), recipe.sampler.clone(), seed);
        Ok(Feed(Arc::new(Inner { view, order, recipe, seed, pool })))
    }

    /// Steps of a number of epochs, which may be a fraction; rounded.
    pub fn steps(&self, epochs: f64) -> u64 {
        self.0.order.steps(epochs)
    }

    /// Epochs done when so many steps are.
    pub fn epochs(&self, steps: u64) -> f64 {
        self.0.order.epochs(steps)
    }

    /// Images an epoch passes.
    pub fn images(&self) -> usize {
        self.0.order.images()
    }

    /// What happens to images.
    pub fn recipe(&self) -> &Recipe {
        &self.0.recipe
    }

    /// The images.
    pub fn view(&self) -> &View {
        &self.0.view
    }

    /// Positions, in the set, of the images of a step.
    pub fn positions(&self, step: u64) -> Vec<usize> {
        self.0.order.at(step).indices
    }

    /// Side of a step's images in pixels.
    pub fn side(&self, step: u64) -> usize {
        self.0.view.shape(self.0.order.at(step).side).2
    }

    /// Bytes of the largest batch.
    pub fn batch_bytes(&self) -> usize {
        let (n, side) = self.0.order.largest();
        let (c, h, w) = self.0.view.shape(side);
        4 * n * c * h * w
    }

    /// Batches that may wait for the training: fewer of large ones.
    pub fn ahead(&self) -> usize {
        const ROOM: usize = 128 << 20;
        (ROOM / self.batch_bytes().max(1)).clamp(1, 4)
    }

    /// The most bytes that a stream of batches takes: images being decoded, batches that wait, one that is made, one that is
    /// copied into a tensor, and that tensor.
    pub fn bound(&self) -> usize {
        self.0.view.budget.limit() + (self.ahead() + 3) * self.batch_bytes()
    }

    /// The batch of a step, counted from 0 over all epochs, made here and now.
    ///
    /// # Errors
    /// When there are too many damaged images, or libtorch refuses.
    pub fn at(&self, step: u64) -> Result<Batch, TrainError> {
        self.0.made(step, Vec::new())?.batch()
    }

    /// The batch of a step, not yet a tensor; its values go into `values`, whatever is in there.
    pub(super) fn made(&self, step: u64, values: Vec<f32>) -> Result<Made, TrainError> {
        self.0.made(step, values)
    }

    /// The batches of the steps from `first` up to `end`, made ahead by threads of their own until the stream is dropped.
    pub fn stream(&self, first: u64, end: u64) -> Stream {
        Stream::new(self.clone(), first, end, self.ahead())
    }
}

/// A batch's values, before they are a tensor.
#[derive(Debug)]
pub(super) struct Made {
    /// `[B, C, H, W]`
    pub(super) values: Vec<f32>,
    labels: Vec<i64>,
    targets: Option<Tensor>,
    shape: (usize, usize, usize),
}

impl Made {
    pub(super) fn batch(&self) -> Result<Batch, TrainError> {
        let targets = self.targets.as_ref().map(Tensor::shallow_clone);
        Ok(Batch { targets, ..Batch::new(&self.values, &self.labels, self.shape)? })
    }
}

impl Inner {
    fn made(&self, step: u64, mut values: Vec<f32>) -> Result<Made, TrainError> {
        let Draw { indices, side } = self.order.at(step);
        let shape = self.view.shape(side);
        let size = shape.0 * shape.1 * shape.2;
        // Every value is written: what is left of another batch does no harm.
        values.resize(indices.len() * size, 0.0);
        let labels = self.pool.install(|| {
            let slots = values.par_chunks_mut(size).zip(indices.par_iter()).enumerate();
            let one = |(slot, (out, i)): (usize, (&mut [f32], &usize))| self.slot(step, slot as u64, *i, side, out);
            slots.map(one).collect::<Result<Vec<i64>, DataError>>()
        })?;
        let Some(mix) = self.recipe.augment.mix else { return Ok(Made { values, labels, targets: None, shape }) };
        let (size, classes) = ((shape.1, shape.2), self.view.data.classes.len());
        let mixed = mix.draw(size, &mut rng(self.seed, Purpose::Mix, step, 0));
        mixed.images(&mut values, labels.len(), size);
        let targets = mixed.targets(&labels, classes, self.recipe.label_smoothing, size);
        let shape_of = [labels.len() as i64, classes as i64];
        let targets = Tensor::f_from_slice(&targets).and_then(|t| t.f_view(shape_of)).map_err(TrainError::torch)?;
        Ok(Made { values, labels, targets: Some(targets), shape })
    }

    /// Writes the image of a slot, and gives its label. For a damaged image another of the split stands in, always the same.
    fn slot(&self, step: u64, slot: u64, image: usize, side: Option<u32>, out: &mut [f32]) -> Result<i64, DataError> {
        let mut i = image;
        for attempt in 0..TRIES {
            let mut draw = rng(self.seed, Purpose::Augment, step, slot);
            match self.view.training(i, &self.recipe.augment, side, &mut draw, out) {
                Ok(()) => return Ok(i64::from(self.view.data.labels[i])),
                Err(why) => self.view.damage.note(i, &self.view.data.images.name(i), &why)?,
            }
            i = self.order.other(&mut rng(self.seed, Purpose::Replace, image as u64, attempt));
        }
        let list = self.view.damage.list();
        Err(DataError::TooDamaged { all: self.order.images(), limit: list.len(), list })
    }
}
