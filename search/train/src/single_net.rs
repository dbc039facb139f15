//! Training of one network from scratch.

use std::collections::HashMap;
use std::sync::Arc;

use mobilenas_host::Progress;
use mobilenas_space::ir::{Graph, ShapeError, regularize};
use mobilenas_task::{Batch, Meter, Outputs, Targets, Task};
use mobilenas_torch::{Mode, Net, Owned, ParamStore, ProcessGroup, Resized};
use tch::{Kind, Tensor};

use crate::recipe::{Precision, Recipe};
use crate::teacher::Teacher;
use crate::trainer::{StepAt, StepMetrics, TrainOutcome, TrainStep, Trainer};
use crate::{TrainError, resized};

/// What a network learns from: its task's targets, and a teacher if it has one.
#[derive(Clone, Copy, Debug)]
pub struct Objective<'a> {
    /// The task.
    pub task: &'static dyn Task,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// The teacher.
    pub teacher: Option<&'a Teacher>,
}

impl Objective<'_> {
    /// The loss of a network's outputs. Without a teacher every classifier learns the targets; with one the first does, and the
    /// last learns from the teacher, as the EfficientFormers were trained. For detection and segmentation, all outputs learn
    /// the targets, and the main ones the teacher's.
    fn loss(&self, outputs: &Outputs, images: &Tensor, targets: &Targets) -> Result<Tensor, TrainError> {
        let Some(teacher) = self.teacher else { return Ok(self.task.loss(outputs, targets, self.label_smoothing)?) };
        let taught = teacher.outputs(images)?;
        let (own, taught) = if teacher.has_head() {
            let own = self.task.loss(outputs, targets, self.label_smoothing)?;
            (own, self.task.distill(outputs, &taught, teacher.rule())?)
        } else {
            let head = |i: usize| Outputs::one(outputs.heads[i].shallow_clone());
            let own = self.task.loss(&head(0), targets, self.label_smoothing)?;
            (own, self.task.distill(&head(outputs.heads.len() - 1), &taught, teacher.rule())?)
        };
        let (share, torch) = (teacher.share(), TrainError::torch);
        own.f_mul_scalar(1.0 - share).and_then(|own| own.f_add(&taught.f_mul_scalar(share)?)).map_err(torch)
    }
}

/// One network under training.
#[derive(Debug)]
pub struct SingleNet<'a> {
    /// The network, as the recipe trains it.
    pub net: &'a Net,
    /// What it learns from.
    pub objective: Objective<'a>,
}

/// Trains the network of a graph, whose tensors a store holds, by a trainer's recipe; where steps have several sides, at the
/// side of each, as `lower` makes it.
///
/// # Errors
/// When the training fails.
pub fn train(
    trainer: &Trainer<'_>,
    store: &mut ParamStore,
    bar: &Progress,
    graph: &Graph,
    (task, teacher): (&'static dyn Task, Option<&Teacher>),
    lower: &Lower<'_>,
) -> Result<TrainOutcome, TrainError> {
    let recipe = &trainer.config.recipe;
    let graph = Arc::new(regularize(graph, &recipe.regularize()));
    let objective = Objective { task, label_smoothing: recipe.label_smoothing, teacher };
    let sync = recipe.sync_batch_norms.then(|| trainer.collective.group()).flatten();
    if trainer.loader.config().sampler.scale.is_some() {
        let graphs = HashMap::from([(graph.input().dims[1], graph)]);
        let sync = sync.cloned();
        return trainer.run(store, bar, &mut MultiScaleNet { recipe, objective, lower, graphs, sync });
    }
    let net = with_precision(Net::bind(graph, &Owned(store))?, recipe.precision);
    let net = net.with_sync_batch_norms(sync.cloned());
    trainer.run(store, bar, &mut SingleNet { net: &net, objective })
}

/// Lowers the network that is trained at another side.
pub type Lower<'a> = dyn Fn(u32) -> Result<Graph, ShapeError> + 'a;

fn with_precision(net: Net, precision: Precision) -> Net {
    match precision {
        Precision::Float32 => net,
        Precision::Bfloat16 => net.with_autocast(Kind::BFloat16),
    }
}

/// One network that runs each step at the side of the step's images, on the same tensors.
struct MultiScaleNet<'a> {
    recipe: &'a Recipe,
    objective: Objective<'a>,
    lower: &'a Lower<'a>,
    /// By their side.
    graphs: HashMap<u32, Arc<Graph>>,
    /// The ranks over whose batches batch norms are trained, if over more than this process's.
    sync: Option<Arc<ProcessGroup>>,
}

