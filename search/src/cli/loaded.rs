//! A network with weights from a file, published or found by a run, and how it wants its images: what `predict` and `evaluate` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use mobilenas_space::families::{self, Family, Interpolation, Preprocessing};
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_torch::{Mode, Net, NetError, Params, weights};
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::{Input, models};
use crate::images::{Float, Pipeline};

/// The network and what its images go through.
#[derive(Debug, clap::Args)]
pub struct NetArgs {
    /// A published network (`mobilenas models` lists them)
    #[arg(long, value_name = "NAME", requires = "weights", required_unless_present = "run")]
    model: Option<String>,
    /// Its weights, a safetensors file
    #[arg(long, value_name = "FILE", requires = "model")]
    weights: Option<PathBuf>,
    /// Folder of a run, for one of its retrained winners instead of a published network
    #[arg(long, value_name = "DIR", requires = "trial", conflicts_with_all = ["model", "weights", "resolution"])]
    run: Option<PathBuf>,
    /// The winner's number in the run
    #[arg(long, value_name = "N", requires = "run")]
    trial: Option<u64>,
    /// Number of classes the weights should have
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    classes: Option<u32>,
    /// Side of the network's images in pixels [default: the published one]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=4096))]
    resolution: Option<u32>,
    /// Side of the centre that is cut out, over the shorter side [default: the published one]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    crop_pct: Option<f64>,
    /// How images are resized [default: the published one]
    #[arg(long, value_enum)]
    interpolation: Option<How>,
    /// Taken off red, green and blue, which are in [0, 1] [default: the published one]
    #[arg(long, value_name = "R,G,B", value_parser = triple, allow_hyphen_values = true)]
    mean: Option<[f64; 3]>,
    /// What red, green and blue are divided by then [default: the published one]
    #[arg(long, value_name = "R,G,B", value_parser = positive_triple)]
    std: Option<[f64; 3]>,
    /// Precision of all arithmetic
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    pub precision: Precision,
}

/// How images are resized.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    Bicubic,
    Bilinear,
}

/// Precision of all arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Single.
    Float32,
    /// Double.
    Float64,
}

fn share(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|x| (0.01..=1.0).contains(x));
    found.ok_or_else(|| "expected a number of 0.01 to 1".to_string())
}

fn triple(text: &str) -> Result<[f64; 3], String> {
    let all: Option<Vec<f64>> =
        text.split(',').map(|x| x.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect();
    all.and_then(|v| v.try_into().ok()).ok_or_else(|| "expected three numbers: R,G,B".to_string())
}

fn positive_triple(text: &str) -> Result<[f64; 3], String> {
    let found = triple(text)?;
    found.iter().all(|x| *x > 0.0).then_some(found).ok_or_else(|| "expected three numbers above 0: R,G,B".to_string())
}

/// A network ready to run.
#[derive(Debug)]
pub struct Loaded {
    net: Net,
    /// Classes of its head.
    pub classes: u32,
    /// What images go through.
    pub pipeline: Pipeline,
}

/// Where the network comes from.
enum Source<'a> {
    Published { family: &'static dyn Family, name: &'a str, resolution: Option<u32> },
    Winner { genome: PathBuf },
}

impl Source<'_> {
    fn graph(&self, classes: u32) -> Result<Graph> {
        match self {
            Source::Published { name, resolution, .. } => models::variant(name, *resolution, classes),
            Source::Winner { genome } => models::genome(genome, classes),
        }
    }

    /// How the network wants its images, unless the command line says otherwise. Winners saw whole images, normalised by
    /// what their weights' file says of them.
    fn preprocessing(&self, about: &BTreeMap<String, String>, args: &NetArgs) -> Result<Preprocessing, String> {
        let figure = |key: &str, given: Option<[f64; 3]>| {
            let said = about.get(key).and_then(|v| v.parse::<f64>().ok()).map(|v| [v; 3]);
            given.or(said).ok_or_else(|| format!("does not say {key}, expected it there, or --mean and --std"))
        };
        let how = match self {
            Source::Published { family, .. } => family.preprocessing(),
            Source::Winner { .. } => Preprocessing {
                crop_pct: 1.0,
                interpolation: Interpolation::Bilinear,
                mean: figure("pixel_mean", args.mean)?,
                std: figure("pixel_std", args.std)?,
            },
        };
        let interpolation = match args.interpolation {
            Some(How::Bicubic) => Interpolation::Bicubic,
            Some(How::Bilinear) => Interpolation::Bilinear,
            None => how.interpolation,
        };
        Ok(Preprocessing {
            crop_pct: args.crop_pct.unwrap_or(how.crop_pct),
            interpolation,
            mean: args.mean.unwrap_or(how.mean),
            std: args.std.unwrap_or(how.std),
        })
    }

    /// Classes of the weights' head: the size that the network's tensors have where they depend on it.
    fn head(&self, named: &BTreeMap<String, Tensor>) -> Result<Result<u32, String>> {
        let of = |classes| self.graph(classes).map(|g| g.params());
        for (two, three) in of(2)?.iter().zip(&of(3)?) {
            let axis = two.shape().iter().zip(three.shape()).position(|(a, b)| *a != b);
            let Some(axis) = axis else { continue };
            let size = named.get(&two.name).and_then(|t| t.size().get(axis).copied());
            let classes = size.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            return Ok(classes.ok_or_else(|| format!("no classifier {}", two.name)));
        }
        Ok(Err("no classifier".to_string()))
    }
}

