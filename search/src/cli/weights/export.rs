//! `mobilenas weights export --out X.safetensors`, or `X.onnx`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenas_space::ir::Graph;
use mobilenas_space::onnx::{Batch, Options, float32_weights};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::weights::About;
use mobilenas_torch::{Names, Net, Owned, ParamStore};
use tch::{Device, Kind, Tensor};

use super::super::loaded::bound;
use super::super::{Input, models};
use super::int8;
use super::output::{finite, in_words, unfit, write, written};
use mobilenas_pipeline::config;
use mobilenas_pipeline::experiment::{Experiment, prepare_run};
use mobilenas_pipeline::pipeline::train_job::TrainJob;
use mobilenas_pipeline::pipeline::{RunError, subnet};
use mobilenas_pipeline::quantize::Sets;

/// Arguments of `weights export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A published network (`mobilenas models` lists them), with --weights; an ONNX file may do without
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
    /// Classes of a published network without --weights [default: 1000]
    #[arg(long, value_name = "N", requires = "model", conflicts_with = "weights", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    classes: Option<u32>,
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
    /// Fold batch norms into the convolutions before them, which get biases [default for ONNX]
    #[arg(long)]
    fused: bool,
    /// Keep batch norms as they are [default for safetensors]
    #[arg(long, conflicts_with = "fused")]
    unfused: bool,
    /// ONNX: store weights in half precision; they are cast to float32 when the file is loaded
    #[arg(long)]
    float16: bool,
    /// ONNX: take any number of images at once
    #[arg(long)]
    dynamic_batch: bool,
    /// ONNX: take so many images at once [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "dynamic_batch", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    #[command(flatten)]
    int8: int8::Flags,
    /// The file to write: ONNX if it ends in .onnx, else safetensors; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Exports weights.
///
/// # Errors
/// When there is no such network, or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    let onnx = args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
    if !onnx && (args.float16 || args.int8.int8 || args.dynamic_batch || args.batch.is_some()) {
        let (out, which) = (args.out.display(), "--float16, --int8, --batch and --dynamic-batch");
        bail!(Input(format!("{out}: {which} are for ONNX, expected a name in .onnx")));
    }
    let name = args.model.as_deref().unwrap_or_default();
    let (net, mut about, title) = match (&args.run, &args.config, &args.weights) {
        (Some(run), ..) => found(args, run)?,
        (_, Some(config), Some(file)) => trained(config, file)?,
        (_, _, Some(file)) => published(name, file, args.resolution)?,
        _ if onnx && !args.int8.int8 => untrained(name, args.resolution, args.classes.unwrap_or(1000))?,
        _ => bail!(Input(format!("{name}: no weights to export, expected --weights FILE"))),
    };
    about.insert("program".to_string(), format!("mobilenas {}", env!("CARGO_PKG_VERSION")));
    let (net, title) = match args.fused || (onnx && !args.unfused) {
        true => (net.freeze()?, format!("{title}, batch norms folded")),
        false => (net, title),
    };
    if args.int8.int8 {
        let job =
            int8::Job { net: &net, batch: args.batch(), about, title: &title, out: &args.out, sets: args.sets(&net)? };
        return job.run(&args.int8);
    }
    if onnx {
        write_onnx(args, &net, about, &title)?;
    } else {
        let sound = |(name, t): (&String, &Tensor)| finite(name, t).map(drop);
        net.named().iter().try_for_each(sound)?;
        write(&args.out, &net.named(), &about, &title)?;
    }
    Ok(0)
}

impl Args {
    fn batch(&self) -> Batch {
        match self.dynamic_batch {
            true => Batch::Dynamic,
            false => Batch::Fixed(self.batch.unwrap_or(1)),
        }
    }

    /// The training images of the network and its test images.
    fn sets(&self, net: &Net) -> Result<Sets> {
        if let Some(run) = &self.run {
            return Ok(prepare_run(run).map_err(RunError::from)?.into());
        }
        if let Some(config) = &self.config {
            return Ok(TrainJob::prepare(config)?.sets());
        }
        self.int8.folder(self.model.as_deref().unwrap_or_default(), net.graph().input().dims[1])
    }
}

