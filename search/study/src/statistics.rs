//! The batch-norm statistics that a supernet with shared batch norms would have if nobody recalibrated: running averages
//! over the networks of its last steps, channel by channel, as training leaves them where every subnet moves them.

use std::sync::Arc;

use mobilenas_torch::{Mode, Net, ParamStore, TrackedStats};

use mobilenas_data::loader::DataLoader;
use mobilenas_pipeline::experiment::Experiment;
use mobilenas_task::Batch;
use mobilenas_train::supernet::Supernet;
use mobilenas_train::{TrainError, resized};

/// Last steps of a training whose networks move the statistics: what came before would weigh less than one part in 10^9.
const STEPS: u64 = 200;

/// What these statistics are, for a reader of the results.
pub fn in_words() -> String {
    format!(
        "\"Not recalibrated\": batch norms with shared running statistics (momentum 0.1) that the networks of the last \
         {STEPS} steps moved on their own batches, with the weights as they were in the end."
    )
}

/// Moves the statistics in a trained supernet's store.
///
/// # Errors
/// When libtorch refuses.
pub fn track(
    p: &Experiment,
    supernet: &Supernet<'_>,
    loader: &DataLoader,
    store: &ParamStore,
    steps: u64,
) -> Result<(), TrainError> {
    let _guard = tch::no_grad_guard();
    let tracked = TrackedStats(store);
    let any_side = loader.config().sampler.scale.is_some();
    let accumulate = u64::from(p.config.supernet.recipe.grad_accum_steps);
    for step in steps.saturating_sub(STEPS) * accumulate..steps * accumulate {
        let batch = Batch::new(&loader.at(step)?)?.to(store.device())?;
        for genome in supernet.genomes(step) {
            let graph = if any_side { p.space.lower_at(&genome, batch.side())? } else { p.space.lower(&genome)? };
            let images = resized(&batch.images, graph.input().dims[1])?;
            let net = Net::bind(Arc::new(graph), &tracked)?;
            let _ = net.forward(&images, Mode::TrainTracking)?;
            tracked.write_back(&net)?;
        }
    }
    Ok(())
}
