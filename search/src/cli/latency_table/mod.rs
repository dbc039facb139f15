//! `mobilenas latency-table`: tables of block times, built here or brought from a phone.

mod build;
mod meant;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenas_bench::on_device;
use mobilenas_host::{errln, out, outln};
use mobilenas_onnx::Options;
use mobilenas_space::ir::Graph;

use super::Input;
use meant::{NetArgs, SpaceArgs, locked, meant, refuse_existing};
use mobilenas_bench::latency_table::import::{Device, import};
use mobilenas_bench::latency_table::{Table, jobs};
use shown::{shown, shown_as_json};

/// Arguments of `latency-table`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Time each distinct block of a space here or on another device, and whole networks to correct and to validate sums
    Build(build::BuildArgs),
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
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME", requires = "config")]
    space: Option<String>,
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

/// Runs the verb.
///
/// # Errors
/// When the input is wrong, or the engine or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Build(a) => build::run(a),
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

fn write_jobs(a: &JobsArgs) -> Result<i32> {
    let m = meant(a.space.config.as_deref(), a.space.space.as_deref(), a.space.family.as_deref(), a.space.classes)?;
    refuse_existing(&a.out.join(jobs::LIST))?;
    let (seed, most) = (a.seed.unwrap_or(m.seed), a.space.most_blocks);
    let batch = Options::default().batch;
    let export = |graph: &Graph, path: &Path| {
        on_device::export(&Arc::new(graph.clone()), batch, path).map_err(std::io::Error::other)
    };
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
    let m = meant(a.config.as_deref(), a.space.as_deref(), a.family.as_deref(), a.classes)?;
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
