//! Training one network from scratch.

use std::sync::Arc;

use mobilenas_space::ir::{Graph, regularize};
use mobilenas_torch::{Mode, Net, Owned, Store};
use tch::{Kind, Tensor};

use super::batches::Batch;
use super::teacher::Teacher;
use super::trainer::{Ended, Lesson, Shown, Trainer};
use super::{TrainError, batch_loss, resized, right};
use crate::config::Precision;
use crate::progress::Progress;

/// One network that learns labels, and from a teacher if it has one.
#[derive(Debug)]
pub struct Single<'a> {
    /// The network, as the recipe trains it.
    pub net: &'a Net,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// The teacher.
    pub teacher: Option<&'a Teacher>,
}

/// Trains the network of a graph, whose tensors a store holds, as a trainer's recipe says.
///
/// # Errors
/// When the training fails.
pub fn train(
    trainer: &Trainer<'_>,
    store: &mut Store,
    bar: &Progress,
    graph: &Graph,
    teacher: Option<&Teacher>,
) -> Result<Ended, TrainError> {
    let recipe = &trainer.plan.recipe;
    let net = Net::bind(Arc::new(regularize(graph, &recipe.regularize())), &Owned(store))?;
    let net = match recipe.precision {
        Precision::Float32 => net,
        Precision::Bfloat16 => net.with_heavy(Kind::BFloat16),
    };
    trainer.run(store, bar, &mut Single { net: &net, label_smoothing: recipe.label_smoothing, teacher })
}

impl Single<'_> {
    /// The loss of the heads, and the logits that count as the network's answer. Without a teacher every head learns the
    /// labels; with one the first does, and the last learns from the teacher, as the EfficientFormers were trained.
    fn loss(&self, heads: &[Tensor], batch: &Batch) -> Result<Tensor, TrainError> {
        let labels = |logits: &Tensor| batch_loss(logits, batch, self.label_smoothing);
        let none = || TrainError::Torch("a network without a head".into());
        let (first, last) = (heads.first().ok_or_else(none)?, heads.last().ok_or_else(none)?);
        if let Some(teacher) = self.teacher {
            let (own, taught) = (labels(first)?, teacher.loss(&batch.images, last)?);
            let mixed =
                own.f_mul_scalar(1.0 - teacher.share()).and_then(|a| a.f_add(&taught.f_mul_scalar(teacher.share())?));
            return mixed.map_err(TrainError::torch);
        }
        let share = 1.0 / heads.len() as f64;
        let mut sum = labels(first)?.f_mul_scalar(share).map_err(TrainError::torch)?;
        for logits in &heads[1..] {
            sum = labels(logits)?.f_mul_scalar(share).and_then(|part| sum.f_add(&part)).map_err(TrainError::torch)?;
        }
        Ok(sum)
    }
}

impl Lesson for Single<'_> {
    fn step(&mut self, _: &Store, batch: &Batch, _: u64, share: f64) -> Result<Shown, TrainError> {
        let images = resized(&batch.images, self.net.graph().input().dims[1])?;
        let heads = self.net.heads(&images, Mode::TrainTracking)?;
        let heads =
            heads.iter().map(|h| h.f_to_kind(Kind::Float)).collect::<Result<Vec<_>, _>>().map_err(TrainError::torch)?;
        let loss = self.loss(&heads, batch)?;
        loss.f_mul_scalar(share).and_then(|l| l.f_backward()).map_err(TrainError::torch)?;
        Ok(Shown { loss: loss.detach(), right: right(&heads[0], &batch.labels)? })
    }

    fn trouble(&self, _: &Store, batch: &Batch) -> Result<Option<String>, TrainError> {
        let images = resized(&batch.images, self.net.graph().input().dims[1])?;
        Ok(self.net.first_not_finite(&images, Mode::Train)?)
    }
}
