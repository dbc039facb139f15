//! A network with weights from a file, published or found by a run, and how it wants its images: what `predict` and `evaluate` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use mobilenas_heads::{Head, HeadArgs, HeadNaming, HeadOptions};
use mobilenas_pipeline::config::{self, DataConfig, TrainConfig};
use mobilenas_space::families::{self, Family, Interpolation, Preprocessing};
use mobilenas_space::ir::Graph;
use mobilenas_torch::weights::About;
use mobilenas_torch::{Mode, Net};
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::bound::bound;
use super::{Input, networks};
use mobilenas_data::dataset::ImageFolder;
use mobilenas_image::{Float, Pipeline};

/// The network and what its images go through.
#[derive(Debug, clap::Args)]
pub struct NetArgs {
    /// A published network (`mobilenas models` lists them)
    #[arg(long, value_name = "NAME", requires = "weights", required_unless_present_any = ["run", "config"], group = "network")]
    model: Option<String>,
    /// Config of a training (`mobilenas train`), for its network instead of a published one
    #[arg(long, value_name = "CONFIG", requires = "weights", group = "network", conflicts_with = "resolution")]
    config: Option<PathBuf>,
    /// Its weights: safetensors, or a state dict that torch.save wrote
    #[arg(long, value_name = "FILE", requires = "network")]
    weights: Option<PathBuf>,
    /// Folder of a run, for one of its retrained winners instead of a published network
    #[arg(long, value_name = "DIR", requires = "trial", conflicts_with_all = ["network", "weights", "resolution"])]
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
    #[command(flatten)]
    head: HeadArgs,
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
    /// What the weights file says of itself.
    pub about: About,
}

/// Where the network comes from.
enum Source<'a> {
    Published { family: &'static dyn Family, name: &'a str, resolution: Option<u32>, head: HeadArgs },
    Winner { run: &'a Path, genome: PathBuf },
    Trained { config: Box<TrainConfig> },
}

