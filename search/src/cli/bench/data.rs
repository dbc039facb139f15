//! `mobilenas bench data`: images per second from files to batches, as a training gets them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use mobilenas_bench::Host;
use mobilenas_host::{Clock as _, WallClock};
use mobilenas_space::families::Preprocessing;
use serde_json::json;

use super::super::Input;
use mobilenas_data::Target;
use mobilenas_data::dataset::ImageFolder;
use mobilenas_data::dataset::{Dataset, ImageSource};
use mobilenas_data::loader::{DataLoader, LoaderConfig, Normalization, Sampler, TransformedDataset};
use mobilenas_data::transform::{Augment, crop::Crop};
use mobilenas_host::outln;
use mobilenas_image::Pipeline;
use mobilenas_task::Batch;

/// Arguments of `bench data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of images, DIR/<class>/*
    dir: PathBuf,
    /// Side of the images in pixels
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(8..=1024))]
    size: u32,
    /// Images in a batch
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Threads that make batches
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// Seconds, after one batch that does not count
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures data loading: decoding, random resized crop, mirroring, normalising.
///
/// # Errors
/// When there are no images, or too few for a batch.
pub fn run(args: &Args) -> Result<i32> {
    let folder = ImageFolder::open(&args.dir, true).map_err(|e| Input(e.to_string()))?;
    let (files, targets): (Vec<PathBuf>, Vec<Target>) =
        folder.images.into_iter().map(|(f, c)| (f, Target::Class(c))).unzip();
    let (n, classes) = (files.len(), folder.classes.len());
    if n < args.batch as usize {
        return Err(
            Input(format!("{}: {n} images, expected at least --batch {}", args.dir.display(), args.batch)).into()
        );
    }
    let data = Dataset { images: ImageSource::Files(files), targets, classes: folder.classes, ..Dataset::default() };
    let how = Preprocessing::imagenet(0.875);
    let mut view = TransformedDataset::new(Arc::new(data), Normalization::rgb(how.mean, how.std), 0.001);
    (view.side, view.frame) = (Some(args.size), Pipeline { side: args.size, how });
    let augment = Augment { crop: Some(Crop::USUAL), flip: true, ..Augment::default() };
    let sampler = Sampler { batch: args.batch as usize, repeats: 1, scale: None };
    let config = LoaderConfig { augment, sampler, label_smoothing: 0.0, threads: args.threads as usize };
    let loader = DataLoader::new(view.clone(), &(0..n).collect::<Vec<_>>(), config, 1).map_err(|e| anyhow!(e))?;
    let mut batches = loader.prefetch(0, u64::MAX, Batch::new);
    drop(batches.take()??);
    let (clock, mut images) = (WallClock::new(), 0);
    let begin = clock.now();
    while clock.now() - begin < Duration::from_secs_f64(args.seconds.clamp(0.0, 1e6)) {
        images += batches.take()??.len();
    }
    let seconds = (clock.now() - begin).as_secs_f64();
    let rate = images as f64 / seconds;
    if args.json {
        let out = json!({
            "bench": "data", "dir": args.dir, "files": n, "classes": classes, "size": args.size, "batch": args.batch,
            "threads": args.threads, "seconds": seconds, "images": images, "images_per_second": rate,
            "bound_bytes": loader.bound(), "decoding_peak_bytes": view.budget.peak(), "host": Host::read(),
        });
        outln!("{out}")?;
    } else {
        outln!("{rate:.0} images per second on {} threads ({images} in {seconds:.1} s)", args.threads)?;
    }
    Ok(0)
}
