//! The space that is meant, and the place of its table.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenas_host::Lock;
use mobilenas_pipeline::config;
use mobilenas_pipeline::experiment::ExperimentError;
use mobilenas_space::{Space, SpaceConfig};

use crate::cli::Input;

/// The space whose blocks are meant.
#[derive(Debug, clap::Args)]
pub(super) struct SpaceArgs {
    /// A config whose space is meant
    #[arg(required_unless_present = "family")]
    pub config: Option<PathBuf>,
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    pub space: Option<String>,
    /// A family's published space instead of a config's
    #[arg(long, conflicts_with = "config")]
    pub family: Option<String>,
    /// Classes of the networks, with --family
    #[arg(long, default_value_t = 1000, conflicts_with = "config", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub classes: u32,
    /// More distinct blocks than this are not timed; then those of random networks are, up to it
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub most_blocks: usize,
}

/// Whole networks.
#[derive(Debug, clap::Args)]
pub(super) struct NetArgs {
    /// Random networks that the line is fitted on
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub fit: usize,
    /// Other random networks that the table is judged by
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub validate: usize,
}

/// A space, and what its config says beside.
pub(super) struct Meant {
    pub space: Space,
    pub name: String,
    pub seed: u64,
    pub latency: config::LatencySettings,
}

/// The space of a config, or of a family.
pub(super) fn meant(config: Option<&Path>, name: Option<&str>, family: Option<&str>, classes: u32) -> Result<Meant> {
    if let Some(path) = config {
        let loaded = config::load(path)?;
        let c = &loaded.config;
        let head = c.task_config();
        let classes = match c.data.name.reader().classes() {
            Some(n) => n as usize,
            None => c.data.load_with(head.task().labels()).map_err(ExperimentError::from)?.train.classes.len(),
        };
        let classes = head.classes(classes);
        let entry = loaded.entry(name)?;
        let space = loaded.space(&entry, classes)?;
        return Ok(Meant { space, name: c.name().to_string(), seed: c.seed, latency: c.of_entry(&entry).latency });
    }
    let family = family.unwrap_or_default().to_string();
    let design = SpaceConfig { family: family.clone(), width: 1.0, divisor: 8, knobs: Default::default(), classes };
    match Space::new(&design) {
        Ok(space) => Ok(Meant { space, name: family, seed: 1, latency: config::LatencySettings::default() }),
        Err(errors) => {
            let e = errors.into_iter().next();
            let hint = e.as_ref().and_then(|e| e.nearest.clone()).map(|n| format!("; did you mean {n}?"));
            bail!(Input(format!("--{}{}", e.map_or_else(String::new, |e| e.to_string()), hint.unwrap_or_default())))
        }
    }
}

/// Refuses to write over a file.
pub(super) fn refuse_existing(out: &Path) -> Result<()> {
    match out.exists() {
        true => bail!(Input(format!("{}: exists, expected a new file", out.display()))),
        false => Ok(()),
    }
}

/// Keeps other processes from writing a table.
pub(super) fn locked(out: &Path) -> Result<Lock> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Input(format!("{}: {e}", folder.display())))?;
    }
    Ok(Lock::file(out, "mobilenas latency-table").map_err(|e| Input(e.to_string()))?)
}
