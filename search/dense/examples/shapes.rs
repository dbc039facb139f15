//! Writes a dataset of scenes composed of Fashion-MNIST's images, with boxes, masks and class maps:
//! `cargo run -p mobilenas-dense --example shapes -- DIR [SCENES_TO_TRAIN_ON SCENES_TO_SCORE_ON [SEED]]`. The images are
//! those of the folder `fashion-mnist` in the one that MOBILENAS_DATA names.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use mobilenas_data::dataset::Dataset;
use mobilenas_data::settings::DataConfig;
use mobilenas_dense::shapes::{ShapesConfig, Sprites, write};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut config = ShapesConfig::default();
    let dir = match args.as_slice() {
        [dir] => dir,
        [dir, train, val, seed @ ..] if seed.len() < 2 => {
            (config.train, config.val) = (train.parse()?, val.parse()?);
            config.seed = seed.first().map_or(Ok(config.seed), |s| s.parse())?;
            dir
        }
        _ => return Err("expected DIR [SCENES_TO_TRAIN_ON SCENES_TO_SCORE_ON [SEED]]".into()),
    };
    let splits = DataConfig::default().load()?;
    let labels = [&splits.train, &splits.test].map(labels);
    let (train, val) = (sprites(&splits.train, &labels[0])?, sprites(&splits.test, &labels[1])?);
    let written = write(Path::new(dir), [&train, &val], &splits.train.classes, &config)?;
    println!("{dir}: {} scenes with {} objects", written.images, written.objects);
    Ok(())
}

fn labels(data: &Dataset) -> Vec<u32> {
    data.targets.iter().filter_map(|t| t.class()).collect()
}

fn sprites<'a>(data: &'a Dataset, labels: &'a [u32]) -> Result<Sprites<'a>, Box<dyn Error>> {
    let images = data.images.memory().ok_or("Fashion-MNIST is not in memory")?;
    Ok(Sprites { width: images.width, height: images.height, levels: &images.pixels, labels })
}
