//! `mobilenas weights export --out X.safetensors`, or a file of another extension, or `--format pytorch --out DIR`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::builder::{PossibleValue, PossibleValuesParser};
use mobilenas_heads::{Head, HeadArgs};
use mobilenas_pipeline::config::{self, Origin};
use mobilenas_pipeline::experiment::{Experiment, prepare_run};
use mobilenas_pipeline::pipeline::train_job::TrainJob;
use mobilenas_pipeline::pipeline::{RunError, subnet};
use mobilenas_pipeline::quantize::Sets;
use mobilenas_record::run::Trial;
use mobilenas_space::families::{self, Naming, Preprocessing};
use mobilenas_space::ir::{Graph, Regularization};
use mobilenas_torch::weights::About;
use mobilenas_torch::{Names, Net, Owned, ParamStore};
use tch::{Device, Kind};

use super::super::bound::bound;
use super::super::loaded::trained_on;
use super::super::{Input, networks};
use super::format::{Exported, Flags, Format};
use super::{onnx, phones, pytorch, safetensors};

/// Arguments of `weights export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A published network (`mobilenas models` lists them), with --weights; safetensors alone need them
    #[arg(long, value_name = "NAME", required_unless_present_any = ["run", "config"], group = "network")]
    model: Option<String>,
    /// Config of a training (`mobilenas train`), for its network instead of a published one, with --weights
    #[arg(long, value_name = "CONFIG", requires = "weights", group = "network")]
    config: Option<PathBuf>,
    /// Its weights: safetensors, or a state dict that torch.save wrote
    #[arg(long, value_name = "FILE", requires = "network")]
    weights: Option<PathBuf>,
    /// Side of a published network's images in pixels [default: the published one]
    #[arg(long, value_name = "PX", requires = "model", value_parser = clap::value_parser!(u32).range(1..=4096))]
    resolution: Option<u32>,
    /// Classes of a published network without --weights [default: 1000, or the head's published number]
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "weights", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    classes: Option<u32>,
    #[command(flatten)]
    head: HeadArgs,
    /// Folder of a run, for one of its networks instead of a published one
    #[arg(long, value_name = "DIR", requires = "which", conflicts_with_all = ["network", "weights"])]
    run: Option<PathBuf>,
    /// A trial of the run: its retrained weights if it is a winner, else its part of the supernet
    #[arg(long, value_name = "N", requires = "run", group = "which")]
    trial: Option<u64>,
    /// A genome's file, for its part of the run's supernet
    #[arg(long, value_name = "FILE", requires = "run", group = "which")]
    genome: Option<PathBuf>,
    /// A winner's part of the supernet instead of its retrained weights
    #[arg(long, requires = "trial")]
    inherited: bool,
    /// Fold batch norms into the convolutions before them, which get biases [default for ONNX and the phones' formats]
    #[arg(long)]
    fused: bool,
    /// Keep batch norms as they are [default for safetensors and PyTorch source]
    #[arg(long, conflicts_with = "fused")]
    unfused: bool,
    #[command(flatten)]
    flags: Flags,
    /// What is written [default: by the extension of --out: .onnx, .mlpackage, .pte or .tflite, else safetensors]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    format: Option<String>,
    /// The file to write, `-` is standard output; for pytorch a folder
    #[arg(long, value_name = "PLACE")]
    out: PathBuf,
}

/// The formats; the first is the default.
pub static EXPORTS: &[Format] =
    &[safetensors::FORMAT, onnx::FORMAT, pytorch::FORMAT, phones::COREML, phones::EXECUTORCH, phones::LITERT];

fn format() -> PossibleValuesParser {
    PossibleValuesParser::new(EXPORTS.iter().map(|f| PossibleValue::new(f.name).help(f.writes)))
}