fn write_onnx(args: &Args, net: &Net, about: About, title: &str) -> Result<()> {
    let batch = args.batch();
    let bytes = to_onnx(net, &Options { batch, float16: args.float16, about }).map_err(unfit)?;
    let kind = match (args.float16, &float32_weights(&bytes)?[..]) {
        (false, _) => "float32".to_string(),
        (true, []) => "float16 weights".to_string(),
        (true, kept) => {
            format!("float16 weights, but float32 where half precision does not hold them ({})", kept.join(", "))
        }
    };
    written(&args.out, &bytes, &format!("{title}: {kind}, {}", in_words(batch)))
}

type Exported = (Net, About, String);

/// A network as it begins, for what depends on no weights, as latency.
fn untrained(name: &str, resolution: Option<u32>, classes: u32) -> Result<Exported> {
    let graph = models::variant(name, resolution, classes)?;
    let side = graph.input().dims[1];
    let store = ParamStore::init(&graph, Names::Standalone, 0, Device::Cpu)?;
    let net = Net::bind(Arc::new(graph), &Owned(&store))?;
    let about = [("model", name.to_string()), ("resolution", side.to_string()), ("weights", "untrained".to_string())];
    let about = about.map(|(k, v)| (k.to_string(), v)).into_iter().collect();
    Ok((net, about, format!("{name} at {side} px, {classes} classes, untrained")))
}

fn published(name: &str, file: &Path, resolution: Option<u32>) -> Result<Exported> {
    models::variant(name, resolution, 2)?;
    let (net, classes, mut about) =
        bound(file, name, models::namings(name), Kind::Float, |n| models::variant(name, resolution, n))?;
    let side = net.graph().input().dims[1];
    about.insert("model".to_string(), name.to_string());
    about.insert("resolution".to_string(), side.to_string());
    Ok((net, about, format!("{name} at {side} px, {classes} classes")))
}

/// The network of a training's config.
fn trained(file: &Path, weights: &Path) -> Result<Exported> {
    let config = config::load_train(file)?;
    let graph = |classes: u32| -> Result<Graph> {
        let space = config.network.space(classes)?;
        Ok(space.lower(&space.smallest())?)
    };
    let (net, classes, about) = bound(weights, &format!("the network of {}", file.display()), &[], Kind::Float, graph)?;
    let side = net.graph().input().dims[1];
    Ok((net, about, format!("{} at {side} px, {classes} classes", config.name())))
}

/// A network of a run: a retrained winner, or a part of the supernet.
fn found(args: &Args, root: &Path) -> Result<Exported> {
    let winner = |n: u64, kind: &str| root.join(format!("winners/{n}.{kind}"));
    if let Some(n) = args.trial.filter(|n| !args.inherited && winner(*n, "safetensors").exists()) {
        let (file, genome) = (winner(n, "safetensors"), winner(n, "yaml"));
        let name = format!("trial {n}");
        let (net, classes, about) = bound(&file, &name, &[], Kind::Float, |c| models::genome(&genome, c))?;
        let side = net.graph().input().dims[1];
        return Ok((net, about, format!("{name} at {side} px, {classes} classes, retrained")));
    }
    let experiment = prepare_run(root).map_err(RunError::from)?;
    let (graph, name) = match (&args.genome, args.trial) {
        (Some(file), _) => {
            (models::genome(file, experiment.train.data.classes.len() as u32)?, file.display().to_string())
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
    Ok((net, experiment.about(), title))
}

/// The network of a trial.
fn trial(experiment: &Experiment, root: &Path, id: u64) -> Result<(Graph, String)> {
    let run = mobilenas_reports::read(root).map_err(|e| Input(e.to_string()))?;
    let no_such = || Input(format!("{}: no trial {id}, expected one of {}", root.display(), run.trials.len()));
    let entry = run.trial(id).ok_or_else(no_such)?;
    let genome = experiment.space.genome(&entry.trial.genome).map_err(|e| Input(format!("trial {id}: {e}")))?;
    Ok((experiment.space.lower(&genome)?, format!("trial {id}")))
}
