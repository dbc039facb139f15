//! What `bench check` and `bench bless` share: the config, the programs that are timed, the exact numbers.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mobilenas_bench::engine::EngineError;
use mobilenas_bench::process::{MeasureError, WorkerProgram, Workload};
use mobilenas_bench::regression::Exact;
use mobilenas_host::json_file;

use crate::cli::Input;
use mobilenas_file::{FileError, FileExact, FileFlags, GuardedFile, ModelFile};
use mobilenas_host::Progress;
use mobilenas_host::Stop;
use mobilenas_pipeline::config::{self, RegressionConfig};

/// Which networks, by a config or by name.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// What is guarded and how, a YAML file [default: the exact numbers of every published network]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only these networks; beside files, if both are given
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    models: Option<Vec<String>>,
    #[command(flatten)]
    files: FileFlags,
}

impl Which {
    /// The config, with what the command line says instead. Also whether it was narrowed.
    ///
    /// # Errors
    /// The config's mistakes, or a name that is no network's.
    pub fn load(&self) -> Result<(RegressionConfig, bool)> {
        let mut config = match &self.config {
            Some(file) => config::load_gate(file)?,
            None => RegressionConfig::default(),
        };
        let narrowed = self.models.is_some() || self.files.any();
        if narrowed {
            let models = self.models.clone().unwrap_or_default();
            config.paired.models.clone_from(&models);
            config.accuracy.retain(|a| models.contains(&a.model));
            config.models = Some(models);
            config.files = self.files.files().into_iter().map(GuardedFile::new).collect();
        } else {
            for file in &mut config.files {
                let ModelFile { dims, inputs, .. } = self.files.complete(file.model());
                (file.dims, file.inputs) = (dims, inputs);
            }
        }
        match config.validate().into_iter().next() {
            None => Ok((config, narrowed)),
            Some((path, message)) => {
                let key = path.last().filter(|_| path[0] == "files").unwrap_or(&path[0]);
                Err(Input(format!("--{key}: {message}")).into())
            }
        }
    }
}

/// A mistake in what the user named is one of the input.
pub fn input(e: MeasureError) -> anyhow::Error {
    match e {
        MeasureError::UnknownModel { .. }
        | MeasureError::Design { .. }
        | MeasureError::Engine(EngineError::Unknown { .. }) => Input(e.to_string()).into(),
        MeasureError::Engine(EngineError::File(e)) => file_input(e),
        MeasureError::Device(e) if e.is_input() => Input(e.to_string()).into(),
        other => anyhow!(other),
    }
}

/// As [`input`], for a model file.
pub fn file_input(e: FileError) -> anyhow::Error {
    if e.is_input() { Input(e.to_string()).into() } else { anyhow!(e) }
}

/// A file that cannot be read is one of the input.
pub fn file(e: json_file::FileError) -> anyhow::Error {
    match e {
        json_file::FileError::Read { .. } => Input(e.to_string()).into(),
        other => anyhow!(other),
    }
}

/// This program, or another build of it, running a network.
pub fn program(build: Option<&Path>, model: &str, engine: &str) -> Result<WorkerProgram> {
    worker(build, Workload::new(model, engine))
}

/// This program, or another build of it, running a model file.
pub fn file_program(build: Option<&Path>, file: &ModelFile) -> Result<WorkerProgram> {
    worker(build, Workload::of_file(file).map_err(input)?)
}

fn worker(build: Option<&Path>, workload: Workload) -> Result<WorkerProgram> {
    let program = match build {
        Some(p) if !p.is_file() => {
            return Err(Input(format!("{}: found no file, expected a mobilenas program", p.display())).into());
        }
        Some(p) => p.canonicalize()?,
        None => mobilenas_host::program::file()?,
    };
    Ok(WorkerProgram::new(program, &["bench", "worker"], workload))
}

/// The exact numbers of networks.
///
/// # Errors
/// When one cannot be made, or the user asked to stop.
pub fn exact(config: &RegressionConfig, stop: &Stop) -> Result<Vec<(String, Exact)>> {
    let models = config.models();
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let progress = Progress::new("exact");
    progress.begin(models.len() as u64, 0);
    let mut all = Vec::with_capacity(models.len());
    for (i, model) in models.into_iter().enumerate() {
        if stop.asked() {
            return Err(anyhow!(MeasureError::Stopped));
        }
        progress.at(i as u64, &model);
        let exact = Exact::of(&model, config.exact.logits).map_err(input)?;
        all.push((model, exact));
    }
    progress.done();
    Ok(all)
}

/// The exact numbers of a model file.
///
/// # Errors
/// When it cannot be read or run.
pub fn file_exact(config: &RegressionConfig, file: &ModelFile) -> Result<FileExact> {
    FileExact::of(file, config.exact.logits).map_err(file_input)
}
