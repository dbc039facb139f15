//! The task's metrics with inherited weights, with and without batch-norm statistics of a subnet's own.

use std::sync::Arc;

use mobilenas_data::TransformedDataset;
use mobilenas_data::dataset::SearchVal;
use mobilenas_record::run::Latency;
use mobilenas_space::ir::Graph;
use mobilenas_task::Task;
use mobilenas_torch::{Net, ParamStore, Shared, TrackedStats};

use super::eval_pool::EvalPool;
use super::images::{EvalImages, calibrating};
use super::{EvalError, Evaluator};
use crate::settings::Proxy;

/// A supernet with the images that its subnets are scored on. It times nothing.
pub struct InheritedEvaluator {
    supernet: ParamStore,
    task: &'static dyn Task,
    validation: EvalImages,
    calibration: EvalImages,
    pool: EvalPool,
    /// Whether a subnet's batch-norm statistics are estimated for it, or are those that training left.
    pub recalibrated: bool,
}

impl InheritedEvaluator {
    /// Prepares the images: at most `limit` of those that are scored, and those that recalibrate.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn new(
        (supernet, task): (ParamStore, &'static dyn Task),
        images: &TransformedDataset,
        (validation, limit, batch): (&SearchVal, usize, usize),
        calibration: &[usize],
    ) -> Result<InheritedEvaluator, EvalError> {
        let (indices, device) = (validation.indices(), supernet.device());
        Ok(InheritedEvaluator {
            validation: EvalImages::new(images, &indices[..indices.len().min(limit)], batch, device)?,
            calibration: calibrating(images, calibration, device)?,
            pool: EvalPool::new(tch::get_num_threads() as usize)?,
            supernet,
            task,
            recalibrated: true,
        })
    }
}

impl Evaluator for InheritedEvaluator {
    fn latency(&mut self, _graph: &Arc<Graph>) -> Result<f64, EvalError> {
        Err(EvalError::NotHere("latency"))
    }

    fn take_latency(&mut self) -> Option<Latency> {
        None
    }

    fn mes(&self, _params: f64, _latency_ms: f64) -> f64 {
        f64::NAN
    }

    fn proxy(&mut self, _proxy: Proxy, _graph: &Arc<Graph>) -> Result<f64, EvalError> {
        Err(EvalError::NotHere("a proxy"))
    }

    fn trained(&mut self, graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError> {
        let net = match self.recalibrated {
            true => Net::bind(graph.clone(), &Shared(&self.supernet))?,
            false => Net::bind(graph.clone(), &TrackedStats(&self.supernet))?,
        };
        if self.recalibrated {
            self.calibration.recalibrate(&net, &self.pool)?;
        }
        Ok(self.validation.scores(&net, &self.pool, self.task)?.values)
    }

    fn quantized(&mut self, _graph: &Arc<Graph>) -> Result<Vec<f64>, EvalError> {
        Err(EvalError::NotHere("an int8 file"))
    }
}
