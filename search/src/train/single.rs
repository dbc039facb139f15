//! Training one network from scratch.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_space::ir::{Graph, ShapeError, regularize};
use mobilenas_torch::{Mode, Net, Owned, Resized, Store};
use tch::{Kind, Tensor};

use super::batches::Batch;
use super::teacher::Teacher;
use super::trainer::{Ended, Lesson, Shown, Trainer};
use super::{TrainError, batch_loss, resized, right};
use crate::config::{Precision, Recipe};
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

/// Trains the network of a graph, whose tensors a store holds, as a trainer's recipe says; where steps have several sides,
/// at the side of each, as `lower` makes it.
///
/// # Errors
/// When the training fails.
pub fn train(
    trainer: &Trainer<'_>,
    store: &mut Store,
    bar: &Progress,
    graph: &Graph,
    teacher: Option<&Teacher>,
    lower: &Lower<'_>,
) -> Result<Ended, TrainError> {
    let recipe = &trainer.plan.recipe;
    let (label_smoothing, graph) = (recipe.label_smoothing, Arc::new(regularize(graph, &recipe.regularize())));
    if trainer.feed.recipe().sampler.scale.is_some() {
        let graphs = HashMap::from([(graph.input().dims[1], graph)]);
        return trainer.run(store, bar, &mut AnySide { recipe, teacher, lower, graphs });
    }
    let net = with_precision(Net::bind(graph, &Owned(store))?, recipe.precision);
    trainer.run(store, bar, &mut Single { net: &net, label_smoothing, teacher })
}

/// Lowers the network that is trained at another side.
pub type Lower<'a> = dyn Fn(u32) -> Result<Graph, ShapeError> + 'a;

fn with_precision(net: Net, precision: Precision) -> Net {
    match precision {
        Precision::Float32 => net,
        Precision::Bfloat16 => net.with_heavy(Kind::BFloat16),
    }
}

/// One network that runs each step at the side of the step's images, on the same tensors.
struct AnySide<'a> {
    recipe: &'a Recipe,
    teacher: Option<&'a Teacher>,
    lower: &'a Lower<'a>,
    /// By their side.
    graphs: HashMap<u32, Arc<Graph>>,
}

impl AnySide<'_> {
    /// The network at a side. Tables of places are resized from what is learnt: it lives for one step.
    fn net(&self, store: &Store, side: u32) -> Result<Net, TrainError> {
        let graph = match self.graphs.get(&side) {
            Some(graph) => graph.clone(),
            None => Arc::new(regularize(&(self.lower)(side)?, &self.recipe.regularize())),
        };
        Ok(with_precision(Net::bind(graph, &Resized(store))?, self.recipe.precision))
    }

    fn single<'b>(&'b self, net: &'b Net) -> Single<'b> {
        Single { net, label_smoothing: self.recipe.label_smoothing, teacher: self.teacher }
    }
}

impl Lesson for AnySide<'_> {
    fn step(&mut self, store: &Store, batch: &Batch, step: u64, share: f64) -> Result<Shown, TrainError> {
        let net = self.net(store, batch.side())?;
        self.graphs.insert(batch.side(), net.graph().clone());
        self.single(&net).step(store, batch, step, share)
    }

    fn trouble(&self, store: &Store, batch: &Batch) -> Result<Option<String>, TrainError> {
        let net = self.net(store, batch.side())?;
        self.single(&net).trouble(store, batch)
    }
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

#[cfg(test)]
mod tests {
    use mobilenas_space::{Design, Space};
    use mobilenas_torch::Names;
    use tch::Device;

    use super::*;

    fn batch(side: i64) -> Batch {
        tch::manual_seed(side);
        let images = Tensor::randn([4, 3, side, side], (Kind::Float, Device::Cpu));
        Batch { images, labels: Tensor::from_slice(&[0i64, 1, 2, 3]), targets: None }
    }

    fn space(family: &str, knobs: &[(&str, i64)]) -> Space {
        let knobs = knobs.iter().map(|(k, v)| (k.to_string(), vec![*v])).collect();
        let design = Design { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 4 };
        Space::new(&design).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// Statistics and tables of places are what may go wrong: the second family has the tables.
    #[test]
    fn a_step_runs_at_the_side_of_its_images_on_the_same_tensors() {
        for family in ["mobilevit_v1", "efficientformer_v2"] {
            let space = space(family, &[("resolution", 64)]);
            let graph = Arc::new(space.lower(&space.smallest()).unwrap());
            let (one, two) =
                (Store::init(&graph, Names::Own, 1, Device::Cpu), Store::init(&graph, Names::Own, 1, Device::Cpu));
            let (one, mut two) = (one.unwrap(), two.unwrap());
            let net = Net::bind(graph.clone(), &Owned(&one)).unwrap();
            let mut single = Single { net: &net, label_smoothing: 0.1, teacher: None };
            let lower = |side| space.lower_at(&space.smallest(), side);
            let recipe = Recipe { label_smoothing: 0.1, ..Recipe::default() };
            let mut any = AnySide { recipe: &recipe, teacher: None, lower: &lower, graphs: HashMap::new() };
            // At its own side it is the plain network, statistics and gradients included.
            let (a, b) = (single.step(&one, &batch(64), 0, 1.0).unwrap(), any.step(&two, &batch(64), 0, 1.0).unwrap());
            assert!(a.loss.equal(&b.loss), "{family}: {} and {}", a.loss, b.loss);
            assert!(one.flat_grad().unwrap().equal(&two.flat_grad().unwrap()), "{family}");
            for ((name, x), (_, y)) in one.statistics().zip(two.statistics()) {
                assert!(x.equal(y), "{family}: {name}");
            }
            let before: Vec<Tensor> = two.statistics().map(|(_, t)| t.copy()).collect();
            for side in [96, 32] {
                two.zero_grad();
                let shown = any.step(&two, &batch(side), 0, 1.0).unwrap();
                assert!(shown.loss.double_value(&[]).is_finite());
                assert_eq!(any.graphs[&(side as u32)].input().dims[1..], [side as u32; 2]);
                let reached = two.learnt().filter(|(_, _, t)| t.grad().defined()).count();
                assert_eq!(reached, two.learnt().count(), "{family} at {side}: gradients reach every tensor");
            }
            assert!(two.statistics().zip(&before).any(|((_, t), b)| !t.equal(b)), "{family}: statistics move");
        }
    }

    #[test]
    fn a_supernets_step_runs_all_its_networks_at_the_side_of_its_images() {
        let space = space("efficientformer_v2", &[]);
        let config = crate::config::Supernet::default();
        let largest = space.lower(&space.largest()).unwrap();
        let store = Store::init(&largest, Names::Shared, 1, Device::Cpu).unwrap();
        let mut lesson = super::super::supernet::Supernet::new(&space, &config, 1, 1).at_any_side(true);
        for side in [64, 96] {
            let shown = lesson.step(&store, &batch(side), 0, 1.0).unwrap();
            let graph = Arc::new(space.lower_at(&space.largest(), side as u32).unwrap());
            let net = Net::bind(graph, &mobilenas_torch::Shared(&store)).unwrap();
            let logits = net.forward(&batch(side).images, Mode::Train).unwrap();
            let expected = batch_loss(&logits, &batch(side), config.recipe.label_smoothing).unwrap();
            assert!(shown.loss.allclose(&expected, 1e-6, 1e-6, false), "{} and {expected}", shown.loss);
            assert!(lesson.sides().all(|(asked, is)| asked == Some(is)), "every network at the step's side");
        }
    }
}