impl MultiScaleNet<'_> {
    /// The network at a side. Tables of positions are resized from what is learnt: it lives for one step.
    fn net(&self, store: &ParamStore, side: u32) -> Result<Net, TrainError> {
        let graph = match self.graphs.get(&side) {
            Some(graph) => graph.clone(),
            None => Arc::new(regularize(&(self.lower)(side)?, &self.recipe.regularize())),
        };
        let net = with_precision(Net::bind(graph, &Resized(store))?, self.recipe.precision);
        Ok(net.with_sync_batch_norms(self.sync.clone()))
    }
}

impl TrainStep for MultiScaleNet<'_> {
    fn task(&self) -> &'static dyn Task {
        self.objective.task
    }

    fn step(
        &mut self,
        store: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError> {
        let net = self.net(store, batch.side())?;
        self.graphs.insert(batch.side(), net.graph().clone());
        SingleNet { net: &net, objective: self.objective }.step(store, batch, at, meter)
    }

    fn first_not_finite(&self, store: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError> {
        let net = self.net(store, batch.side())?;
        SingleNet { net: &net, objective: self.objective }.first_not_finite(store, batch)
    }
}

impl TrainStep for SingleNet<'_> {
    fn task(&self) -> &'static dyn Task {
        self.objective.task
    }

    fn step(
        &mut self,
        _: &ParamStore,
        batch: &Batch,
        at: StepAt,
        meter: &mut dyn Meter,
    ) -> Result<StepMetrics, TrainError> {
        let images = resized(&batch.images, self.net.graph().input().dims[1])?;
        let outputs = match self.net.until_regions(&images, Mode::TrainTracking)? {
            Some(waiting) => Outputs::waiting(self.net, waiting),
            None => Outputs::of(self.net.graph(), self.net.heads(&images, Mode::TrainTracking)?),
        };
        let outputs = outputs.in_float().map_err(TrainError::torch)?;
        let loss = self.objective.loss(&outputs, &batch.images, &batch.targets)?;
        loss.f_mul_scalar(at.share).and_then(|l| l.f_backward()).map_err(TrainError::torch)?;
        meter.update(&outputs, &batch.targets)?;
        Ok(StepMetrics { loss: loss.detach() })
    }

    fn first_not_finite(&self, _: &ParamStore, batch: &Batch) -> Result<Option<String>, TrainError> {
        let images = resized(&batch.images, self.net.graph().input().dims[1])?;
        Ok(self.net.first_not_finite(&images, Mode::Train)?)
    }
}

#[cfg(test)]
mod tests {
    use mobilenas_space::{Space, SpaceConfig};
    use mobilenas_task::Classification;
    use mobilenas_torch::Names;
    use tch::Device;

    use super::*;

    fn batch(side: i64) -> Batch {
        tch::manual_seed(side);
        let images = Tensor::randn([4, 3, side, side], (Kind::Float, Device::Cpu));
        Batch { images, targets: Targets::classes(&[0, 1, 2, 3]).unwrap() }
    }

    fn once(step: &mut dyn TrainStep, store: &ParamStore, batch: &Batch) -> StepMetrics {
        let at = StepAt { batch: 0, share: 1.0 };
        step.step(store, batch, at, Classification.meter().as_mut()).unwrap()
    }

