//! `mobilenas data shapes --out DIR`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mobilenas_data::dataset::Dataset;
use mobilenas_data::settings::DataConfig;
use mobilenas_dense::shapes::{ShapesConfig, Sprites, write};
use mobilenas_host::outln;

use super::super::Input;

/// Arguments of `data shapes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the scenes, new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Scenes to train on
    #[arg(long, default_value_t = ShapesConfig::default().train, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    train: u32,
    /// Scenes to score on, composed of other images
    #[arg(long, default_value_t = ShapesConfig::default().val, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    val: u32,
    /// The seed
    #[arg(long, default_value_t = ShapesConfig::default().seed)]
    seed: u64,
}

/// Composes and writes them.
///
/// # Errors
/// When Fashion-MNIST is not there, the folder holds something, or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    let config = ShapesConfig { train: args.train, val: args.val, seed: args.seed, ..ShapesConfig::default() };
    let splits = DataConfig::default().load().map_err(|e| Input(e.to_string()))?;
    let labels = [&splits.train, &splits.test].map(labels);
    let (train, val) = (sprites(&splits.train, &labels[0])?, sprites(&splits.test, &labels[1])?);
    let written = write(&args.out, [&train, &val], &splits.train.classes, &config).map_err(|e| Input(e.to_string()))?;
    outln!("{}: {} scenes with {} objects", args.out.display(), written.images, written.objects)?;
    Ok(0)
}

fn labels(data: &Dataset) -> Vec<u32> {
    data.targets.iter().filter_map(|t| t.class()).collect()
}

fn sprites<'a>(data: &'a Dataset, labels: &'a [u32]) -> Result<Sprites<'a>> {
    let images = data.images.memory().context("Fashion-MNIST is not in memory")?;
    Ok(Sprites { width: images.width, height: images.height, levels: &images.pixels, labels })
}
