//! A network with weights from a file, published or found by a run, and how it wants its images: what `predict` and `evaluate` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use mobilenas_space::families::{self, Family, Interpolation, Naming, Preprocessing, Translate};
use mobilenas_space::ir::{Graph, ParamSpec};
use mobilenas_torch::weights::{self, About, Misfit, Weights};
use mobilenas_torch::{Mode, Net, NetError, Params};
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::{Input, networks};
use mobilenas_data::dataset::ImageFolder;
use mobilenas_image::{Float, Pipeline};

/// The network and what its images go through.
#[derive(Debug, clap::Args)]
pub struct NetArgs {
    /// A published network (`mobilenas models` lists them)
    #[arg(long, value_name = "NAME", requires = "weights", required_unless_present = "run")]
    model: Option<String>,
    /// Its weights: safetensors, or a state dict that torch.save wrote
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
    /// The network.
    pub net: Net,
    /// Classes of its head.
    pub classes: u32,
    /// Their names, if the weights file tells them.
    pub names: Option<Vec<String>>,
    /// What images go through.
    pub pipeline: Pipeline,
}

/// Where the network comes from.
enum Source<'a> {
    Published { family: &'static dyn Family, name: &'a str, resolution: Option<u32> },
    Winner { genome: PathBuf },
}

impl Source<'_> {
    fn namings(&self) -> &'static [Naming] {
        match self {
            Source::Published { family, .. } => family.namings(),
            Source::Winner { .. } => &[],
        }
    }

    fn graph(&self, classes: u32) -> Result<Graph> {
        match self {
            Source::Published { name, resolution, .. } => networks::variant(name, *resolution, classes),
            Source::Winner { genome } => networks::genome(genome, classes),
        }
    }

    /// How the network wants its images, unless the command line says otherwise.
    fn preprocessing(&self, about: &BTreeMap<String, String>, args: &NetArgs) -> Result<Preprocessing, String> {
        let how = match self {
            Source::Published { family, name, .. } => {
                families::variant(name).map_or_else(|| family.preprocessing(), |(_, info)| info.preprocessing)
            }
            Source::Winner { .. } => {
                trained_on(about, args.mean, args.std).map_err(|e| format!("{e}, or --mean and --std"))?
            }
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
}

/// How images are preprocessed for weights of our own training: whole images, normalised by what the weights' file says
/// of them, unless other figures are given.
pub(super) fn trained_on(
    about: &About,
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
) -> Result<Preprocessing, String> {
    let figure = |key: &str, given: Option<[f64; 3]>| {
        let said = about.get(key).and_then(|v| v.parse::<f64>().ok()).map(|v| [v; 3]);
        given.or(said).ok_or_else(|| format!("does not say {key}, expected it there"))
    };
    let (mean, std) = (figure("pixel_mean", mean)?, figure("pixel_std", std)?);
    Ok(Preprocessing { crop_pct: 1.0, interpolation: Interpolation::Bilinear, mean, std })
}

/// Classes of the weights' head: the size that the network's tensors have where they depend on it. `graph` makes the
/// network for a number of classes.
pub(super) fn classes_of(graph: impl Fn(u32) -> Result<Graph>, weights: &Weights) -> Result<Result<u32, String>> {
    let Some((name, axis)) = head(&graph)?.into_iter().next() else { return Ok(Err("no classifier".to_string())) };
    let size = weights.tensors.get(&name).and_then(|t| t.shape.get(axis).copied());
    // A detector has so many numbers for each class of each anchor, and others besides.
    let at = |classes| -> Result<i64> {
        let own = graph(classes)?.params().into_iter().find(|p| p.name == name);
        Ok(own.and_then(|p| p.shape().get(axis).copied()).unwrap_or_default())
    };
    let (two, each) = (at(2)?, (at(3)? - at(2)?).max(1));
    let classes = size.map(|n| n - two).filter(|n| n % each == 0).map(|n| 2 + n / each);
    let classes = classes.and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MOST_CLASSES).contains(n));
    Ok(classes.ok_or_else(|| format!("no classifier {name}")))
}

/// The most classes that a head may have.
pub(super) const MOST_CLASSES: u32 = 1_000_000;

/// Tensors whose size depends on the number of classes, and along which axis.
pub(super) fn head(graph: impl Fn(u32) -> Result<Graph>) -> Result<Vec<(String, usize)>> {
    let (two, three) = (graph(2)?.params(), graph(3)?.params());
    let differs = |(a, b): (&ParamSpec, &ParamSpec)| {
        let axis = a.shape().iter().zip(b.shape()).position(|(x, y)| *x != y);
        axis.map(|axis| (a.name.clone(), axis))
    };
    Ok(two.iter().zip(&three).filter_map(differs).collect())
}