impl Source<'_> {
    fn namings(&self) -> Result<Vec<HeadNaming>> {
        match self {
            Source::Published { name, head, .. } => networks::namings_with(head, name),
            Source::Winner { .. } | Source::Trained { .. } => Ok(Vec::new()),
        }
    }

    fn graph(&self, classes: u32) -> Result<Graph> {
        match self {
            Source::Published { name, resolution, head, .. } => {
                networks::with_head(head, name, *resolution, Some(classes))
            }
            Source::Winner { run, genome } => networks::winner(run, genome, false, classes),
            Source::Trained { config } => networks::trained(config, false, classes),
        }
    }

    /// How the network wants its images, unless the command line says otherwise.
    fn preprocessing(&self, about: &BTreeMap<String, String>, args: &NetArgs) -> Result<Preprocessing, String> {
        let how = match self {
            // Whole images are resized for a head, whatever the classifier had.
            Source::Published { .. }
                if args.head.head().is_ok_and(|h| h.is_some()) && about.contains_key("pixel_mean") =>
            {
                trained_on(about, args.mean, args.std).map_err(|e| format!("{e}, or --mean and --std"))?
            }
            Source::Published { family, name, .. } => {
                families::variant(name).map_or_else(|| family.preprocessing(), |(_, info)| info.preprocessing)
            }
            Source::Winner { .. } | Source::Trained { .. } => {
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

/// How images are preprocessed for weights of our own training, as their file says, unless other figures are given: images
/// that were in memory are taken whole.
pub(super) fn trained_on(
    about: &About,
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
) -> Result<Preprocessing, String> {
    let figure = |key: &str, given: Option<[f64; 3]>| {
        // One for grey levels, or three.
        let numbers = |text: &String| text.split(' ').map(|n| n.parse().ok()).collect::<Option<Vec<f64>>>();
        let said = about.get(key).and_then(numbers).and_then(|all| match all[..] {
            [grey] => Some([grey; 3]),
            [r, g, b] => Some([r, g, b]),
            _ => None,
        });
        given.or(said).ok_or_else(|| format!("does not say {key}, expected it there"))
    };
    let (mean, std) = (figure("pixel_mean", mean)?, figure("pixel_std", std)?);
    let crop_pct = about.get("crop_pct").and_then(|v| v.parse().ok()).unwrap_or(1.0);
    let bicubic = about.get("interpolation").is_some_and(|name| name == Interpolation::Bicubic.name());
    let interpolation = if bicubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
    Ok(Preprocessing { crop_pct, interpolation, mean, std })
}

impl NetArgs {
    fn source(&self) -> Result<Source<'_>> {
        if let Some(run) = &self.run {
            return Ok(Source::Winner {
                run,
                genome: run.join(format!("winners/{}.yaml", self.trial.unwrap_or_default())),
            });
        }
        let (name, resolution) = (self.model.as_deref().unwrap_or_default(), self.resolution);
        if let Some(file) = &self.config {
            return Ok(Source::Trained { config: Box::new(config::load_train(file)?) });
        }
        // Names that are none are refused here, with a hint.
        networks::variant(name, resolution, 2)?;
        let (family, _) = families::variant(name).ok_or_else(|| Input(format!("{name}: no such network")))?;
        Ok(Source::Published { family, name, resolution, head: self.head.small() })
    }

    /// The head of the network, and how it is made; none of a classifier.
    ///
    /// # Errors
    /// When head and task do not go together, a winner of a run is asked for with a head, or the config has mistakes.
    pub fn head(&self) -> Result<Option<(&'static dyn Head, HeadOptions)>> {
        let given = self.head.head()?;
        if let (Some(head), true) = (given, self.model.is_none()) {
            let expected = "--model NAME: runs and configs say which head they have";
            return Err(
                Input(format!("--head {}: no published network, expected it with {expected}", head.name())).into()
            );
        }
        let said = networks::head_of(self.config.as_deref(), self.run.as_deref())?;
        Ok(said.or_else(|| given.map(|head| (head, self.head.small().options(0)))))
    }

    /// The images that the network was trained on, if a run or a config says so.
    ///
    /// # Errors
    /// When the config has mistakes.
    pub fn data(&self) -> Result<Option<DataConfig>> {
        if let Some(run) = &self.run {
            return Ok(networks::run_config(run)?.map(|c| c.data));
        }
        Ok(self.config.as_deref().map(config::load_train).transpose()?.map(|c| c.data))
    }

    /// The weights file.
    pub fn file(&self) -> PathBuf {
        let winner = |run: &PathBuf| run.join(format!("winners/{}.safetensors", self.trial.unwrap_or_default()));
        self.run.as_ref().map(winner).or_else(|| self.weights.clone()).unwrap_or_default()
    }

    /// The network in words.
    fn name(&self) -> String {
        match (&self.model, &self.config) {
            (Some(model), _) => self.head.title(model),
            (None, Some(config)) => format!("the network of {}", config.display()),
            (None, None) => format!("trial {}", self.trial.unwrap_or_default()),
        }
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
        let (net, classes, about) = bound(&file, &self.name(), &source.namings()?, kind, |n| source.graph(n))?;
        let misfit = |e: String| Input(format!("{}: {e}", file.display()));
        if let Some(expected) = self.classes.filter(|c| *c != classes) {
            return Err(misfit(format!("its head has {classes} classes, expected {expected}")).into());
        }
        let how = source.preprocessing(&about, self).map_err(misfit)?;
        let side = net.graph().input().dims[1];
        Ok(Loaded { net, classes, names: class_names(&about), pipeline: Pipeline { side, how }, about })
    }

    /// What runs, for the first line.
    pub fn title(&self, loaded: &Loaded) -> String {
        let side = loaded.pipeline.side;
        if self.head().is_ok_and(|head| head.is_some()) {
            let Preprocessing { mean, std, interpolation, .. } = loaded.pipeline.how;
            let [mean, std] = [mean, std].map(|v| v.map(|n| n.to_string()).join(" "));
            let how = format!("resized to {side} x {side} ({})", interpolation.name());
            return format!("{} at {side} px: {how}, mean {mean}, std {std}", self.name());
        }
        format!("{} at {side} px: {}", self.name(), loaded.pipeline)
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
