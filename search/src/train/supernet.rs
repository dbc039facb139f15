//! The sandwich rule (BigNAS, Yu et al., 2020): each step trains the largest subnet on the labels, and the smallest and
//! some random ones on the largest one's predictions.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_space::{Genome, Space};
use mobilenas_torch::{Mode, Net, Shared, Store};
use tch::Tensor;

use super::batches::Batch;
use super::{TrainError, batch_loss, resized, soft_cross_entropy};
use crate::seed::{Purpose, rng};

/// Which subnets a step trains, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Sandwich {
    /// Random subnets beside the largest and the smallest.
    pub random: u32,
    /// Whether the others learn from the largest one's predictions instead of the labels.
    pub distill: bool,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Seed of the random subnets.
    pub seed: u64,
}

/// Graphs of subnets that were lowered before.
#[derive(Debug, Default)]
pub struct Graphs(HashMap<Genome, Arc<Graph>>);

/// The most graphs remembered: a space may have more genomes than memory has room.
const REMEMBERED: usize = 4096;

impl Graphs {
    /// The graph of a genome.
    ///
    /// # Errors
    /// When the choices do not fit each other.
    pub fn of(&mut self, space: &Space, genome: &Genome) -> Result<Arc<Graph>, TrainError> {
        if let Some(g) = self.0.get(genome) {
            return Ok(g.clone());
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let graph = Arc::new(space.lower(genome)?);
        self.0.insert(genome.clone(), graph.clone());
        Ok(graph)
    }
}

impl Sandwich {
    /// Adds the gradients of one step's subnets; gives the largest one's loss.
    ///
    /// # Errors
    /// When libtorch refuses, or a random genome does not fit.
    pub fn step(
        &self,
        space: &Space,
        graphs: &mut Graphs,
        store: &Store,
        batch: &Batch,
        step: u64,
    ) -> Result<Tensor, TrainError> {
        let mut run = |genome: &Genome| -> Result<Tensor, TrainError> {
            let graph = graphs.of(space, genome)?;
            let images = resized(&batch.images, graph.input().dims[1])?;
            Ok(Net::bind(graph, &Shared(store))?.forward(&images, Mode::Train)?)
        };
        let logits = run(&space.largest())?;
        let teacher = logits.f_detach().and_then(|t| t.f_softmax(-1, None)).map_err(TrainError::torch)?;
        let loss = batch_loss(&logits, batch, self.label_smoothing)?;
        loss.f_backward().map_err(TrainError::torch)?;
        drop(logits);
        let random =
            (0..self.random).map(|slot| space.sample(&mut rng(self.seed, Purpose::Subnets, step, slot.into())));
        for genome in std::iter::once(space.smallest()).chain(random) {
            let logits = run(&genome)?;
            let loss = match self.distill {
                true => soft_cross_entropy(&logits, &teacher)?,
                false => batch_loss(&logits, batch, self.label_smoothing)?,
            };
            loss.f_backward().map_err(TrainError::torch)?;
        }
        Ok(loss.detach())
    }
}
