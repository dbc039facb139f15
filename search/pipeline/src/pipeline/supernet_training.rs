//! The training of a supernet, of a search or of a study.

use std::path::PathBuf;

use mobilenas_host::{Clock, Progress, Stop};
use mobilenas_torch::ParamStore;
use mobilenas_train::collective::Collective;
use mobilenas_train::{TrainOutcome, Trainer, TrainerConfig};

use super::RunError;
use super::order::Order;
use crate::config::SupernetConfig;
use crate::experiment::Experiment;

/// The training of a supernet, by all processes.
pub struct SupernetTraining<'a> {
    /// Space, images, device.
    pub experiment: &'a Experiment,
    /// Position of the space among those of the config.
    pub position: usize,
    /// How its weights are trained.
    pub settings: &'a SupernetConfig,
    /// Where the newest checkpoint goes.
    pub checkpoint: PathBuf,
    /// Where the metrics log goes.
    pub log: PathBuf,
    /// Digest of what is trained and how.
    pub digest: String,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// The processes.
    pub collective: &'a dyn Collective,
}

impl SupernetTraining<'_> {
    /// Trains; gives the supernet as it is in the end, and how that was.
    ///
    /// # Errors
    /// When a step, a file or another process fails.
    pub fn run(&self, bar: &Progress) -> Result<(ParamStore, TrainOutcome), RunError> {
        if self.collective.leads() {
            Order::TrainSupernet(self.position, serde_json::to_value(self.settings)?).give(self.collective)?;
        }
        let p = self.experiment;
        tch::set_num_threads(p.config.threads as i32);
        let (mut store, loader) = (p.initial_supernet()?, p.supernet_loader()?);
        let config = TrainerConfig { recipe: self.settings.recipe.clone(), ..p.supernet_trainer() };
        let trainer = Trainer {
            config: &config,
            loader: &loader,
            checkpoint: self.checkpoint.clone(),
            digest: self.digest.clone(),
            clock: self.clock,
            stop: self.stop,
            collective: self.collective,
            log: Some(self.log.clone()),
        };
        let mut supernet = p.supernet(self.settings, &loader).among(self.collective);
        let ended = trainer.run(&mut store, bar, &mut supernet);
        bar.done();
        Ok((store, ended?))
    }
}
