//! How long a search will take, and what step one found out, in words.

use mobilenas_host::Clock;
use mobilenas_space::seed::{Purpose, rng};
use mobilenas_task::{Batch, Targets};
use mobilenas_torch::{Names, Net, Owned, ParamStore, device};
use mobilenas_train::single_net::{Objective, SingleNet};
use mobilenas_train::{TrainError, TrainStep as _, trainer::StepAt};
use tch::{Device, Kind, Tensor};

use super::Experiment;

impl Experiment {
    /// Estimated seconds of supernet training, search, retraining: a few steps are timed on noise.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn estimate(&self, clock: &dyn Clock) -> Result<[f64; 3], TrainError> {
        let c = &self.config;
        let (channels, h, w) = self.train.shape(None);
        let noise = |n: usize| -> Result<Batch, TrainError> {
            let options = (Kind::Float, Device::Cpu);
            let images =
                Tensor::f_rand([n as i64, channels as i64, h as i64, w as i64], options).map_err(TrainError::torch)?;
            let targets = Targets::classes(&vec![0; n]).map_err(TrainError::torch)?;
            Ok(Batch { images, targets }.to(self.device)?)
        };
        let seconds = |work: &mut dyn FnMut() -> Result<(), TrainError>| -> Result<f64, TrainError> {
            work()?;
            device::wait(self.device);
            let begin = clock.now();
            work()?;
            work()?;
            device::wait(self.device);
            Ok((clock.now() - begin).as_secs_f64() / 2.0)
        };
        let store = self.supernet_store()?;
        let (wide, narrow) = (&c.supernet.recipe, &c.retrain.recipe);
        let loader = self.supernet_loader()?;
        let (batch, mut step) = (noise(wide.batch)?, 0);
        let mut supernet = self.supernet(&loader).at_any_side(false);
        let one = seconds(&mut || {
            step += 1;
            let at = StepAt { batch: step, share: 1.0 };
            supernet.step(&store, &batch, at, self.task.meter().as_mut()).map(drop)
        })?;
        let typical = self.space.sample(&mut rng(c.seed, Purpose::Subnets, 0, 0));
        let graph = std::sync::Arc::new(self.space.lower(&typical)?);
        let own = ParamStore::init(&graph, Names::Standalone, 0, self.device)?;
        let (net, batch) = (Net::bind(graph, &Owned(&own))?, noise(narrow.batch)?);
        let objective = Objective { task: self.task, label_smoothing: 0.0, teacher: None };
        let mut single = SingleNet { net: &net, objective };
        let at = StepAt { batch: 0, share: 1.0 };
        let retrain = seconds(&mut || single.step(&own, &batch, at, self.task.meter().as_mut()).map(drop))?;
        let images = self.split.train.len() as f64;
        // A pass forwards costs about a third of a training step on the same images.
        let scored = c.scoring.images.unwrap_or(usize::MAX).min(c.data.search_val) + c.scoring.recalibrate;
        let forward = retrain / 3.0 * scored as f64 / narrow.batch as f64;
        let measured = if self.table.is_some() { 0.0 } else { 1.0 };
        let timed = measured * (c.latency.warmup_ms + c.latency.max_ms) as f64 / 1e3;
        Ok([
            one * wide.epochs * images / wide.batch as f64,
            (forward + timed) * c.search.trials as f64,
            retrain * narrow.epochs * images / narrow.batch as f64 * c.retrain.best as f64,
        ])
    }

    /// What step one found out, for people.
    pub fn summary(&self, estimate: Option<[f64; 3]>) -> String {
        let c = &self.config;
        let [low, high] = self.range;
        let free: Vec<String> = self
            .space
            .knobs()
            .iter()
            .filter(|k| k.choices.len() > 1)
            .map(|k| format!("  {:<18} {:?}", k.name, k.choices))
            .collect();
        let mut out = format!(
            "{}: {:.3e} networks of {}, seed {}\n{}\nparams {} to {}, MACs {} to {}\ndata {}: train {}, search-val {}, test {}",
            c.name(),
            self.space.size(),
            self.space.family().name(),
            c.seed,
            free.join("\n"),
            low.params,
            high.params,
            low.macs,
            high.macs,
            c.data.name.as_str(),
            self.split.train.len(),
            self.split.search_val.indices().len(),
            self.test_split.indices().len(),
        );
        self.notes.iter().for_each(|note| out.push_str(&format!("\n{note}")));
        if let Some([supernet, search, retrain]) = estimate {
            out.push_str(&format!(
                "\nestimated time on this machine: supernet {:.1} min, search {:.1} min, retraining {:.1} min",
                supernet / 60.0,
                search / 60.0,
                retrain / 60.0
            ));
        }
        out
    }
}
