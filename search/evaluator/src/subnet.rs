//! Subnets on slices of a supernet, with batch-norm statistics of their own.

use std::sync::Arc;

use mobilenas_data::TransformedDataset;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Net, ParamStore, PerWidthNorm, Shared};
use mobilenas_train::collective::Collective;
use mobilenas_train::reduction::average_statistics;

use super::EvalError;
use super::eval_pool::EvalPool;
use super::images::{CALIBRATION_BATCH, EvalImages, calibrating, whole};
use crate::settings::Statistics;

/// A subnet on slices of the supernet, with batch-norm statistics of its own as scoring takes them. Several processes take the
/// batches in turn, and all have the mean over all batches.
///
/// # Errors
/// When libtorch refuses, too many images are damaged, or another process is gone.
pub fn subnet(
    supernet: &ParamStore,
    graph: Arc<Graph>,
    images: &TransformedDataset,
    (statistics, calibration): (Statistics, &[usize]),
    collective: &dyn Collective,
) -> Result<Net, EvalError> {
    let net = bind(supernet, graph, statistics)?;
    if statistics == Statistics::Trained {
        return Ok(net);
    }
    let pool = EvalPool::new(tch::get_num_threads() as usize)?;
    let own = own_batches(calibration, collective.rank(), collective.ranks());
    if !own.is_empty() {
        calibrating(images, &own, supernet.device())?.recalibrate(&net, &pool)?;
    }
    average_statistics(collective, &net, own.len().div_ceil(CALIBRATION_BATCH))?;
    Ok(net)
}

/// The images of a rank's batches: the very batches of one process, in turn.
fn own_batches(calibration: &[usize], rank: usize, ranks: usize) -> Vec<usize> {
    let batches = whole(calibration, CALIBRATION_BATCH).chunks(CALIBRATION_BATCH);
    batches.skip(rank).step_by(ranks).flatten().copied().collect()
}

/// A subnet on slices of the supernet.
pub(super) fn bind(supernet: &ParamStore, graph: Arc<Graph>, statistics: Statistics) -> Result<Net, EvalError> {
    Ok(match statistics {
        Statistics::Trained => Net::bind(graph, &PerWidthNorm(supernet))?,
        Statistics::Recalibrated => Net::bind(graph, &Shared(supernet))?,
    })
}

/// Estimates the statistics of a subnet that has none of its own from training.
pub(super) fn recalibrate(
    net: &Net,
    statistics: Statistics,
    images: &mut EvalImages,
    pool: &EvalPool,
) -> Result<(), EvalError> {
    match statistics {
        Statistics::Trained => Ok(()),
        Statistics::Recalibrated => images.recalibrate(net, pool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_take_the_batches_of_one_process_in_turn() {
        let all: Vec<usize> = (0..3 * CALIBRATION_BATCH + 9).collect();
        let batch = |n: usize| &all[n * CALIBRATION_BATCH..(n + 1) * CALIBRATION_BATCH];
        assert_eq!(own_batches(&all, 0, 1), all[..3 * CALIBRATION_BATCH]);
        assert_eq!(own_batches(&all, 0, 2), [batch(0), batch(2)].concat());
        assert_eq!(own_batches(&all, 1, 2), batch(1));
        // Fewer images than a batch are one batch, of one rank.
        assert_eq!((own_batches(&all[..9], 0, 2).len(), own_batches(&all[..9], 1, 2).len()), (9, 0));
    }
}
