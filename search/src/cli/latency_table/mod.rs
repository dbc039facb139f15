//! `mobilenas latency-table`: tables of block times, built here or brought from a phone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenas_bench::engine::{self, Engine, Setting};
use mobilenas_host::write::write_whole;
use mobilenas_host::{Lock, Progress, Stop, WallClock, errln, out, outln};
use mobilenas_onnx::Options;
use mobilenas_space::ir::Graph;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::onnx::to_onnx;
use mobilenas_torch::{Names, Net, Owned, ParamStore};
use tch::Device as At;

use super::Input;
use mobilenas_bench::latency_table::builder::TableBuilder;
use mobilenas_bench::latency_table::file::engine as engine_in_words;
use mobilenas_bench::latency_table::import::{Device, import};
use mobilenas_bench::latency_table::{Table, jobs};
use mobilenas_pipeline::config;

/// Arguments of `latency-table`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Time each distinct block of a space on this machine, and whole networks to correct and to validate their sums
    Build(BuildArgs),
    /// Write the list of what to time on another device, and the networks as files
    Jobs(JobsArgs),
    /// Make a table of the times that another device gave
    Import(ImportArgs),
    /// Print what a table holds and how well it does
    Show {
        /// The table
        table: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Folder for a plot: latency by the table against the measured one, as SVG and PNG
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// The space whose blocks are meant.
#[derive(Debug, clap::Args)]
struct SpaceArgs {
    /// A config whose space is meant
    #[arg(required_unless_present = "family")]
    config: Option<PathBuf>,
    /// A family's published space instead of a config's
    #[arg(long, conflicts_with = "config")]
    family: Option<String>,
    /// Classes of the networks, with --family
    #[arg(long, default_value_t = 1000, conflicts_with = "config", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    classes: u32,
    /// More distinct blocks than this are not timed; then those of random networks are, up to it
    #[arg(long, value_name = "N", default_value_t = 5000)]
    most_blocks: usize,
}

/// Whole networks.
#[derive(Debug, clap::Args)]
struct NetArgs {
    /// Random networks that the line is fitted on
    #[arg(long, value_name = "N", default_value_t = 24)]
    fit: usize,
    /// Other random networks that the table is judged by
    #[arg(long, value_name = "N", default_value_t = 48)]
    validate: usize,
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    nets: NetArgs,
    /// What runs the blocks [default: the config's engine, or libtorch]
    #[arg(long)]
    engine: Option<String>,
    /// Threads [default: the config's, or 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
    /// Images in a batch [default: the config's, or 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Rounds in a pass: samples of a block
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Passes, each of which prepares all networks anew
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passes: u32,
    /// Seed of random orders and networks [default: the config's, or 1]
    #[arg(long)]
    seed: Option<u64>,
    /// The table [default: tables/NAME-ENGINE-tTHREADS.jsonl]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct JobsArgs {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    nets: NetArgs,
    /// Seed of the random networks [default: the config's, or 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for the list and the files
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// The list of `latency-table jobs` with its times filled in
    list: PathBuf,
    /// The config whose space it is of
    #[arg(long, required_unless_present = "family")]
    config: Option<PathBuf>,
    /// A family's published space instead of a config's
    #[arg(long, conflicts_with = "config")]
    family: Option<String>,
    /// Classes of the networks, with --family
    #[arg(long, default_value_t = 1000, conflicts_with = "config", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    classes: u32,
    /// The device, in words
    #[arg(long)]
    device: String,
    /// What ran the networks there
    #[arg(long)]
    engine: String,
    /// Its version
    #[arg(long, default_value = "unknown")]
    engine_version: String,
    /// Precision of its arithmetic
    #[arg(long, default_value = "float32")]
    precision: String,
    /// Threads it used
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Images in a batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// The table
    #[arg(long)]
    out: PathBuf,
}

/// A space, and what its config says beside.
struct Meant {
    space: Space,
    name: String,
    seed: u64,
    latency: config::LatencySettings,
}

fn meant(config: Option<&Path>, family: Option<&str>, classes: u32) -> Result<Meant> {
    if let Some(path) = config {
        let loaded = config::load(path)?;
        let c = &loaded.config;
        let classes = match c.data.name.reader().classes() {
            Some(n) => n,
            None => {
                c.data.load().map_err(mobilenas_pipeline::experiment::ExperimentError::from)?.train.classes.len() as u32
            }
        };
        let space = loaded.space(classes)?;
        return Ok(Meant { space, name: c.name().to_string(), seed: c.seed, latency: c.latency.clone() });
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

/// An engine by name.
fn named(name: &str) -> Result<&'static dyn Engine> {
    if name == engine::auto::NAME {
        let expected = "expected one engine for all blocks: their times are added";
        bail!(Input(format!("--engine: found {name:?}, {expected}")));
    }
    engine::named(name).map_err(|_| Input(format!("--engine: {}", engine::unknown(name).unwrap_or_default())).into())
}

fn refuse_existing(out: &Path) -> Result<()> {
    match out.exists() {
        true => bail!(Input(format!("{}: exists, expected a new file", out.display()))),
        false => Ok(()),
    }
}

/// Keeps other processes from writing a table.
fn locked(out: &Path) -> Result<Lock> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Input(format!("{}: {e}", folder.display())))?;
    }
    Ok(Lock::file(out, "mobilenas latency-table").map_err(|e| Input(e.to_string()))?)
}

