//! `mobilenas bench score`: seconds to score a subnet, and how they split.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mobilenas_bench::Host;
use mobilenas_host::WallClock;
use mobilenas_torch::{Net, Shared, weights};
use serde_json::json;

use mobilenas_host::outln;
use mobilenas_pipeline::evaluator::{ScoreTimes, SupernetEvaluator};
use mobilenas_pipeline::experiment::{Experiment, prepare};
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_pipeline::pipeline::retraining::by_name;
use mobilenas_space::seed::{Purpose, rng};

/// Arguments of `bench score`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A config whose subnets are scored, on its images; its supernet gets fresh weights, which take as long as any
    config: PathBuf,
    /// Name of one of its spaces, where it has several
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Random subnets
    #[arg(long, default_value_t = 3)]
    subnets: u64,
    /// Times each is scored; the median counts
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Write the first subnet's weights under timm's names, its genome and all images into this folder, for another
    /// program to score
    #[arg(long)]
    export: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark.
///
/// # Errors
/// When the config is wrong.
pub fn run(args: &Args) -> Result<i32> {
    let experiments = prepare(&args.config).map_err(RunError::from)?;
    let p = experiments.of(args.space.as_deref()).map_err(RunError::from)?;
    let threads = p.config.scoring_threads();
    tch::set_num_threads(threads as i32);
    let (clock, calibration) = (WallClock::new(), p.calibration());
    let supernet = p.initial_supernet().map_err(RunError::from)?;
    let mut scorer = SupernetEvaluator::new(supernet, p.evaluator_config(&calibration, &clock, f64::NAN))?;
    let images = scorer.images();
    let mut all = Vec::new();
    for i in 0..args.subnets.max(1) {
        let genome = p.space.sample(&mut rng(p.config.seed, Purpose::Subnets, i, 2));
        let graph = Arc::new(p.space.lower(&genome)?);
        if let Some(folder) = args.export.as_ref().filter(|_| i == 0) {
            export(folder, p, &genome, &mut scorer)?;
        }
        // The first time brings the images to the subnet's resolution, which later ones find.
        scorer.timed_scores(&graph)?;
        let mut spent: Vec<ScoreTimes> =
            (0..args.repeats.max(1)).map(|_| scorer.timed_scores(&graph)).collect::<Result<_, _>>()?;
        spent.sort_by(|a, b| a.seconds().total_cmp(&b.seconds()));
        all.push((graph.input().dims[1], spent.swap_remove(spent.len() / 2)));
    }
    if args.json {
        let subnets: Vec<_> = all
            .iter()
            .map(|(side, s)| {
                let metrics = by_name(p.task, &s.values);
                json!({"resolution": side, "seconds": s.seconds(), "bind": s.bind, "recalibrate": s.recalibrate,
                       "evaluate": s.evaluate, "metrics": metrics})
            })
            .collect();
        let [recalibrated, scored] = images;
        outln!(
            "{}",
            json!({"bench": "score", "config": args.config, "threads": threads, "recalibration_images": recalibrated,
                   "validation_images": scored, "batch": p.config.scoring.batch, "subnets": subnets, "host": Host::read()})
        )?;
        return Ok(0);
    }
    outln!("{} images recalibrate, {} are scored, on {threads} threads; seconds:", images[0], images[1])?;
    outln!("{:>4}{:>10}{:>10}{:>13}{:>10}", "px", "all", "bind", "recalibrate", "evaluate")?;
    for (side, s) in &all {
        outln!("{side:>4}{:>10.3}{:>10.4}{:>13.3}{:>10.3}", s.seconds(), s.bind, s.recalibrate, s.evaluate)?;
    }
    Ok(0)
}

/// Writes what another program needs to score the same subnet on the same images.
fn export(
    folder: &Path,
    p: &Experiment,
    genome: &mobilenas_space::Genome,
    scorer: &mut SupernetEvaluator<'_>,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let graph = Arc::new(p.space.lower(genome)?);
    let supernet = p.initial_supernet().map_err(RunError::from)?;
    let net = Net::bind(graph.clone(), &Shared(&supernet)).map_err(RunError::from)?;
    let about = p.about();
    weights::save(&folder.join("weights.safetensors"), &net.named(), &about).map_err(RunError::from)?;
    let images = scorer.exported(graph.input().dims[1])?;
    weights::save(&folder.join("images.safetensors"), &images, &about).map_err(RunError::from)?;
    let text = serde_json::to_vec_pretty(&p.space.values(genome))?;
    mobilenas_host::write::write_whole(&folder.join("genome.json"), &text).with_context(|| folder.display().to_string())
}