/// A network bound to a file's weights, with the classes of its head and what the file says of itself. `graph` makes the
/// network for a number of classes; `name` is for messages.
pub(super) fn bound<N: Translate>(
    file: &Path,
    name: &str,
    namings: &[N],
    kind: Kind,
    graph: impl Fn(u32) -> Result<Graph>,
) -> Result<(Net, u32, About)> {
    let mut weights = open(file, None)?;
    weights.rename(&weights::wanted(&graph(2)?), namings);
    let misfit = |e: String| Input(format!("{}: {e}", file.display()));
    let classes = classes_of(&graph, &weights)?.map_err(|e| misfit(format!("{e}, expected weights of {name}")))?;
    let graph = graph(classes)?;
    let side = graph.input().dims[1];
    if let Some(found) = few(&misfits(&graph, &weights)) {
        return Err(misfit(format!("not weights of {name} at {side} px: {found}")).into());
    }
    let wrong = |e: NetError| Input(e.to_string());
    let mut named = weights.read_all().map_err(wrong)?;
    weights::complete(&graph, &mut named).map_err(|e| misfit(e.to_string()))?;
    Ok((Net::bind(Arc::new(graph), &Read { named: &named, kind })?, classes, weights.about))
}

/// Opens a weights file for a network of the command line.
pub(super) fn open(file: &Path, part: Option<&str>) -> Result<Weights, Input> {
    Weights::open(file, part).map_err(|e| match &e {
        NetError::Part { parts, .. } => {
            let hint =
                parts.first().map_or_else(String::new, |(p, _)| format!(" (`weights import --part {p}` takes it)"));
            Input(format!("{e}{hint}"))
        }
        _ => Input(e.to_string()),
    })
}

/// Differences between a network and a file's tensors.
pub(super) fn misfits(graph: &Graph, weights: &Weights) -> Vec<Misfit> {
    weights::misfits(&weights::wanted(graph), weights.tensors.iter().map(|(n, t)| (n, t.kind, t.shape.clone())))
}

impl NetArgs {
    fn source(&self) -> Result<Source<'_>> {
        if let Some(run) = &self.run {
            return Ok(Source::Winner { genome: run.join(format!("winners/{}.yaml", self.trial.unwrap_or_default())) });
        }
        let (name, resolution) = (self.model.as_deref().unwrap_or_default(), self.resolution);
        // Names that are none are refused here, with a hint.
        networks::variant(name, resolution, 2)?;
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
        let (source, file) = (self.source()?, self.file());
        let kind = match self.precision {
            Precision::Float32 => Kind::Float,
            Precision::Float64 => Kind::Double,
        };
        let (net, classes, about) = bound(&file, &self.name(), source.namings(), kind, |n| source.graph(n))?;
        let misfit = |e: String| Input(format!("{}: {e}", file.display()));
        if let Some(expected) = self.classes.filter(|c| *c != classes) {
            return Err(misfit(format!("its head has {classes} classes, expected {expected}")).into());
        }
        let how = source.preprocessing(&about, self).map_err(misfit)?;
        let side = net.graph().input().dims[1];
        Ok(Loaded { net, classes, names: class_names(&about), pipeline: Pipeline { side, how } })
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
                "interpolation": how.interpolation.name(), "mean": how.mean, "std": how.std,
            },
        })
    }
}

/// The first difference, and how many more there are.
fn few(misfits: &[Misfit]) -> Option<String> {
    match misfits {
        [] => None,
        [one] => Some(one.to_string()),
        [first, more @ ..] => Some(format!("{first}, and {} more", more.len())),
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

/// Names of the classes that a weights file tells, in the order of their labels.
pub fn class_names(about: &BTreeMap<String, String>) -> Option<Vec<String>> {
    about.get("classes").and_then(|text| serde_json::from_str(text).ok())
}

impl Loaded {
    /// Labels a folder's images with the network's classes: by name where the weights file names them, else in the folder's
    /// own order.
    ///
    /// # Errors
    /// When a folder is none of the classes, or there are not as many.
    pub fn labels(&self, folder: ImageFolder, file: &str) -> Result<ImageFolder> {
        let (found, expected) = (folder.classes.len(), self.classes as usize);
        match &self.names {
            Some(names) if names.len() == expected => {
                Ok(folder.labelled_as(names, file).map_err(|e| Input(e.to_string()))?)
            }
            _ if found == expected => Ok(folder),
            _ => {
                let dir = folder.dir.display();
                Err(Input(format!("{dir}: {found} folders of classes, expected {expected} as in {file}")).into())
            }
        }
    }

    /// Logits of inputs, an image each.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn logits<F: Float + tch::kind::Element>(&self, inputs: &[Vec<F>]) -> Result<Vec<Vec<f64>>> {
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
