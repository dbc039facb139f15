//! The experiments of a config: one for each of its spaces.

use mobilenas_bench::latency_table::Table;
use mobilenas_host::Clock;
use mobilenas_space::seed::{Purpose, number};
use mobilenas_torch::device;
use mobilenas_train::collective::Collective;
use tch::Device;

use super::{Experiment, ExperimentError};
use crate::config::{Config, ConfigError};

/// A config, checked through.
#[derive(Debug)]
pub struct Experiments {
    /// The config, with all its spaces.
    pub config: Config,
    /// One experiment for each space, in their order; at least one. They share images, splits and seed.
    all: Vec<Experiment>,
}

impl Experiments {
    /// The experiments of a config.
    ///
    /// # Errors
    /// When it has no space, or tables of several were made on different devices.
    pub(super) fn new(config: Config, all: Vec<Experiment>) -> Result<Experiments, ExperimentError> {
        let Some(first) = all.first() else {
            let (found, expected) = ("none".to_string(), "at least one".to_string());
            return Err(ConfigError::Space { file: config.name().into(), found, expected }.into());
        };
        let of = |p: &Experiment| p.table.as_ref().map(made);
        if let Some(other) = all.iter().find(|p| of(p) != of(first)) {
            let (found, expected) = (of(other).unwrap_or_default(), of(first).unwrap_or_default());
            let key = format!("{}.table", other.entry.at.join("."));
            return Err(ExperimentError::OtherTable { key, found, expected });
        }
        Ok(Experiments { config, all })
    }

    /// All of them.
    pub fn all(&self) -> &[Experiment] {
        &self.all
    }

    /// The first space's, from which all that is common to all spaces is read.
    pub fn first(&self) -> &Experiment {
        &self.all[0]
    }

    /// The first space's alone.
    pub fn into_first(mut self) -> Experiment {
        self.all.swap_remove(0)
    }

    /// Whether rows and files name spaces.
    pub fn named(&self) -> bool {
        self.first().entry.name.is_some()
    }

    /// The position of the space that a row names; a config with `space` has one without a name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn position(&self, space: Option<&str>) -> Result<usize, ExperimentError> {
        let found = self.all.iter().position(|p| p.entry.name.as_deref() == space);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().filter_map(|p| p.entry.name.as_deref()).collect();
            let expected = if names.is_empty() { "none".to_string() } else { format!("one of {}", names.join(", ")) };
            let (file, found) = (self.first().file.clone(), space.unwrap_or("none").to_string());
            ConfigError::Space { file, found, expected }.into()
        })
    }

    /// The experiment of the space that is named; none need be named where there is one.
    ///
    /// # Errors
    /// When there is none of that name, or one of several has to be named.
    pub fn of(&self, space: Option<&str>) -> Result<&Experiment, ExperimentError> {
        match (space, self.all.as_slice()) {
            (None, [only]) => Ok(only),
            _ => Ok(&self.all[self.position(space)?]),
        }
    }

    /// Takes over the digest of the config that a run began with.
    pub fn set_digest(&mut self, digest: &str) {
        self.all.iter_mut().for_each(|p| p.digest = digest.to_string());
    }

    /// In one of several processes, each on a device of its own.
    ///
    /// # Errors
    /// When there is no GPU that this libtorch can use.
    pub fn among(mut self, collective: &dyn Collective) -> Result<Experiments, ExperimentError> {
        self.set_device(device::open_nth(self.config.device, collective.local_rank())?);
        Ok(self)
    }

    /// Has all trained and scored on a device.
    pub fn set_device(&mut self, device: Device) {
        self.all.iter_mut().for_each(|p| p.device = device);
    }

    /// All of them, for what needs no more of the config.
    pub fn into_all(self) -> Vec<Experiment> {
        self.all
    }

    /// All of them, for an estimate that tries settings.
    pub fn all_mut(&mut self) -> &mut [Experiment] {
        &mut self.all
    }

    /// See [`Experiment::check_latency`].
    ///
    /// # Errors
    /// The nearest miss, when no network of a space meets the bound.
    pub fn check_latency(&self, clock: &dyn Clock) -> Result<(), ExperimentError> {
        self.all.iter().try_for_each(|p| p.check_latency(clock))
    }

    /// What a user should know before anything is run.
    ///
    /// # Errors
    /// When latencies would be measured with more threads than there are cores.
    pub fn warnings(&self) -> Result<Vec<String>, ExperimentError> {
        let mut all = self.first().check_threads()?;
        all.extend(self.all.iter().filter_map(|p| p.table.as_ref().and_then(Table::warning)));
        Ok(all)
    }

    /// What step one found out, for people.
    pub fn summary(&self) -> String {
        let p = self.first();
        let about = match self.all.as_slice() {
            [only] if !self.named() => return only.summary(),
            all => {
                let size: f64 = all.iter().map(|p| p.space.size()).sum();
                let each = all.iter().map(|p| {
                    let name = p.entry.name.as_deref().unwrap_or_default();
                    p.space_in_words(&format!("space {name}"), "")
                });
                let (name, seed, n) = (p.config.name(), p.config.seed, all.len());
                let by = self.config.search.allocation.name();
                let head = format!("{name}: {size:.3e} networks in {n} spaces, allocation {by}, seed {seed}");
                std::iter::once(head).chain(each).collect::<Vec<_>>().join("\n")
            }
        };
        format!("{about}\n{}", p.data_in_words())
    }
}

impl Experiments {
    /// Estimated time of each space and of all, for people. A few small steps of each are timed on noise, for about so many
    /// seconds together.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn estimate_in_words(&self, clock: &dyn Clock, budget: f64) -> Result<String, ExperimentError> {
        let published = self.all.iter().map(Experiment::published).sum();
        let n = self.all.len() as f64;
        let each = self.all.iter().map(|p| p.estimate_with(clock, budget / n, published));
        let each: Vec<[f64; 3]> = each.collect::<Result<_, _>>()?;
        let sum = |part: usize| each.iter().map(|e| e[part]).sum::<f64>();
        // Trials and winners are shared: as if equally.
        let all = self.first().estimate_in_words([sum(0), sum(1) / n, sum(2) / n], published);
        let mut out = "estimated time on this machine: ".to_string();
        if self.named() {
            for (p, [supernet, search, _]) in self.all.iter().zip(&each) {
                let (supernet, search) = (supernet / 60.0, search / n / 60.0);
                let name = p.entry.name.as_deref().unwrap_or_default();
                out += &format!("{name}: supernet {supernet:.1} min, search {search:.1} min; ");
            }
            out += "all, with equal shares of trials and winners: ";
        }
        Ok(out + &all)
    }
}

/// The seed of the strategy of the space at a position, from the search's: the first has it itself.
pub fn strategy_seed(seed: u64, position: usize) -> u64 {
    match position {
        0 => seed,
        n => number(seed, Purpose::Space, n as u64),
    }
}

/// What has to be alike of the tables of several spaces, for their sums to be compared.
fn made(table: &Table) -> String {
    let e = table.engine();
    let device = e.table.map_or_else(String::new, |t| t.device);
    format!("{} {} {} on {device}, threads {}, batch {}", e.name, e.version, e.precision, e.threads, e.batch)
}
