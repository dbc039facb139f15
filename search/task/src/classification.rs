//! Image classification: one class an image.

use std::any::Any;

use mobilenas_record::{Goal, MetricInfo, Stage};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::distill::{Distillation, soft_cross_entropy};
use crate::{Meter, Outputs, Targets, Task, TaskError};

/// Share of images whose largest logit is their class's.
pub const TOP1: MetricInfo =
    MetricInfo { name: "top1", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Top-1" };

/// [`TOP1`] of the network's int8 file.
pub const TOP1_INT8: MetricInfo =
    MetricInfo { name: "top1_int8", stage: Stage::Quantized, label: "Top-1 int8", ..TOP1 };

/// [`TOP1`] on the test split, after training from scratch.
pub const TEST_TOP1: MetricInfo =
    MetricInfo { name: "test_top1", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Test top-1" };

const NAME: &str = "classification";

/// Image classification.
#[derive(Clone, Copy, Debug)]
pub struct Classification;

impl Task for Classification {
    fn name(&self) -> &'static str {
        NAME
    }

    fn metrics(&self) -> &'static [MetricInfo] {
        &[TOP1]
    }

    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError> {
        let Targets::Classes { labels, mixed } = targets else {
            return Err(TaskError::Target { task: NAME, expected: "class" });
        };
        let one = |logits: &Tensor| match mixed {
            Some(mixed) => soft_cross_entropy(logits, mixed),
            None => logits.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Mean, -100, label_smoothing),
        };
        mean_over_heads(&outputs.heads, one).map_err(TaskError::torch(NAME))
    }

    fn example(&self, images: usize, _: (usize, usize)) -> Result<Targets, TaskError> {
        Targets::classes(&vec![0; images]).map_err(TaskError::torch(NAME))
    }

    fn distill(&self, student: &Outputs, teacher: &Outputs, how: Distillation) -> Result<Tensor, TaskError> {
        let loss = mean_over_heads(&student.heads, |logits| how.loss(logits, &teacher.heads[0]));
        loss.map_err(TaskError::torch(NAME))
    }

    fn meter(&self) -> Box<dyn Meter> {
        Box::new(Accuracy::default())
    }
}

fn mean_over_heads(heads: &[Tensor], loss: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Tensor, TchError> {
    let share = 1.0 / heads.len() as f64;
    let mut sum = loss(&heads[0])?;
    if heads.len() > 1 {
        sum = sum.f_mul_scalar(share)?;
    }
    for logits in &heads[1..] {
        sum = sum.f_add(&loss(logits)?.f_mul_scalar(share)?)?;
    }
    Ok(sum)
}

/// Counts images whose largest logit is their class's.
#[derive(Clone, Copy, Debug, Default)]
struct Accuracy {
    correct: u64,
    samples: u64,
}

impl Meter for Accuracy {
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError> {
        let Targets::Classes { labels, .. } = targets else {
            return Err(TaskError::Target { task: NAME, expected: "class" });
        };
        let correct = tch::no_grad(|| -> Result<i64, TchError> {
            let hits = outputs.heads[0].f_argmax(-1, false)?.f_eq_tensor(labels)?;
            i64::try_from(hits.f_sum(Kind::Int64)?)
        });
        self.correct += correct.map_err(TaskError::torch(NAME))? as u64;
        self.samples += labels.size()[0] as u64;
        Ok(())
    }

    fn merge(&mut self, other: &dyn Meter) {
        if let Some(other) = other.as_any().downcast_ref::<Accuracy>() {
            self.correct += other.correct;
            self.samples += other.samples;
        }
    }

    fn samples(&self) -> u64 {
        self.samples
    }

    fn values(&self) -> Vec<f64> {
        vec![100.0 * self.correct as f64 / self.samples.max(1) as f64]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_add_up() {
        let logits = |rows: &[[f32; 3]]| Outputs::one(Tensor::from_slice2(rows));
        let (mut a, mut b) = (Classification.meter(), Classification.meter());
        a.update(&logits(&[[1., 0., 0.], [0., 0., 1.]]), &Targets::classes(&[0, 1]).unwrap()).unwrap();
        b.update(&logits(&[[0., 3., 0.]]), &Targets::classes(&[1]).unwrap()).unwrap();
        assert_eq!((a.values(), b.values()), (vec![50.0], vec![100.0]));
        a.merge(b.as_ref());
        assert_eq!(a.samples(), 3);
        assert!((a.values()[0] - 200.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn heads_weigh_alike_in_the_loss() {
        let (x, y) = (Tensor::from_slice2(&[[2.0f32, 0.0]]), Tensor::from_slice2(&[[0.0f32, 1.0]]));
        let targets = Targets::classes(&[0]).unwrap();
        let loss = |heads: Vec<&Tensor>| {
            let heads = heads.into_iter().map(Tensor::shallow_clone).collect();
            Classification
                .loss(&Outputs { heads, graph: None, regions: None }, &targets, 0.1)
                .unwrap()
                .double_value(&[])
        };
        assert!((loss(vec![&x, &y]) - (loss(vec![&x]) + loss(vec![&y])) / 2.0).abs() < 1e-6);
    }
}