impl NetArgs {
    fn source(&self) -> Result<Source<'_>> {
        if let Some(run) = &self.run {
            return Ok(Source::Winner { genome: run.join(format!("winners/{}.yaml", self.trial.unwrap_or_default())) });
        }
        let (name, resolution) = (self.model.as_deref().unwrap_or_default(), self.resolution);
        // Names that are none are refused here, with a hint.
        models::variant(name, resolution, 2)?;
        let (family, _) = families::variant(name).ok_or_else(|| Input(format!("{name}: no such network")))?;
        Ok(Source::Published { family, name, resolution })
    }

    /// The weights file.
    pub fn file(&self) -> PathBuf {
        let winner = |run: &PathBuf| run.join(format!("winners/{}.safetensors", self.trial.unwrap_or_default()));
        self.run.as_ref().map(winner).or_else(|| self.weights.clone()).unwrap_or_default()
    }

    /// The network in words.
    fn name(&self) -> String {
        self.model.clone().unwrap_or_else(|| format!("trial {}", self.trial.unwrap_or_default()))
    }

    /// Reads the weights and binds the network to them.
    ///
    /// # Errors
    /// When there is no such network, or the weights are not its.
    pub fn load(&self) -> Result<Loaded> {
        let (source, file, name) = (self.source()?, self.file(), self.name());
        let (named, about) = weights::load(&file).map_err(|e| Input(e.to_string()))?;
        let misfit = |e: String| Input(format!("{}: {e}", file.display()));
        let classes = source.head(&named)?.map_err(|e| misfit(format!("{e}, expected weights of {name}")))?;
        if let Some(expected) = self.classes.filter(|c| *c != classes) {
            return Err(misfit(format!("its head has {classes} classes, expected {expected}")).into());
        }
        let graph = source.graph(classes)?;
        let side = graph.input().dims[1];
        fits(&graph, &named).map_err(|e| misfit(format!("not weights of {name} at {side} px: {e}")))?;
        let kind = match self.precision {
            Precision::Float32 => Kind::Float,
            Precision::Float64 => Kind::Double,
        };
        let net = Net::bind(Arc::new(graph), &Read { named: &named, kind })?;
        let how = source.preprocessing(&about, self).map_err(misfit)?;
        Ok(Loaded { net, classes, pipeline: Pipeline { side, how } })
    }

    /// What runs, for the first line.
    pub fn title(&self, loaded: &Loaded) -> String {
        format!("{} at {} px: {}", self.name(), loaded.pipeline.side, loaded.pipeline)
    }

    /// What runs, as JSON.
    pub fn json(&self, loaded: &Loaded) -> Json {
        let Pipeline { side, how } = loaded.pipeline;
        json!({
            "model": self.name(), "weights": self.file().display().to_string(), "classes": loaded.classes,
            "precision": if self.precision == Precision::Float64 { "float64" } else { "float32" },
            "preprocessing": {
                "resolution": side, "resized": loaded.pipeline.shorter(), "crop_pct": how.crop_pct,
                "interpolation": how.interpolation.word(), "mean": how.mean, "std": how.std,
            },
        })
    }
}

/// Whether the tensors are the graph's: none missing, none beside, each of its shape.
fn fits(graph: &Graph, named: &BTreeMap<String, Tensor>) -> Result<(), String> {
    let specs: BTreeMap<String, ParamSpec> = graph.params().into_iter().map(|p| (p.name.clone(), p)).collect();
    let mut wrong = Vec::new();
    for (name, p) in &specs {
        match named.get(name).map(Tensor::size) {
            None => wrong.push(format!("{name} is missing")),
            Some(found) if found != p.shape() => {
                wrong.push(format!("{name} has shape {found:?}, expected {:?}", p.shape()));
            }
            Some(_) => {}
        }
    }
    wrong.extend(named.keys().filter(|n| !specs.contains_key(*n)).map(|n| format!("{n} is not part of it")));
    match (wrong.len(), wrong.first()) {
        (_, None) => Ok(()),
        (1, Some(first)) => Err(first.clone()),
        (n, Some(first)) => Err(format!("{first}, and {} more", n - 1)),
    }
}

/// Tensors as a file has them, floating ones in one precision.
struct Read<'a> {
    named: &'a BTreeMap<String, Tensor>,
    kind: Kind,
}

impl Params for Read<'_> {
    fn get(&self, p: &ParamSpec) -> Result<Tensor, NetError> {
        let missing = || NetError::Missing { name: p.name.clone(), expected: p.shape() };
        let t = self.named.get(&p.name).ok_or_else(missing)?;
        let cast = if t.is_floating_point() { t.f_to_kind(self.kind) } else { Ok(t.shallow_clone()) };
        cast.map_err(|e| NetError::Torch { at: p.name.clone(), message: e.to_string() })
    }
}

impl Loaded {
    /// Logits of inputs, an image each.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn logits<F: Float>(&self, inputs: &[Vec<F>]) -> Result<Vec<Vec<f64>>> {
        let side = i64::from(self.pipeline.side);
        let _guard = tch::no_grad_guard();
        let flat = inputs.concat();
        let images = Tensor::f_from_slice(&flat)?.f_view([inputs.len() as i64, 3, side, side])?;
        let logits = self.net.forward(&images, Mode::Eval)?.f_to_kind(Kind::Double)?.f_contiguous()?;
        let logits = Vec::<f64>::try_from(logits.f_view([-1])?)?;
        Ok(logits.chunks(self.classes.max(1) as usize).map(<[f64]>::to_vec).collect())
    }
}

/// The classes of the largest values, largest first; of equal ones the first comes first.
pub fn largest(values: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    order.truncate(n);
    order
}

/// Whether all values are numbers; the weights are not sound otherwise.
///
/// # Errors
/// When one is infinite or not a number.
pub fn finite(values: &[f64], net: &NetArgs, image: &Path) -> Result<()> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    let (file, image) = (net.file(), image.display());
    let file = file.display();
    Err(Input(format!("{file}: logits of {image} are not finite, expected sound weights")).into())
}
