//! What a task is.

use std::any::Any;
use std::sync::Arc;

use mobilenas_data::Labels;
use mobilenas_image::Picture;
use mobilenas_record::MetricInfo;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Mode, Net, NetError, Waiting};
use tch::{Kind, TchError, Tensor};

use crate::batch::Targets;
use crate::distill::Distillation;
use crate::error::TaskError;

/// What a network gives for a batch: of a classifier, logits `[B, classes]` of each head; of others, the graph's outputs.
#[derive(Debug)]
pub struct Outputs {
    /// The heads, in the graph's order; never empty.
    pub heads: Vec<Tensor>,
    /// The network's graph, where its outputs alone do not tell what they are.
    pub graph: Option<Arc<Graph>>,
    /// The rest of a network that waits for regions: `heads` are its outputs before them.
    pub regions: Option<Waiting>,
}

impl Outputs {
    /// Of a network's graph.
    pub fn of(graph: &Arc<Graph>, heads: Vec<Tensor>) -> Outputs {
        Outputs { heads, graph: Some(graph.clone()), regions: None }
    }

    /// Of a network for a batch of images: all that it gives, or as far as it runs before a task names regions.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn run(net: &Net, images: &Tensor, mode: Mode) -> Result<Outputs, NetError> {
        match net.until_regions(images, mode)? {
            None => Ok(Outputs::of(net.graph(), net.outputs(images, mode)?)),
            Some(waiting) => Ok(Outputs::waiting(net, waiting)),
        }
    }

    /// Of a network that waits for regions.
    pub fn waiting(net: &Net, mut waiting: Waiting) -> Outputs {
        let heads = std::mem::take(&mut waiting.outputs);
        Outputs { regions: Some(waiting), ..Outputs::of(net.graph(), heads) }
    }

    /// The same with the heads in single precision.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn in_float(mut self) -> Result<Outputs, TchError> {
        self.heads = self.heads.iter().map(|t| t.f_to_kind(Kind::Float)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The same numbers, without a way back to what they came from.
    pub fn detached(&self) -> Outputs {
        Outputs {
            heads: self.heads.iter().map(Tensor::detach).collect(),
            graph: self.graph.clone(),
            regions: self.regions.as_ref().map(Waiting::detached),
        }
    }

    /// The output of a network whose heads are already averaged.
    pub fn one(output: Tensor) -> Outputs {
        Outputs { heads: vec![output], graph: None, regions: None }
    }
}

/// What a network is trained and judged for.
pub trait Task: Sync + std::fmt::Debug {
    /// Its name in configs.
    fn name(&self) -> &'static str;

    /// What images are labelled with.
    fn labels(&self) -> Labels {
        Labels::Classes
    }

    /// What is measured on trained weights and images; the first is primary.
    fn metrics(&self) -> &'static [MetricInfo];

    /// What is measured in training, on the batches that are learnt from.
    fn training_metrics(&self) -> &'static [MetricInfo] {
        self.metrics()
    }

    /// The loss of outputs against targets, the mean over the batch; heads weigh alike.
    ///
    /// # Errors
    /// When libtorch refuses, or the targets are not this task's.
    fn loss(&self, outputs: &Outputs, targets: &Targets, label_smoothing: f64) -> Result<Tensor, TaskError>;

    /// Targets for so many images of (columns, rows), to time steps with.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn example(&self, images: usize, size: (usize, usize)) -> Result<Targets, TaskError>;

    /// The loss of a student's outputs against a teacher's, the mean over the batch.
    ///
    /// # Errors
    /// When libtorch refuses.
    fn distill(&self, student: &Outputs, teacher: &Outputs, how: Distillation) -> Result<Tensor, TaskError>;

    /// Draws what outputs say into the images of a batch, which are coloured. A class is not drawn.
    ///
    /// # Errors
    /// When libtorch refuses, or the outputs are not this task's.
    fn draw(&self, _outputs: &Outputs, _pictures: &mut [Picture]) -> Result<(), TaskError> {
        Ok(())
    }

    /// An empty meter of [`Task::metrics`].
    fn meter(&self) -> Box<dyn Meter>;

    /// An empty meter of [`Task::training_metrics`].
    fn training_meter(&self) -> Box<dyn Meter> {
        self.meter()
    }
}

/// Accumulates a task's metrics over batches.
pub trait Meter: Send {
    /// Counts a batch, by the first head.
    ///
    /// # Errors
    /// When libtorch refuses, or the targets are not this task's.
    fn update(&mut self, outputs: &Outputs, targets: &Targets) -> Result<(), TaskError>;

    /// Adds what another meter of the same task has counted.
    fn merge(&mut self, other: &dyn Meter);

    /// Samples counted.
    fn samples(&self) -> u64;

    /// The metrics, in the order of [`Task::metrics`].
    fn values(&self) -> Vec<f64>;

    /// The meter itself, for [`Meter::merge`].
    fn as_any(&self) -> &dyn Any;
}
