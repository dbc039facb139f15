//! Top-1 with inherited weights, with and without statistics of a subnet's own.

use std::sync::Arc;

use mobilenas_space::ir::Graph;
use mobilenas_torch::{Net, Shared, Store, Tracked};

use super::calibrating;
use super::crew::Crew;
use super::list::List;
use crate::config::Proxy;
use crate::data::SearchVal;
use crate::metric::Lab;
use crate::train::TrainError;
use crate::train::batches::View;

/// A supernet with the images that its subnets are scored on. It times nothing.
pub struct Inheriting {
    supernet: Store,
    validation: List,
    calibration: List,
    crew: Crew,
    /// Whether a subnet's batch-norm statistics are estimated for it, or are those that training left.
    pub recalibrated: bool,
}

impl Inheriting {
    /// Prepares the images: at most `limit` of those that are scored, and those that recalibrate.
    ///
    /// # Errors
    /// When libtorch refuses, or too many images are damaged.
    pub fn new(
        supernet: Store,
        view: &View,
        (validation, limit, batch): (&SearchVal, usize, usize),
        calibration: &[usize],
    ) -> Result<Inheriting, TrainError> {
        let (indices, device) = (validation.indices(), supernet.device());
        Ok(Inheriting {
            validation: List::new(view, &indices[..indices.len().min(limit)], batch, device)?,
            calibration: calibrating(view, calibration, device)?,
            crew: Crew::new(tch::get_num_threads() as usize)?,
            supernet,
            recalibrated: true,
        })
    }
}

impl Lab for Inheriting {
    fn latency(&mut self, _graph: &Arc<Graph>) -> Result<f64, TrainError> {
        Err(TrainError::Torch("latency is not measured here".to_string()))
    }

    fn mes(&self, _params: f64, _latency_ms: f64) -> f64 {
        f64::NAN
    }

    fn proxy(&mut self, _proxy: Proxy, _graph: &Arc<Graph>) -> Result<f64, TrainError> {
        Err(TrainError::Torch("proxies are not computed here".to_string()))
    }

    fn top1(&mut self, graph: &Arc<Graph>) -> Result<f64, TrainError> {
        let net = match self.recalibrated {
            true => Net::bind(graph.clone(), &Shared(&self.supernet))?,
            false => Net::bind(graph.clone(), &Tracked(&self.supernet))?,
        };
        if self.recalibrated {
            self.calibration.recalibrate(&net, &self.crew)?;
        }
        self.validation.top1(&net, &self.crew)
    }
}
