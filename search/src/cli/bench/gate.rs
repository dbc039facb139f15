//! What `bench check` and `bench bless` share: the config, the sides, the exact numbers.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mobilenas_bench::gate::pairs::Side;
use mobilenas_bench::gate::{Exact, GateError};

use crate::cli::Input;
use crate::config::{self, GateConfig};
use mobilenas_host::Progress;
use mobilenas_host::Stop;

/// Which networks, by a config or by name.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// What is guarded and how, a YAML file [default: the exact numbers of every published network]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only these networks
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    models: Option<Vec<String>>,
}

impl Which {
    /// The config, with what the command line says instead. Also whether it was narrowed.
    ///
    /// # Errors
    /// The config's mistakes, or a name that is no network's.
    pub fn load(&self) -> Result<(GateConfig, bool)> {
        let mut config = match &self.config {
            Some(file) => config::load_gate(file)?,
            None => GateConfig::default(),
        };
        if let Some(models) = &self.models {
            config.models = Some(models.clone());
            config.paired.models.clone_from(models);
            config.accuracy.retain(|a| models.contains(&a.model));
            if let Some((_, message)) = config.validate().into_iter().next() {
                return Err(Input(format!("--models: {message}")).into());
            }
        }
        Ok((config, self.models.is_some()))
    }
}

/// An error of the gate that the user has to mend becomes one of the input.
pub fn input(e: GateError) -> anyhow::Error {
    match e {
        GateError::Baseline { .. } | GateError::Model { .. } => Input(e.to_string()).into(),
        other => anyhow!(other),
    }
}

/// This program, or another one, running a network.
pub fn side(program: Option<&Path>, model: &str, engine: &str) -> Result<Side> {
    let program = match program {
        Some(p) if !p.is_file() => {
            return Err(Input(format!("{}: found no file, expected a mobilenas program", p.display())).into());
        }
        Some(p) => p.canonicalize()?,
        None => std::env::current_exe()?,
    };
    Ok(Side::new(program, &["bench", "worker"], model, engine))
}

/// The exact numbers of networks.
///
/// # Errors
/// When one cannot be made, or the user asked to stop.
pub fn exact(config: &GateConfig, stop: &Stop) -> Result<Vec<(String, Exact)>> {
    let models = config.models();
    let progress = Progress::new("exact");
    progress.begin(models.len() as u64, 0);
    let mut all = Vec::with_capacity(models.len());
    for (i, model) in models.into_iter().enumerate() {
        if stop.asked() {
            return Err(anyhow!(GateError::Stopped));
        }
        progress.at(i as u64, &model);
        let exact = Exact::of(&model, config.exact.logits).map_err(input)?;
        all.push((model, exact));
    }
    progress.done();
    Ok(all)
}
