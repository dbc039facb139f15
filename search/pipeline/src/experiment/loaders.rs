//! From what a config says about images to views of them, and to the feeds of trainings.

use std::path::Path;
use std::sync::Arc;

use mobilenas_space::families::Interpolation;
use mobilenas_space::ir::{ParamSpec, SliceRule};
use mobilenas_space::{Genome, Space};

use super::ExperimentError;
use crate::config::{self, CropInterpolation, ScaleFormula};
use mobilenas_data::Labels;
use mobilenas_data::dataset::Dataset;
use mobilenas_data::loader::{
    DamagedImages, DataLoader, Formula, LoaderConfig, MultiScale, Normalization, Sampler, TransformedDataset,
};
use mobilenas_data::transform::Augment;
use mobilenas_data::transform::crop::Crop;
use mobilenas_data::transform::mix::Mix;
use mobilenas_data::transform::rand_augment::RandAugment;
use mobilenas_dense::transform::DenseTransform;
use mobilenas_image::Pipeline;
use mobilenas_train::TrainError;

/// The side of images when neither the config nor the space says one.
const SIDE: u32 = 224;

/// The training set and the test set, brought to the networks of a space alike, and scored images as those that a recipe
/// trains on.
pub fn views(
    (c, recipe): (&config::DataConfig, &config::Recipe),
    space: &Space,
    sets: (Arc<Dataset>, Arc<Dataset>),
    train: &[usize],
) -> (TransformedDataset, TransformedDataset) {
    let mut how = space.family().preprocessing();
    let dense = dense_transform(recipe.augment.as_ref().unwrap_or(&c.augment), sets.0.labels);
    how.interpolation = dense.map_or(how.interpolation, |dense| dense.interpolation().into());
    let largest = space.knobs().iter().find(|k| k.name == "resolution").and_then(|k| k.choices.iter().max().copied());
    let side = c.image_size.or_else(|| {
        let photos = sets.0.images.memory().is_none();
        photos.then(|| largest.unwrap_or(SIDE))
    });
    // Photos are normalised as the family's published weights want them.
    let norm = Normalization::of(&sets.0, train).unwrap_or_else(|| Normalization::rgb(how.mean, how.std));
    let view = |data: Arc<Dataset>| TransformedDataset {
        norm: norm.clone(),
        frame: Pipeline { side: side.unwrap_or(SIDE), how },
        side,
        damaged: Arc::new(DamagedImages::new(data.images.len(), c.damaged_limit)),
        budget: Arc::default(),
        data,
    };
    (view(sets.0), view(sets.1))
}

/// What happens to images with boxes or class maps.
fn dense_transform(a: &config::AugmentConfig, labels: Labels) -> Option<DenseTransform> {
    match labels {
        Labels::Classes => None,
        Labels::Boxes | Labels::Masks => Some(DenseTransform::Detection(a.detection.clone().unwrap_or_default())),
        Labels::ClassMaps => Some(DenseTransform::Segmentation(a.segmentation.clone().unwrap_or_default())),
    }
}

/// Augmentation as a config says it for a training of images that are normalised by `norm`.
fn augment(data: &config::DataConfig, recipe: &config::Recipe, norm: &Normalization, labels: Labels) -> Augment {
    let a = recipe.augment.as_ref().unwrap_or(&data.augment);
    let photos = data.name.reader().photos();
    let crop = a.crop.as_ref().map(|c| Crop {
        min_area: c.min_area,
        max_ratio: c.max_ratio,
        interpolation: match c.interpolation {
            CropInterpolation::Bilinear => Interpolation::Bilinear,
            CropInterpolation::Bicubic => Interpolation::Bicubic,
        },
    });
    let shift = if photos || crop.is_some() { 0 } else { 2 };
    let crop = crop.or(photos.then_some(Crop::USUAL));
    // What was checked when the config was read parses.
    let rand = a.rand_augment.as_deref().and_then(|words| RandAugment::parse(words).ok());
    let rand = rand.map(|how| RandAugment {
        fill: norm.mean_levels(),
        interpolation: crop.map_or(how.interpolation, |c| c.interpolation),
        ..how
    });
    let dense = dense_transform(a, labels);
    let mix = Mix { mixup: a.mixup, cutmix: a.cutmix, switch: a.mixup_switch_prob.unwrap_or(0.5) };
    Augment {
        crop,
        flip: data.flip,
        shift: data.shift.unwrap_or(shift),
        rand,
        color_jitter: a.color_jitter,
        erase: a.random_erasing,
        mix: (mix.mixup > 0.0 || mix.cutmix > 0.0).then_some(mix),
        dense,
    }
}

/// Which images a training's steps take.
fn sampler(data: &config::DataConfig, recipe: &config::Recipe) -> Sampler {
    let said = recipe.sampler.as_ref().unwrap_or(&data.sampler);
    let scale = said.multi_scale.as_ref().map(|m| MultiScale {
        formula: match m.formula {
            ScaleFormula::Paper => Formula::Paper,
            ScaleFormula::CvnetsV01 => Formula::CvnetsV01,
            ScaleFormula::Cvnets => Formula::Cvnets,
        },
        base: m.base_size,
        sides: m.sizes.clone(),
    });
    Sampler { batch: recipe.batch, repeats: said.aug_repeats, scale }
}

/// Checks that the smallest and the largest network of a space have a form at each side of the trainings' steps.
///
/// # Errors
/// The first side at which one has none.
pub fn check_sides<'a>(
    file: &Path,
    data: &config::DataConfig,
    sections: impl IntoIterator<Item = (&'static str, &'a config::Recipe)>,
    space: &Space,
) -> Result<(), ExperimentError> {
    for (section, recipe) in sections {
        let sides = sampler(data, recipe).scale.map(|s| s.sides).unwrap_or_default();
        for side in sides {
            let fits = |genome: &Genome| -> Result<(), String> {
                let at = space.lower_at(genome, side).map_err(|e| e.to_string())?;
                let own = space.lower(genome).map_err(|e| e.to_string())?;
                let pairs = own.params().into_iter().zip(at.params());
                let fixed =
                    |p: &ParamSpec| p.role.trainable() && !p.axes.iter().any(|a| matches!(a, SliceRule::Table { .. }));
                match pairs.into_iter().find(|(a, b)| fixed(a) && a.shape() != b.shape()) {
                    Some((a, _)) => Err(format!("{} is learnt for one resolution", a.name)),
                    None => Ok(()),
                }
            };
            if let Err(why) = fits(&space.smallest()).and_then(|()| fits(&space.largest())) {
                return Err(ExperimentError::Side { file: file.to_path_buf(), section, side, why });
            }
        }
    }
    Ok(())
}

/// The batches of a training.
///
/// # Errors
/// When there are no threads to be had.
pub fn data_loader(
    view: &TransformedDataset,
    indices: &[usize],
    data: &config::DataConfig,
    recipe: &config::Recipe,
    (threads, seed): (u32, u64),
) -> Result<DataLoader, TrainError> {
    let (sampler, label_smoothing) = (sampler(data, recipe), recipe.label_smoothing);
    let augment = augment(data, recipe, &view.norm, view.data.labels);
    let how = LoaderConfig { augment, sampler, label_smoothing, threads: threads as usize };
    Ok(DataLoader::new(view.clone(), indices, how, seed)?)
}
