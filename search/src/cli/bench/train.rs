//! `mobilenas bench train`: training steps per second, of single networks and of a supernet.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use mobilenas_bench::{Host, stats};
use mobilenas_host::{Clock as _, WallClock};
use mobilenas_space::Genome;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Names, Net, Owned, ParamStore, Values, keep_freed_memory};
use serde_json::{Map, Value as Json, json};
use tch::{Device, Kind, Tensor};

use super::super::{Input, networks};
use mobilenas_host::outln;
use mobilenas_pipeline::config::{self, Precision};
use mobilenas_task::{Batch, Classification, Targets};
use mobilenas_torch::device;
use mobilenas_train::TrainStep;
use mobilenas_train::optimizer::Optimizer;
use mobilenas_train::single_net::{Objective, SingleNet};
use mobilenas_train::supernet::Supernet;
use mobilenas_train::trainer::StepAt;

/// Arguments of `bench train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Published networks to train, each by itself
    #[arg(long, value_name = "A,B", value_delimiter = ',', required_unless_present = "supernet")]
    models: Vec<String>,
    /// A config, for a sandwich step of its supernet beside steps of its four networks, each by itself
    #[arg(long, value_name = "CONFIG", conflicts_with = "models")]
    supernet: Option<PathBuf>,
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME", requires = "supernet", conflicts_with = "models")]
    space: Option<String>,
    /// Side of the images in pixels; of a supernet, that of each network unless given
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=4096))]
    size: Option<u32>,
    /// Images in a step
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Classes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    classes: u32,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Steps that count, after three that do not
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// Where the steps run
    #[arg(long, default_value = "cpu")]
    device: config::Device,
    /// Convolutions, linear layers and products in bfloat16
    #[arg(long)]
    amp: bool,
    /// Train and print the memory of one part of a supernet's measurement, in a process of its own
    #[arg(long, value_enum, hide = true, requires = "supernet")]
    memory: Option<Part>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What memory is measured of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Sandwich,
    Largest,
}

/// Label smoothing of the steps.
const SMOOTHING: f64 = 0.1;
/// Steps that do not count.
const WARM_UP: u32 = 3;

/// Measures training steps.
///
/// # Errors
/// When there is no such network, or the config is wrong.
pub fn run(args: &Args) -> Result<i32> {
    tch::set_num_threads(args.threads as i32);
    let on = device::open(args.device).map_err(|e| Input(e.to_string()))?;
    let figures = match &args.supernet {
        Some(config) => supernet(args, config, on)?,
        None => {
            let mut all = Map::new();
            for name in &args.models {
                let graph = networks::variant(name, Some(args.size.unwrap_or(64)), args.classes)?;
                let seconds = one_network(args, graph, on)?;
                all.insert(name.clone(), json!(f64::from(args.batch) / seconds));
            }
            json!({ "images_per_second": all })
        }
    };
    if args.json {
        let mut out = json!({
            "bench": "train", "size": args.size, "batch": args.batch, "classes": args.classes, "threads": args.threads,
            "steps": args.steps, "device": args.device, "amp": args.amp, "host": Host::read(),
        });
        merge(&mut out, figures);
        outln!("{out}")?;
    } else {
        for (name, value) in figures.as_object().into_iter().flatten() {
            outln!("{name}: {value}")?;
        }
    }
    Ok(0)
}

fn merge(out: &mut Json, more: Json) {
    if let (Some(out), Json::Object(more)) = (out.as_object_mut(), more) {
        out.extend(more);
    }
}

/// Median seconds of a step.
fn seconds(args: &Args, on: Device, mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    keep_freed_memory();
    let (clock, mut seen) = (WallClock::new(), Vec::new());
    for i in 0..args.steps + WARM_UP {
        let begin = clock.now();
        step()?;
        device::wait(on);
        if i >= WARM_UP {
            seen.push((clock.now() - begin).as_secs_f64());
        }
    }
    stats::median(&seen).ok_or_else(|| anyhow!("no step was timed"))
}

/// Noise as images: times do not depend on what is in them.
fn noise(args: &Args, side: u32, on: Device) -> Result<Batch> {
    let (n, side) = (i64::from(args.batch), i64::from(side));
    let images = Tensor::f_randn([n, 3, side, side], (Kind::Float, Device::Cpu))?;
    let labels = Tensor::f_randint(i64::from(args.classes), [n], (Kind::Int64, Device::Cpu))?;
    Ok(Batch { images, targets: Targets::Classes { labels, mixed: None } }.to(on)?)
}

/// AdamW without clipping, as the peers' programs step.
fn recipe(args: &Args) -> config::Recipe {
    let precision = if args.amp { Precision::Bfloat16 } else { Precision::Float32 };
    config::Recipe { clip: config::ClipConfig::default(), precision, ..config::Recipe::default() }
}

/// What steps change.
struct Trained {
    store: ParamStore,
    optimizer: Optimizer,
    batch: Batch,
}

impl Trained {
    fn new(args: &Args, store: ParamStore, side: u32) -> Result<Trained> {
        let (optimizer, batch) = (Optimizer::new(&store, &recipe(args))?, noise(args, side, store.device())?);
        Ok(Trained { store, optimizer, batch })
    }

