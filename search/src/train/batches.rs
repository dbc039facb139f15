//! Batches of images as tensors: augmented for training, as they are for scoring.

use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use tch::Tensor;

use super::TrainError;
use super::augment::{Augment, augment};
use crate::data::Labelled;
use crate::seed::{Purpose, rng};

/// Mean and standard deviation of the pixels of a training split, in [0, 1]; images are normalised by them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

impl Norm {
    /// Of the images at the given positions.
    pub fn of(data: &Labelled, indices: &[usize]) -> Norm {
        let size = data.images.height * data.images.width;
        let (mut sum, mut squares) = (0u64, 0u64);
        for &i in indices {
            for &p in &data.images.pixels[i * size..(i + 1) * size] {
                sum += u64::from(p);
                squares += u64::from(p) * u64::from(p);
            }
        }
        let n = (indices.len() * size).max(1) as f64;
        let mean = sum as f64 / n;
        let std = (squares as f64 / n - mean * mean).max(1.0).sqrt();
        Norm { mean: (mean / 255.0) as f32, std: (std / 255.0) as f32 }
    }
}

/// Images `[B, 1, H, W]` and labels `[B]`.
#[derive(Debug)]
pub struct Batch {
    /// Normalised pixels.
    pub images: Tensor,
    /// Class of each image.
    pub labels: Tensor,
}

/// Images at the given positions. Each image's augmentation depends on (seed, step, place in the batch) alone.
///
/// # Errors
/// When libtorch refuses.
pub fn batch(
    data: &Labelled,
    indices: &[usize],
    norm: Norm,
    how: Augment,
    seed: u64,
    step: u64,
) -> Result<Batch, TrainError> {
    let (h, w) = (data.images.height, data.images.width);
    let size = h * w;
    let mut pixels = vec![0f32; indices.len() * size];
    pixels.par_chunks_mut(size).zip(indices.par_iter()).enumerate().for_each(|(slot, (out, &i))| {
        let image = &data.images.pixels[i * size..(i + 1) * size];
        let mut rng = rng(seed, Purpose::Augment, step, slot as u64);
        augment(image, (h, w), how, (norm.mean, norm.std), &mut rng, out);
    });
    let labels: Vec<i64> = indices.iter().map(|&i| i64::from(data.labels[i])).collect();
    let images = Tensor::f_from_slice(&pixels).and_then(|t| t.f_view([indices.len() as i64, 1, h as i64, w as i64]));
    let labels = Tensor::f_from_slice(&labels);
    Ok(Batch { images: images.map_err(TrainError::torch)?, labels: labels.map_err(TrainError::torch)? })
}

/// The order of images over epochs: a fresh shuffle each, by (seed, epoch); an epoch's last, short batch is left out.
#[derive(Debug)]
pub struct Order {
    indices: Vec<usize>,
    size: usize,
    seed: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// Over the given positions, `size` at a time.
    pub fn new(indices: Vec<usize>, size: usize, seed: u64) -> Order {
        let size = size.clamp(1, indices.len().max(1));
        Order { indices, size, seed, epoch: None }
    }

    /// Batches in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.indices.len() / self.size).max(1) as u64
    }

    /// Positions of the images of a step, counted from 0 over all epochs.
    pub fn at(&mut self, step: u64) -> &[usize] {
        let (epoch, within) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        let stale = self.epoch.as_ref().is_none_or(|(e, _)| *e != epoch);
        if stale {
            let mut order = self.indices.clone();
            order.shuffle(&mut rng(self.seed, Purpose::Order, epoch, 0));
            self.epoch = Some((epoch, order));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, o)| o);
        let from = within * self.size;
        &order[from.min(order.len())..(from + self.size).min(order.len())]
    }
}
