//! What a measuring process runs, and the program that it is.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mobilenas_file::{FileError, ModelFile};
use mobilenas_heads::{HeadOptions, WithHead};
use mobilenas_space::ir::Graph;
use mobilenas_space::{ChangeError, Space, SpaceConfig, families};
use serde::{Deserialize, Serialize};

use super::{HeadDesign, MeasureError};
use crate::engine::EngineError;

/// Classes of the published networks.
const CLASSES: u32 = 1000;

/// A network on an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct Workload {
    /// A published network
    #[arg(long)]
    pub model: String,
    /// The engine that runs it
    #[arg(long, default_value = "libtorch")]
    pub engine: String,
    /// Units of real work that are added to each call, for experiments
    #[arg(long, default_value_t = 0)]
    pub extra: u32,
    /// Intra-op threads
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Run on these cores only, from the beginning
    #[arg(long, value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// A network of this design instead of the published one, as JSON
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<String>,
    /// A model file instead, as JSON: `model` is its name
    #[arg(long)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Workload {
    /// A published network on an engine: one thread, one image, any core.
    pub fn new(model: &str, engine: &str) -> Workload {
        let (model, engine) = (model.to_string(), engine.to_string());
        Workload { model, engine, extra: 0, threads: 1, batch: 1, cores: Vec::new(), design: None, file: None }
    }

    /// A model file on its own engine.
    ///
    /// # Errors
    /// When it is not there, or has no format.
    pub fn of_file(file: &ModelFile) -> Result<Workload, MeasureError> {
        let (name, format) = (file.name(), file.format().map_err(EngineError::from)?);
        let whole = file.file.canonicalize();
        let whole = whole.map_err(|source| EngineError::from(FileError::Open { file: file.file.clone(), source }))?;
        let file = ModelFile { file: whole, format: Some(format.name().to_string()), ..file.clone() };
        // Names and numbers: making text of them cannot fail.
        let file = serde_json::to_string(&file).unwrap_or_default();
        Ok(Workload { file: Some(file), ..Workload::new(&name, format.engine()) })
    }

    /// The model file, if it is one.
    ///
    /// # Errors
    /// When what stands for it is none.
    pub fn file(&self) -> Result<Option<ModelFile>, MeasureError> {
        let file = self.file.as_deref().map(serde_json::from_str).transpose();
        file.map_err(|e| MeasureError::Design { model: self.model.clone(), message: e.to_string() })
    }

    /// Its arguments. Defaults are left out: an older build may not know the argument.
    fn arguments(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |name: &str, value: String| words.extend([name.to_string(), value]);
        add("--model", self.model.clone());
        add("--engine", self.engine.clone());
        add("--threads", self.threads.to_string());
        if self.extra > 0 {
            add("--extra", self.extra.to_string());
        }
        if self.batch != 1 {
            add("--batch", self.batch.to_string());
        }
        if !self.cores.is_empty() {
            add("--cores", self.cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        }
        if let Some(design) = &self.design {
            add("--design", design.clone());
        }
        if let Some(file) = &self.file {
            add("--file", file.clone());
        }
        words
    }

    /// The graph of the network.
    ///
    /// # Errors
    /// When there is no such network, or the design is none.
    pub fn graph(&self) -> Result<Graph, MeasureError> {
        let Some(design) = &self.design else { return Ok(published_graph(&self.model)?.0) };
        let design = serde_json::from_str(design);
        lower(&design.map_err(|e| MeasureError::Design { model: self.model.clone(), message: e.to_string() })?, None)
    }
}

/// The graph of a published network, and the side of its images in px.
///
/// # Errors
/// When there is none of that name.
pub fn published_graph(model: &str) -> Result<(Graph, u32), MeasureError> {
    let unknown = || MeasureError::UnknownModel { model: model.to_string() };
    let (family, info) = families::variant(model).ok_or_else(unknown)?;
    let template = family.template(model).ok_or_else(unknown)?;
    let plan = template.plan(&template.values(), info.resolution, CLASSES)?;
    Ok((plan.lower()?, info.resolution))
}

/// The network of a design with one choice for each knob, below a head if there is one.
pub(super) fn lower(design: &SpaceConfig, head: Option<&HeadDesign>) -> Result<Graph, MeasureError> {
    let wrong = |message: String| MeasureError::Design { model: design.family.clone(), message };
    let first = |e: Vec<mobilenas_space::SpaceError>| wrong(e.first().map(ToString::to_string).unwrap_or_default());
    let space = match head {
        None => Space::new(design).map_err(first)?,
        Some(HeadDesign { name, options }) => {
            let head = mobilenas_heads::head(name);
            let head = head.ok_or_else(|| wrong(format!("found the head {name}, expected a known one")))?;
            let options = HeadOptions { classes: design.classes, ..options.clone() };
            Space::changed(design, Arc::new(WithHead { head, options })).map_err(|e| match e {
                ChangeError::Space(all) => first(all),
                ChangeError::Unfit(e) => e.into(),
            })?
        }
    };
    Ok(space.lower(&space.smallest())?)
}

/// A program that can be a measuring process, and what it is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments before those of the workload.
    pub verb: Vec<String>,
    /// What it runs.
    #[serde(flatten)]
    pub workload: Workload,
}

impl WorkerProgram {
    /// A program that runs a workload.
    pub fn new(program: PathBuf, verb: &[&str], workload: Workload) -> WorkerProgram {
        WorkerProgram { program, verb: verb.iter().map(ToString::to_string).collect(), workload }
    }

    /// The same, bound to some cores.
    pub fn on(&self, cores: Vec<usize>) -> WorkerProgram {
        WorkerProgram { workload: Workload { cores, ..self.workload.clone() }, ..self.clone() }
    }

    /// The command that starts it; its standard error is captured.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.verb).args(self.workload.arguments()).stderr(Stdio::piped());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_build_understands_what_has_not_changed() {
        let words = |workload: &Workload| workload.arguments().join(" ");
        let plain = Workload::new("m", "e");
        assert_eq!(words(&plain), "--model m --engine e --threads 1");
        let design = Some("{}".to_string());
        let all = Workload { extra: 3, threads: 2, batch: 8, cores: vec![0, 1], design, ..plain };
        assert_eq!(words(&all), "--model m --engine e --threads 2 --extra 3 --batch 8 --cores 0,1 --design {}");
    }
}