    fn step(&mut self, train_step: &mut dyn TrainStep, at: u64) -> Result<()> {
        self.store.zero_grad();
        let (at, mut meter) = (StepAt { batch: at, share: 1.0 }, train_step.task().meter());
        let _ = train_step.step(&self.store, &self.batch, at, meter.as_mut())?;
        self.optimizer.step(&mut self.store, 1e-3)?;
        Ok(())
    }
}

/// Seconds of a step of one network, its optimizer's part included.
fn one_network(args: &Args, graph: Graph, on: Device) -> Result<f64> {
    let side = graph.input().dims[1];
    let graph = Arc::new(graph);
    let store = ParamStore::init(&graph, Names::Standalone, 0, on)?;
    let net = Net::bind(graph, &Owned(&store))?;
    let net = if args.amp { net.with_autocast(Kind::BFloat16) } else { net };
    let mut trained = Trained::new(args, store, side)?;
    let objective = Objective { task: &Classification, label_smoothing: SMOOTHING, teacher: None };
    let mut single = SingleNet { net: &net, objective };
    seconds(args, on, || trained.step(&mut single, 0))
}

/// A sandwich step against steps of its networks, each trained alone; memory of both, each in a process of its own.
fn supernet(args: &Args, file: &Path, on: Device) -> Result<Json> {
    let mut loaded = config::load(file)?;
    loaded.config.supernet.recipe.precision = recipe(args).precision;
    let space = loaded.space(&loaded.entry(args.space.as_deref())?, args.classes)?;
    let largest = space.lower(&space.largest())?;
    let side = args.size.unwrap_or(largest.input().dims[1]);
    let mut supernet = Supernet::new(&space, &loaded.config.supernet, &Classification, (loaded.config.seed, 1));
    if let Some(part) = args.memory {
        return match part {
            Part::Largest => memory(args, || one_network(args, largest, on).map(drop)),
            Part::Sandwich => memory(args, || {
                let mut trained = Trained::new(args, supernet.store(Values::Initial(0), on)?, side)?;
                (0..u64::from(args.steps + WARM_UP)).try_for_each(|at| trained.step(&mut supernet, at))
            }),
        };
    }
    let mut trained = Trained::new(args, supernet.store(Values::Initial(0), on)?, side)?;
    // The same networks in every step, so that they can be trained alone for comparison.
    let together = seconds(args, on, || trained.step(&mut supernet, 0))?;
    drop(trained);
    let four: Vec<Genome> = supernet.genomes(0);
    let apart = four.iter().map(|g| one_network(args, space.lower(g)?, on)).collect::<Result<Vec<f64>>>()?;
    let sum: f64 = apart.iter().sum();
    let mut out = json!({
        "sandwich_seconds": together, "alone_seconds": apart, "sum_of_alone_seconds": sum, "ratio": together / sum,
    });
    if on == Device::Cpu {
        let [sandwich, largest] = [Part::Sandwich, Part::Largest].map(|part| apart_process(args, file, part));
        let (sandwich, largest) = (sandwich?, largest?);
        let ratio = |key: &str| Some(sandwich[key].as_f64()? / largest[key].as_f64()?);
        let ratios =
            json!({ "memory_ratio": ratio("peak_bytes"), "memory_ratio_beyond_start": ratio("beyond_start_bytes") });
        merge(&mut out, json!({ "sandwich_memory": sandwich, "largest_memory": largest }));
        merge(&mut out, ratios);
    }
    Ok(out)
}

/// Resident memory at the peak of some work, and how much of it is more than before.
fn memory(args: &Args, work: impl FnOnce() -> Result<()>) -> Result<Json> {
    let unknown = || anyhow!("the system does not say how much memory a process has");
    // What the first product of matrices brings with it is not the training's.
    let _ = noise(args, 8, Device::Cpu)?;
    let [_, before] = mobilenas_host::memory::resident().ok_or_else(unknown)?;
    work()?;
    let [peak, _] = mobilenas_host::memory::resident().ok_or_else(unknown)?;
    Ok(json!({ "peak_bytes": peak, "beyond_start_bytes": peak - before.min(peak) }))
}

/// Measures memory in a process of its own: what a process has once had, it keeps.
fn apart_process(args: &Args, file: &Path, part: Part) -> Result<Json> {
    let mut c = Command::new(mobilenas_host::program::file()?);
    c.args(["bench", "train", "--json", "--supernet"]).arg(file);
    let numbers =
        [("--batch", args.batch), ("--classes", args.classes), ("--threads", args.threads), ("--steps", args.steps)];
    for (name, value) in numbers.into_iter().chain(args.size.map(|s| ("--size", s))) {
        c.arg(name).arg(value.to_string());
    }
    c.args(args.space.iter().flat_map(|name| ["--space", name]));
    c.args(args.amp.then_some("--amp"));
    c.args(["--memory", if part == Part::Sandwich { "sandwich" } else { "largest" }]);
    let out = c.stderr(Stdio::inherit()).output()?;
    if !out.status.success() {
        return Err(anyhow!("measuring memory: the process ended with {}", out.status));
    }
    let all: Json = serde_json::from_slice(&out.stdout)?;
    Ok(json!({ "peak_bytes": all["peak_bytes"], "beyond_start_bytes": all["beyond_start_bytes"] }))
}
