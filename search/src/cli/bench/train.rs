//! `mobilenas bench train`: training steps per second, of networks alone and of a supernet.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use mobilenas_bench::{Clock as _, Host, Wall, stats};
use mobilenas_space::Genome;
use mobilenas_space::ir::Graph;
use mobilenas_torch::{Names, Net, Owned, Store};
use serde_json::{Map, Value as Json, json};
use tch::{Device, Kind, Tensor};

use super::super::models;
use crate::config;
use crate::train::Lesson;
use crate::train::batches::Batch;
use crate::train::optimizer::Optimizer;
use crate::train::single::Single;
use crate::train::supernet::Supernet;

/// Arguments of `bench train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Published networks to train alone
    #[arg(long, value_name = "A,B", value_delimiter = ',', required_unless_present = "supernet")]
    models: Vec<String>,
    /// A config, for a sandwich step of its supernet beside steps of its four networks alone
    #[arg(long, value_name = "CONFIG", conflicts_with = "models")]
    supernet: Option<PathBuf>,
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
    /// Print one JSON object
    #[arg(long)]
    json: bool,
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
    let figures = match &args.supernet {
        Some(config) => supernet(args, config)?,
        None => {
            let mut all = Map::new();
            for name in &args.models {
                let graph = models::variant(name, Some(args.size.unwrap_or(64)), args.classes)?;
                let seconds = alone(args, graph)?;
                all.insert(name.clone(), json!(f64::from(args.batch) / seconds));
            }
            json!({ "images_per_second": all })
        }
    };
    if args.json {
        let mut out = json!({
            "bench": "train", "size": args.size, "batch": args.batch, "classes": args.classes, "threads": args.threads,
            "steps": args.steps, "host": Host::read(),
        });
        merge(&mut out, figures);
        println!("{out}");
    } else {
        for (name, value) in figures.as_object().into_iter().flatten() {
            println!("{name}: {value}");
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
fn seconds(args: &Args, mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let (clock, mut seen) = (Wall::new(), Vec::new());
    for i in 0..args.steps + WARM_UP {
        let begin = clock.now();
        step()?;
        if i >= WARM_UP {
            seen.push((clock.now() - begin).as_secs_f64());
        }
    }
    stats::median(&seen).ok_or_else(|| anyhow!("no step was timed"))
}

/// Noise as images: times do not depend on what is in them.
fn noise(args: &Args, side: u32) -> Result<Batch> {
    let (n, side) = (i64::from(args.batch), i64::from(side));
    let images = Tensor::f_randn([n, 3, side, side], (Kind::Float, Device::Cpu))?;
    let labels = Tensor::f_randint(i64::from(args.classes), [n], (Kind::Int64, Device::Cpu))?;
    Ok(Batch { images, labels, targets: None })
}

/// AdamW without clipping, as the peers' programs step.
fn recipe() -> config::Recipe {
    config::Recipe { clip: config::Clip::default(), ..config::Recipe::default() }
}

fn step(lesson: &mut dyn Lesson, store: &mut Store, optimizer: &mut Optimizer, batch: &Batch) -> Result<()> {
    store.zero_grad();
    let _ = lesson.step(store, batch, 0, 1.0)?;
    optimizer.step(store, 1e-3)?;
    Ok(())
}

/// Seconds of a step of one network alone, its optimizer's part included.
fn alone(args: &Args, graph: Graph) -> Result<f64> {
    let side = graph.input().dims[1];
    let graph = Arc::new(graph);
    let mut store = Store::init(&graph, Names::Own, 0, Device::Cpu)?;
    let net = Net::bind(graph, &Owned(&store))?;
    let (mut optimizer, batch) = (Optimizer::new(&store, &recipe())?, noise(args, side)?);
    let mut lesson = Single { net: &net, label_smoothing: SMOOTHING, teacher: None };
    seconds(args, || step(&mut lesson, &mut store, &mut optimizer, &batch))
}

/// A sandwich step against steps of its four networks, each trained alone.
fn supernet(args: &Args, file: &std::path::Path) -> Result<Json> {
    let loaded = config::load(file)?;
    let space = loaded.space(args.classes)?;
    let largest = space.lower(&space.largest())?;
    let side = args.size.unwrap_or(largest.input().dims[1]);
    let mut store = Store::init(&largest, Names::Shared, 0, Device::Cpu)?;
    let mut lesson = Supernet::new(&space, &loaded.config.supernet, loaded.config.seed, 1);
    let (mut optimizer, batch) = (Optimizer::new(&store, &recipe())?, noise(args, side)?);
    // The same networks in every step, so that they can be trained alone for comparison.
    let together = seconds(args, || step(&mut lesson, &mut store, &mut optimizer, &batch))?;
    drop((store, optimizer));
    let four: Vec<Genome> = lesson.genomes(0);
    let apart = four.iter().map(|g| alone(args, space.lower(g)?)).collect::<Result<Vec<f64>>>()?;
    let sum: f64 = apart.iter().sum();
    Ok(json!({
        "sandwich_seconds": together, "alone_seconds": apart, "sum_of_alone_seconds": sum, "ratio": together / sum,
    }))
}