    fn space(family: &str, knobs: &[(&str, i64)]) -> Space {
        let knobs = knobs.iter().map(|(k, v)| (k.to_string(), vec![*v])).collect();
        let design = SpaceConfig { family: family.into(), width: 0.25, divisor: 8, knobs, classes: 4 };
        Space::new(&design).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// Statistics and tables of places are what may go wrong: the second family has the tables.
    #[test]
    fn a_step_runs_at_the_side_of_its_images_on_the_same_tensors() {
        for family in ["mobilevit_v1", "efficientformer_v2"] {
            let space = space(family, &[("resolution", 64)]);
            let graph = Arc::new(space.lower(&space.smallest()).unwrap());
            let (one, two) = (
                ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu),
                ParamStore::init(&graph, Names::Standalone, 1, Device::Cpu),
            );
            let (one, mut two) = (one.unwrap(), two.unwrap());
            let net = Net::bind(graph.clone(), &Owned(&one)).unwrap();
            let objective = Objective { task: &Classification, label_smoothing: 0.1, teacher: None };
            let mut single = SingleNet { net: &net, objective };
            let lower = |side| space.lower_at(&space.smallest(), side);
            let recipe = Recipe { label_smoothing: 0.1, ..Recipe::default() };
            let mut any =
                MultiScaleNet { recipe: &recipe, objective, lower: &lower, graphs: HashMap::new(), sync: None };
            // At its own side it is the plain network, statistics and gradients included.
            let (a, b) = (once(&mut single, &one, &batch(64)), once(&mut any, &two, &batch(64)));
            assert!(a.loss.equal(&b.loss), "{family}: {} and {}", a.loss, b.loss);
            assert!(one.flat_grad().unwrap().equal(&two.flat_grad().unwrap()), "{family}");
            for ((name, x), (_, y)) in one.statistics().zip(two.statistics()) {
                assert!(x.equal(y), "{family}: {name}");
            }
            let before: Vec<Tensor> = two.statistics().map(|(_, t)| t.copy()).collect();
            for side in [96, 32] {
                two.zero_grad();
                let shown = once(&mut any, &two, &batch(side));
                assert!(shown.loss.double_value(&[]).is_finite());
                assert_eq!(any.graphs[&(side as u32)].input().dims[1..], [side as u32; 2]);
                let reached = two.trainable().filter(|(_, _, t)| t.grad().defined()).count();
                assert_eq!(reached, two.trainable().count(), "{family} at {side}: gradients reach every tensor");
            }
            assert!(two.statistics().zip(&before).any(|((_, t), b)| !t.equal(b)), "{family}: statistics move");
        }
    }

    #[test]
    fn a_supernets_step_runs_all_its_networks_at_the_side_of_its_images() {
        let space = space("efficientformer_v2", &[]);
        let config = crate::settings::SupernetConfig::default();
        let largest = space.lower(&space.largest()).unwrap();
        let store = ParamStore::init(&largest, Names::Supernet, 1, Device::Cpu).unwrap();
        let supernet = crate::supernet::Supernet::new(&space, &config, &Classification, (1, 1));
        let mut supernet = supernet.at_any_side(true);
        for side in [64, 96] {
            let shown = once(&mut supernet, &store, &batch(side));
            let graph = Arc::new(space.lower_at(&space.largest(), side as u32).unwrap());
            let net = Net::bind(graph, &mobilenas_torch::Shared(&store)).unwrap();
            let logits = net.forward(&batch(side).images, Mode::Train).unwrap();
            let targets = Targets::classes(&[0, 1, 2, 3]).unwrap();
            let smoothing = config.recipe.label_smoothing;
            let expected = Classification.loss(&Outputs::one(logits), &targets, smoothing).unwrap();
            assert!(shown.loss.allclose(&expected, 1e-6, 1e-6, false), "{} and {expected}", shown.loss);
            assert!(supernet.sides().all(|(asked, is)| asked == Some(is)), "every network at the step's side");
        }
    }
}
