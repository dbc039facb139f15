//! `mobilenas data preview`: what a config makes of its training images; `mobilenas data shapes`: scenes to try detection
//! and segmentation on.

mod contact_sheet;
mod shapes;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::{Subcommand, ValueEnum};
use image::{ImageFormat, RgbImage};

use self::contact_sheet::{pairs, sheet};
use super::destination;
use mobilenas_data::loader::DataLoader;
use mobilenas_pipeline::config::yaml;
use mobilenas_pipeline::experiment::prepare;
use mobilenas_pipeline::pipeline::RunError;
use mobilenas_pipeline::pipeline::train_job::TrainJob;

/// Arguments of `data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a contact sheet: training images after augmentation beside the originals
    Preview(Preview),
    /// Compose scenes of Fashion-MNIST's images, with boxes, masks and class maps, as COCO's and Pascal VOC's files
    Shapes(shapes::Args),
}

#[derive(Debug, clap::Args)]
struct Preview {
    /// A config of `search` or `train`
    config: PathBuf,
    /// Where the sheet goes, a PNG file
    #[arg(long, default_value = "preview.png")]
    out: PathBuf,
    /// Images on it
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    images: u32,
    /// The step whose images are shown, from 0
    #[arg(long, default_value_t = 0)]
    step: u64,
    /// Which training of a search
    #[arg(long, value_enum, default_value_t = Of::Supernet)]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The supernet's
    Supernet,
    /// The winners'
    Retrain,
}

/// Shows or makes images.
///
/// # Errors
/// When the config or the images are wrong, or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Preview(args) => preview(args),
        What::Shapes(args) => shapes::run(args),
    }
}

fn preview(args: &Preview) -> Result<i32> {
    let (name, loader) = data_loader(&args.config, args.of)?;
    let shown = pairs(&loader, args.step, args.images as usize).map_err(RunError::from)?;
    let side = loader.side(args.step);
    let title = format!("{name}, step {}: {} images of {side} px in it", args.step, loader.positions(args.step).len());
    let sheet = sheet(&shown, [&title, &loader.config().augment.to_string()]).map_err(|e| anyhow!(e))?;
    let image = RgbImage::from_raw(sheet.width as u32, sheet.height as u32, sheet.levels).context("an empty sheet")?;
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    destination::write(&args.out, &png.into_inner())?;
    let said = format!("{} images, originals on the left: {}", shown.len(), args.out.display());
    destination::say(&args.out, said)?;
    Ok(0)
}

/// The batches of a config's training, with its name.
fn data_loader(config: &Path, of: Of) -> Result<(String, DataLoader)> {
    let text = fs::read_to_string(config).unwrap_or_default();
    // A file that is no YAML is told as such by whoever reads it next.
    if yaml::parse(&text).is_ok_and(|tree| tree.get("network").is_some()) {
        let train_job = TrainJob::prepare(config)?;
        return Ok((train_job.config.name().to_string(), train_job.loader().map_err(RunError::from)?));
    }
    let experiment = prepare(config).map_err(RunError::from)?.into_first();
    let loader = match of {
        Of::Supernet => experiment.supernet_loader(),
        Of::Retrain => experiment.retrain_loader(),
    };
    Ok((experiment.config.name().to_string(), loader.map_err(RunError::from)?))
}