/// Runs the verb.
///
/// # Errors
/// When the input is wrong, or the engine or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Build(a) => build(a),
        What::Jobs(a) => write_jobs(a),
        What::Import(a) => bring(a),
        What::Show { table: path, json, out } => {
            let table = Table::load(path)?;
            if *json {
                outln!("{}", shown_as_json(&table))?;
            } else {
                out!("{}", shown(&table))?;
            }
            out.as_ref().map_or(Ok(0), |folder| draw(path, &table, folder))
        }
    }
}

fn draw(path: &Path, table: &Table, folder: &Path) -> Result<i32> {
    if table.validation.is_none() {
        bail!(Input(format!(
            "--out: found no networks that validate the table in {}, expected some to plot",
            path.display()
        )));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    for file in mobilenas_reports::render_latency_table(&name, &table.comparison(), folder)? {
        errln!("{}", file.display());
    }
    Ok(0)
}

fn build(a: &BuildArgs) -> Result<i32> {
    let m = meant(a.space.config.as_deref(), a.space.family.as_deref(), a.space.classes)?;
    let engine = named(a.engine.as_deref().unwrap_or(&m.latency.engine))?;
    let threads = a.threads.map_or(m.latency.threads, |n| n as usize);
    let batch = a.batch.map_or(m.latency.batch, |n| n as usize);
    let file = format!("{}-{}-t{threads}.jsonl", m.name, engine.name());
    let out = a.out.clone().unwrap_or_else(|| Path::new("tables").join(file));
    refuse_existing(&out)?;
    let build = TableBuilder {
        space: &m.space,
        engine,
        setting: Setting { batch, threads },
        rounds: a.rounds as usize,
        passes: a.passes as usize,
        nets: [a.nets.fit, a.nets.validate],
        most: a.space.most_blocks,
        seed: a.seed.unwrap_or(m.seed),
    };
    let (clock, stop, _lock) = (WallClock::new(), Stop::on_signals()?, locked(&out)?);
    match build.run(&out, &clock, &stop, Progress::new)? {
        Some(table) => {
            out!("{}", shown(&table))?;
            outln!("table: {}", out.display())?;
            Ok(0)
        }
        None => {
            errln!("stopped; the same command goes on");
            Ok(stop.exit_code())
        }
    }
}

/// A graph as it is deployed, with fresh weights, which latency does not depend on.
fn onnx_file(graph: &Graph, path: &Path) -> Result<(), anyhow::Error> {
    let store = ParamStore::init(graph, Names::Standalone, 0, At::Cpu)?;
    let net = Net::bind(Arc::new(graph.clone()), &Owned(&store))?.freeze()?;
    Ok(write_whole(path, &to_onnx(&net, &Options::default())?)?)
}

fn write_jobs(a: &JobsArgs) -> Result<i32> {
    let m = meant(a.space.config.as_deref(), a.space.family.as_deref(), a.space.classes)?;
    refuse_existing(&a.out.join(jobs::LIST))?;
    let (seed, most) = (a.seed.unwrap_or(m.seed), a.space.most_blocks);
    let export = |graph: &Graph, path: &Path| onnx_file(graph, path).map_err(std::io::Error::other);
    let counts = [a.nets.fit, a.nets.validate];
    let written = jobs::write(&m.space, &a.out, counts, most, seed, Some((&export, "onnx")))?;
    let part = if written.whole { "all" } else { "only those of random networks: the space has more" };
    outln!(
        "{}: {} distinct blocks ({part}), {} networks and the reference; time the ONNX files and fill in median_ms, and count where it is known",
        a.out.join(jobs::LIST).display(),
        written.blocks,
        written.nets
    )?;
    Ok(0)
}

fn bring(a: &ImportArgs) -> Result<i32> {
    let m = meant(a.config.as_deref(), a.family.as_deref(), a.classes)?;
    refuse_existing(&a.out)?;
    let device = Device {
        device: a.device.clone(),
        engine: a.engine.clone(),
        version: a.engine_version.clone(),
        precision: a.precision.clone(),
        threads: a.threads as usize,
        batch: a.batch as usize,
    };
    let _lock = locked(&a.out)?;
    let table = import(&a.list, &m.space, &device, usize::MAX, &a.out)?;
    out!("{}", shown(&table))?;
    outln!("table: {}", a.out.display())?;
    Ok(0)
}

fn shown(t: &Table) -> String {
    let h = &t.header;
    let host = h.host.as_ref().map(mobilenas_record::run::Host::caption);
    let place = host.or_else(|| h.device.clone()).unwrap_or_default();
    let mut out = String::new();
    let whole = if h.whole { "all" } else { "not all" };
    let _ = writeln!(out, "{} blocks, {whole} of {}'s space, {} classes", t.blocks.len(), h.family, h.classes);
    let _ = writeln!(out, "{} on {place}", engine_in_words(&h.engine));
    let _ = writeln!(out, "protocol: {}", h.engine.protocol);
    if let Some(r) = &t.reference {
        let l = &r.latency;
        let _ = writeln!(out, "{} at {} px: {:.3} ms, {} samples", r.model, r.resolution, l.median_ms, l.samples);
    }
    let mut spreads: Vec<f64> = t.blocks.iter().filter_map(|b| b.spread).collect();
    spreads.sort_by(f64::total_cmp);
    if let Some(middle) = spreads.get(spreads.len() / 2) {
        let count = t.blocks.iter().map(|b| b.count).min().unwrap_or(0);
        let _ = writeln!(
            out,
            "blocks: at least {count} samples each, quartiles {:.1} % of the median apart in the middle of them",
            100.0 * middle
        );
    }
    match &t.validation {
        Some(v) => {
            let tau = v.tau.map_or_else(|| "none".to_string(), |t| format!("{t:.3}"));
            let twice = t.blocks.iter().any(|b| b.again.is_some());
            let share = format!(", {:.0} % of it of runs right after another", 100.0 * v.again);
            let share = if twice { share } else { String::new() };
            let _ = writeln!(
                out,
                "latency = {:.4} ms + {:.4} x sum{share}, fitted on {} networks; on {} others of {:.3} to {:.3} ms:",
                v.line.offset_ms, v.line.slope, v.fit_nets, v.nets, v.range_ms[0], v.range_ms[1]
            );
            let _ = writeln!(
                out,
                "  MAPE {:.2} %, within 5 %: {:.1} %, within 10 %: {:.1} %, worst {:.1} %, Kendall's tau {tau} (MAPE of the bare sum {:.2} %)",
                v.mape, v.within_5, v.within_10, v.worst, v.uncorrected_mape
            );
        }
        None => out.push_str("no whole networks: sums are neither corrected nor judged\n"),
    }
    let _ = writeln!(out, "digest {}", t.digest);
    out
}

fn shown_as_json(t: &Table) -> serde_json::Value {
    serde_json::json!({
        "table": t.header, "blocks": t.blocks.len(), "reference": t.reference, "validation": t.validation,
        "digest": t.digest,
    })
}