/// Exports weights.
///
/// # Errors
/// When there is no such network, or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    let format = args.format();
    if let Some(flag) = args.flags.given().find(|flag| !format.takes.contains(flag)) {
        let takes = EXPORTS.iter().filter(|f| f.takes.contains(&flag)).map(|f| f.name).collect::<Vec<_>>().join(" or ");
        let (out, name) = (args.out.display(), format.name);
        bail!(Input(format!("{out}: {flag} with the format {name}, expected --format {takes}")));
    }
    let name = args.model.as_deref().unwrap_or_default();
    if let Some(head) = args.head.head()?.filter(|_| !format.heads || args.model.is_none()) {
        let expected = "--model NAME, and safetensors, onnx or pytorch";
        bail!(Input(format!("--head {}: not written with {}, expected {expected}", head.name(), format.name)));
    }
    if let Some(head) = args.head_of()?.filter(|_| !format.heads) {
        let takes = EXPORTS.iter().filter(|f| f.heads).map(|f| f.name).collect::<Vec<_>>().join(" or ");
        let found = format!("a network with the head {}, expected a classifier, or --format {takes}", head.name());
        bail!(Input(format!("--format {}: {found}", format.name)));
    }
    let Loaded { net, mut about, title, classes } = match (&args.run, &args.config, &args.weights) {
        (Some(run), ..) => found(args, run)?,
        (_, Some(config), Some(file)) => trained(config, file)?,
        (_, _, Some(file)) => published(name, file, args)?,
        _ if format.untrained && !args.flags.int8.int8 => untrained(name, args)?,
        _ => bail!(Input(format!("{name}: no weights to export, expected --weights FILE"))),
    };
    about.insert("program".to_string(), format!("mobilenas {}", env!("CARGO_PKG_VERSION")));
    let fused = args.fused || (format.fused && !args.unfused);
    let (net, title) = match fused {
        true => (net.freeze()?, format!("{title}, batch norms folded")),
        false => (net, title),
    };
    (format.write)(&Exported {
        net,
        about,
        title,
        classes,
        name: args.name()?,
        out: &args.out,
        flags: &args.flags,
        sets: &|net| args.sets(net),
        head: &|| args.head_of(),
        preprocessing: &|about| args.preprocessing(about),
        regularization: &|| if fused { Ok(Regularization::NONE) } else { args.regularization() },
    })
}

impl Args {
    fn format(&self) -> &'static Format {
        let extension = self.out.extension().map(|e| e.to_string_lossy().to_lowercase());
        let chosen = |f: &&Format| match &self.format {
            Some(name) => f.name == name,
            None => f.extension.is_some() && f.extension == extension.as_deref(),
        };
        EXPORTS.iter().find(chosen).unwrap_or(&EXPORTS[0])
    }

    /// The network as a name of Python. Only the names of published networks are known to be neither keywords of Python
    /// nor modules.
    fn name(&self) -> Result<String> {
        let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let word = match (&self.model, &self.config, &self.genome, self.trial) {
            (Some(model), ..) => return Ok(model.clone()),
            (_, Some(config), ..) => format!("net_{}", config::load_train(config)?.name()),
            (_, _, Some(genome), _) => format!("net_{}", stem(genome)),
            (.., trial) => format!("trial_{}", trial.unwrap_or_default()),
        };
        Ok(word.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    }

    /// The training images of the network and its test images.
    fn sets(&self, net: &Net) -> Result<Sets> {
        if let Some(run) = &self.run {
            return Ok(self.run_experiment(run)?.into());
        }
        if let Some(config) = &self.config {
            return Ok(TrainJob::prepare(config)?.sets());
        }
        let model = self.model.as_deref().unwrap_or_default();
        let head = self.head.head()?.map(|head| (head, self.head.options(0)));
        self.flags.int8.sets(model, head, net.graph().input().dims[1])
    }

    /// The experiment of a run's space: that of the trial, of the genome's family, or the only one.
    fn run_experiment(&self, root: &Path) -> Result<Experiment> {
        let all = prepare_run(root).map_err(RunError::from)?;
        let fits = |p: &Experiment| -> Result<bool> {
            Ok(match (&self.genome, self.trial) {
                (Some(file), _) => {
                    let one = networks::one_network(
                        file,
                        config::load_genome(file, p.space.classes(), p.space.change().cloned())?,
                    )?;
                    let same = one.family().name() == p.space.family().name();
                    same && p.space.genome(&one.values(&one.smallest())).is_ok()
                }
                (None, n) => entry(root, n.unwrap_or_default())?.space == p.entry.name,
            })
        };
        let mut all = all.into_all();
        let at = match all.len() {
            1 => 0,
            _ => all.iter().map(fits).collect::<Result<Vec<bool>>>()?.into_iter().position(|fits| fits).unwrap_or(0),
        };
        Ok(all.swap_remove(at))
    }

    /// The published preprocessing, or what the weights say of the images that they were trained on.
    fn preprocessing(&self, about: &About) -> Result<Preprocessing> {
        let published = self.model.as_deref().and_then(families::variant);
        let place = self.weights.as_ref().or(self.run.as_ref()).unwrap_or(&self.out);
        let told = |e: String| Input(format!("{}: {e}", place.display()));
        Ok(published.map_or_else(|| trained_on(about, None, None), |(_, info)| Ok(info.preprocessing)).map_err(told)?)
    }

    fn head_of(&self) -> Result<Option<&'static dyn Head>> {
        let said = networks::head_of(self.config.as_deref(), self.run.as_deref())?.map(|(head, _)| head);
        Ok(said.or(self.head.head()?))
    }

    /// What the recipe drops; a published network has no recipe, and keeps what its graph drops.
    fn regularization(&self) -> Result<Regularization> {
        if let Some(run) = &self.run {
            return Ok(config::load_from(&run.join(config::FILE), Origin::Run)?.config.retrain.recipe.regularize());
        }
        if let Some(config) = &self.config {
            return Ok(config::load_train(config)?.train.regularize());
        }
        Ok(Regularization { drop_path: None, ..Regularization::NONE })
    }
}

