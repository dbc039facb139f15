//! The data loader: the batches of a training.

use std::sync::Arc;

use mobilenas_space::seed::{Purpose, rng};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::sampler::{Draw, Order};
use super::{Batch, Prefetcher, Sampler, Share, TransformedDataset};
use crate::transform::Augment;
use crate::{DataError, Target};

/// What happens to images on their way into a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Augmentation.
    pub augment: Augment,
    /// Which images a step takes.
    pub sampler: Sampler,
    /// Label smoothing; it goes into the targets where batches are mixed, and is the loss's elsewhere.
    pub label_smoothing: f64,
    /// Threads that make batches.
    pub threads: usize,
}

/// The batches of a training. The batch of a step depends on the images, the settings, the seed and the step alone; a cheap
/// handle, of which there may be several.
#[derive(Clone, Debug)]
pub struct DataLoader(Arc<Inner>, Share);

#[derive(Debug)]
struct Inner {
    images: TransformedDataset,
    order: Order,
    config: LoaderConfig,
    seed: u64,
    pool: ThreadPool,
}

/// Draws of an image that stands in for a damaged one.
const TRIES: u64 = 100;

impl DataLoader {
    /// Batches of the images at the given positions of a set.
    ///
    /// # Errors
    /// When there are no threads to be had.
    pub fn new(
        images: TransformedDataset,
        indices: &[usize],
        config: LoaderConfig,
        seed: u64,
    ) -> Result<DataLoader, DataError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.threads.max(1))
            .thread_name(|i| format!("images-{i}"))
            .build()
            .map_err(|e| DataError::Threads(e.to_string()))?;
        let order = Order::new(indices.to_vec(), config.sampler.clone(), seed);
        Ok(DataLoader(Arc::new(Inner { images, order, config, seed, pool }), Share::WHOLE))
    }

    /// The same batches, of which this process makes a part.
    pub fn share(&self, share: Share) -> DataLoader {
        DataLoader(self.0.clone(), share)
    }

    /// Images in the whole batch of a step.
    pub fn count(&self, step: u64) -> usize {
        self.0.order.at(step).indices.len()
    }

    /// The fewest images that a part of a batch has where batches are made in so many parts.
    pub fn smallest_share(&self, ranks: usize) -> usize {
        let parts = (0..ranks).map(|rank| self.0.slots(self.0.order.smallest(), Share { rank, ranks }).len());
        parts.min().unwrap_or(0)
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
    pub fn images_per_epoch(&self) -> usize {
        self.0.order.images()
    }

    /// What happens to images.
    pub fn config(&self) -> &LoaderConfig {
        &self.0.config
    }

    /// The images.
    pub fn images(&self) -> &TransformedDataset {
        &self.0.images
    }

    /// Positions, in the set, of the images of a step.
    pub fn positions(&self, step: u64) -> Vec<usize> {
        self.0.order.at(step).indices
    }

    /// Side of a step's images in pixels.
    pub fn side(&self, step: u64) -> usize {
        self.0.images.shape(self.0.order.at(step).side).2
    }

    /// Bytes of the largest batch, or of its part.
    pub fn batch_bytes(&self) -> usize {
        let (n, side) = self.0.order.largest();
        let n = self.0.slots(n, self.1).len();
        let (c, h, w) = self.0.images.shape(side);
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
        self.0.images.budget.limit() + (self.ahead() + 3) * self.batch_bytes()
    }

    /// The batch of a step, counted from 0 over all epochs, made here and now.
    ///
    /// # Errors
    /// When there are too many damaged images.
    pub fn at(&self, step: u64) -> Result<Batch, DataError> {
        self.0.batch(step, self.1, Vec::new())
    }

    /// The batches of the steps from `first` up to `end`, each converted (to tensors, say), made ahead by threads of their
    /// own until the prefetcher is dropped.
    pub fn prefetch<T: Send + 'static>(
        &self,
        first: u64,
        end: u64,
        convert: impl Fn(&Batch) -> T + Send + 'static,
    ) -> Prefetcher<T> {
        let (inner, share) = (Arc::clone(&self.0), self.1);
        Prefetcher::new(move |step, values| inner.batch(step, share, values), (first, end), self.ahead(), convert)
    }
}

impl Inner {
    fn slots(&self, n: usize, share: Share) -> Vec<usize> {
        share.slots(n, self.config.augment.mix.is_some())
    }

    fn batch(&self, step: u64, share: Share, mut values: Vec<f32>) -> Result<Batch, DataError> {
        let Draw { indices, side } = self.order.at(step);
        let slots = self.slots(indices.len(), share);
        let shape = self.images.shape(side);
        let size = shape.0 * shape.1 * shape.2;
        // Every value is written: what is left of another batch does no harm.
        values.resize(slots.len() * size, 0.0);
        let targets = self.pool.install(|| {
            let places = values.par_chunks_mut(size).zip(slots.par_iter());
            let one = |(out, slot): (&mut [f32], &usize)| self.slot(step, *slot as u64, indices[*slot], side, out);
            places.map(one).collect::<Result<Vec<Target>, DataError>>()
        })?;
        let Some(mix) = self.config.augment.mix else { return Ok(Batch { values, shape, targets, mixed: None }) };
        let (size, classes) = ((shape.1, shape.2), self.images.data.classes.len());
        let mixed = mix.draw(size, &mut rng(self.seed, Purpose::Mix, step, 0));
        mixed.images(&mut values, targets.len(), size);
        let mixed = mixed.targets(&targets, classes, self.config.label_smoothing, size);
        Ok(Batch { values, shape, targets, mixed: Some(mixed) })
    }

    /// Writes the image of a slot, and gives its label. For a damaged image another of the split stands in, always the same.
    fn slot(
        &self,
        step: u64,
        slot: u64,
        image: usize,
        side: Option<u32>,
        out: &mut [f32],
    ) -> Result<Target, DataError> {
        let mut i = image;
        for attempt in 0..TRIES {
            let mut draw = rng(self.seed, Purpose::Augment, step, slot);
            match self.images.training(i, &self.config.augment, side, &mut draw, out) {
                Ok(target) => return Ok(target),
                Err(why) => self.images.damaged.add(i, &self.images.data.images.name(i), &why)?,
            }
            i = self.order.other(&mut rng(self.seed, Purpose::Replace, image as u64, attempt));
        }
        let list = self.images.damaged.list();
        Err(DataError::TooDamaged { all: self.order.images(), limit: list.len(), list })
    }
}