/// A network to export.
struct Loaded {
    net: Net,
    /// What its file says of itself.
    about: About,
    /// It in words.
    title: String,
    /// Its classes; a detector's count the background.
    classes: u32,
}

/// A network as it begins, for what depends on no weights, as latency.
fn untrained(name: &str, args: &Args) -> Result<Loaded> {
    let graph = networks::with_head(&args.head, name, args.resolution, args.classes)?;
    let classes = match args.head.head()? {
        Some(head) => args.classes.unwrap_or(head.classes()),
        None => graph.output_value().channels() as u32,
    };
    let title = args.head.title(name);
    let side = graph.input().dims[1];
    let store = ParamStore::init(&graph, Names::Standalone, 0, Device::Cpu)?;
    let net = Net::bind(Arc::new(graph), &Owned(&store))?;
    let about = [("model", name.to_string()), ("resolution", side.to_string()), ("weights", "untrained".to_string())];
    let about = about.map(|(k, v)| (k.to_string(), v)).into_iter().collect();
    Ok(Loaded { net, about, title: format!("{title} at {side} px, {classes} classes, untrained"), classes })
}

fn published(name: &str, file: &Path, args: &Args) -> Result<Loaded> {
    let graph = |classes| networks::with_head(&args.head, name, args.resolution, Some(classes));
    let title = args.head.title(name);
    graph(2)?;
    let (net, classes, mut about) =
        bound(file, &title, &networks::namings_with(&args.head, name)?, Kind::Float, graph)?;
    let side = net.graph().input().dims[1];
    about.insert("model".to_string(), name.to_string());
    about.insert("resolution".to_string(), side.to_string());
    Ok(Loaded { net, about, title: format!("{title} at {side} px, {classes} classes"), classes })
}

/// The network of a training's config.
fn trained(file: &Path, weights: &Path) -> Result<Loaded> {
    let config = config::load_train(file)?;
    let graph = |classes: u32| networks::trained(&config, true, classes);
    let (net, classes, about) =
        bound(weights, &format!("the network of {}", file.display()), &[] as &[Naming], Kind::Float, graph)?;
    let side = net.graph().input().dims[1];
    Ok(Loaded { net, about, title: format!("{} at {side} px, {classes} classes", config.name()), classes })
}

/// A network of a run: a retrained winner, or a part of the supernet.
fn found(args: &Args, root: &Path) -> Result<Loaded> {
    let winner = |n: u64, kind: &str| root.join(format!("winners/{n}.{kind}"));
    if let Some(n) = args.trial.filter(|n| !args.inherited && winner(*n, "safetensors").exists()) {
        let (file, genome) = (winner(n, "safetensors"), winner(n, "yaml"));
        let name = format!("trial {n}");
        let (net, classes, about) =
            bound(&file, &name, &[] as &[Naming], Kind::Float, |c| networks::winner(root, &genome, true, c))?;
        let side = net.graph().input().dims[1];
        let title = format!("{name} at {side} px, {classes} classes, retrained");
        return Ok(Loaded { net, about, title, classes });
    }
    let experiment = args.run_experiment(root)?;
    let (graph, name) = match (&args.genome, args.trial) {
        (Some(file), _) => {
            (networks::winner(root, file, true, experiment.space.classes())?, file.display().to_string())
        }
        (None, n) => trial(&experiment, root, n.unwrap_or_default())?,
    };
    tch::set_num_threads(experiment.config.threads as i32);
    let net = subnet(&experiment, root, Arc::new(graph)).map_err(|e| match e {
        RunError::Net(e) => Input(format!("{name} of {}: {e}", root.display())).into(),
        e => anyhow::Error::from(e),
    })?;
    let side = net.graph().input().dims[1];
    let title = format!("{name} at {side} px, cut from the supernet, batch norms recalibrated");
    Ok(Loaded { net, about: experiment.about(), title, classes: experiment.space.classes() })
}

/// A trial's row.
fn entry(root: &Path, id: u64) -> Result<Trial> {
    let run = mobilenas_reports::read(root).map_err(|e| Input(e.to_string()))?;
    let no_such = || Input(format!("{}: no trial {id}, expected one of {}", root.display(), run.trials.len()));
    Ok(run.trial(id).ok_or_else(no_such)?.trial.clone())
}

/// The network of a trial.
fn trial(experiment: &Experiment, root: &Path, id: u64) -> Result<(Graph, String)> {
    let genome = experiment.space.genome(&entry(root, id)?.genome).map_err(|e| Input(format!("trial {id}: {e}")))?;
    Ok((experiment.space.lower(&genome)?, format!("trial {id}")))
}
