//! What a config says about images: which, in which splits, and what happens to them in training.

use std::path::PathBuf;

use mobilenas_dense::transform::{DetectionTransform, SegmentationTransform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{DATASETS, DatasetReader, DenseOptions, ReadOptions, Splits, dataset};
use crate::transform::rand_augment::RandAugment;
use crate::{DataError, Labels};

/// A dataset by its name.
#[derive(Clone, Copy)]
pub struct DataName(&'static dyn DatasetReader);

impl DataName {
    /// Images of one's own.
    pub const FOLDER: DataName = DataName(&crate::dataset::Folder);

    /// The dataset of that name.
    pub fn named(name: &str) -> Option<DataName> {
        dataset(name).map(DataName)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.0.name()
    }

    /// What reads it.
    pub fn reader(self) -> &'static dyn DatasetReader {
        self.0
    }
}

impl PartialEq for DataName {
    fn eq(&self, other: &DataName) -> bool {
        self.as_str() == other.as_str()
    }
}

impl std::fmt::Debug for DataName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for DataName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DataName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<DataName, D::Error> {
        let name = String::deserialize(d)?;
        DataName::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no dataset is called {name}")))
    }
}

impl JsonSchema for DataName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DataName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let help: Vec<String> = DATASETS.iter().map(|d| format!("{}: {}", d.name(), d.help())).collect();
        schemars::json_schema!({
            "description": format!("A dataset. {}.", help.join("; ")),
            "type": "string",
            "enum": DATASETS.iter().map(|d| d.name()).collect::<Vec<_>>(),
        })
    }
}

/// Images and their splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The dataset.
    pub name: DataName,
    /// Its folder; if left out, the folder of its name in the one that the environment variable MOBILENAS_DATA names.
    pub dir: Option<PathBuf>,
    /// Images carved out of the training set that candidates are scored on.
    #[schemars(range(min = 1, max = 10000000))]
    pub search_val: usize,
    /// Train on at most so many of the others.
    #[schemars(range(min = 1, max = 10000000))]
    pub train_limit: Option<usize>,
    /// Score winners on at most so many test images.
    #[schemars(range(min = 1, max = 10000000))]
    pub test_limit: Option<usize>,
    /// Side in pixels that images are brought to, before a network takes them at its own resolution. If left out: for
    /// `folder` the largest resolution of the space, else the side the data set has.
    #[schemars(range(min = 8, max = 1024))]
    pub image_size: Option<u32>,
    /// Whether class folders may be without a usable image; they are then no classes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty_classes: bool,
    /// Of a dataset of boxes or class maps: the split that is trained on.
    #[serde(skip_serializing_if = "is_train")]
    pub train_split: String,
    /// Of a dataset of boxes or class maps: the split that is scored on.
    #[serde(skip_serializing_if = "is_val")]
    pub val_split: String,
    /// Of a dataset of boxes or class maps: whether the size of each image's file is read before anything is trained.
    #[serde(skip_serializing_if = "is_true")]
    pub check_images: bool,
    /// The share of images that may be damaged; one more stops the run.
    #[schemars(range(min = 0, max = 1))]
    pub damaged_limit: f64,
    /// Mirror half of the training images.
    pub flip: bool,
    /// Move training images by up to so many pixels; if left out, 0 for `folder` and where a crop is named, else 2.
    #[schemars(range(min = 0, max = 64))]
    pub shift: Option<u32>,
    /// What else happens to training images, whatever a section's recipe says; a section may have an `augment` of its own.
    pub augment: AugmentConfig,
    /// Which images a step takes, whatever a section's recipe says; a section may have a `sampler` of its own.
    pub sampler: SamplerConfig,
}

impl Default for DataConfig {
    fn default() -> DataConfig {
        DataConfig {
            name: DataName(DATASETS[0]),
            dir: None,
            search_val: 5000,
            train_limit: None,
            test_limit: None,
            image_size: None,
            allow_empty_classes: false,
            train_split: "train".to_string(),
            val_split: "val".to_string(),
            check_images: true,
            damaged_limit: 0.001,
            flip: true,
            shift: None,
            augment: AugmentConfig::default(),
            sampler: SamplerConfig::default(),
        }
    }
}

impl DataConfig {
    /// Where the images are: `dir`, or the dataset's folder in the one that MOBILENAS_DATA names.
    pub fn folder(&self) -> PathBuf {
        let root = || std::env::var_os("MOBILENAS_DATA").map_or_else(|| PathBuf::from("target/data"), PathBuf::from);
        self.dir.clone().unwrap_or_else(|| root().join(self.name.as_str()))
    }

    /// Reads the dataset.
    ///
    /// # Errors
    /// When files are missing or damaged.
    pub fn load(&self) -> Result<Splits, DataError> {
        self.load_with(Labels::Classes)
    }

    /// Reads the dataset with labels of a kind.
    ///
    /// # Errors
    /// When the dataset has none of that kind, or files are missing or damaged.
    pub fn load_with(&self, labels: Labels) -> Result<Splits, DataError> {
        let reader = self.name.reader();
        if !reader.labels().contains(&labels) {
            return Err(DataError::Labels {
                name: reader.name(),
                found: reader.labels().iter().map(|l| l.name()).collect::<Vec<_>>().join(" or "),
                expected: labels.name(),
                names: DATASETS.iter().filter(|d| d.labels().contains(&labels)).map(|d| d.name()).collect(),
            });
        }
        let dense = DenseOptions {
            train: self.train_split.clone(),
            val: self.val_split.clone(),
            damaged_limit: self.damaged_limit,
            check_images: self.check_images,
        };
        let options = ReadOptions { allow_empty_classes: self.allow_empty_classes, labels, dense };
        reader.load(&self.folder(), &options)
    }
}

/// Whether a key is what it is by default: the digest of a config without it stays.
fn is_train(split: &str) -> bool {
    split == "train"
}

fn is_val(split: &str) -> bool {
    split == "val"
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_true(said: &bool) -> bool {
    *said
}

/// Augmentations by their names in the published recipes; each is off unless named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Random resized crop; if left out, on for `folder` and off for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<CropConfig>,
    /// Colour jitter: how far brightness, contrast and saturation may move, as a share; not done beside RandAugment.
    #[schemars(range(min = 0, max = 1))]
    pub color_jitter: f64,
    /// RandAugment, in timm's words: `rand-m9-mstd0.5-inc1`. Magnitude m (0 to 10, 10), changes n (2), probability p of each
    /// (0.5), noise mstd (0), largest magnitude mmax (10), inc1 for changes that all get stronger with it.
    pub rand_augment: Option<String>,
    /// Probability of random erasing, each erased pixel normal noise.
    #[schemars(range(min = 0, max = 1))]
    pub random_erasing: f64,
    /// Alpha of MixUp; 0 is off.
    #[schemars(range(min = 0, max = 100))]
    pub mixup: f64,
    /// Alpha of CutMix; 0 is off.
    #[schemars(range(min = 0, max = 100))]
    pub cutmix: f64,
    /// Where both are on: the probability of CutMix.
    #[schemars(range(min = 0, max = 1))]
    pub mixup_switch_prob: Option<f64>,
    /// Of detection, in place of all others: crop, colours, mirroring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionTransform>,
    /// Of segmentation, in place of all others: size, mirroring, crop, colours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationTransform>,
}

impl AugmentConfig {
    /// Mistakes that the types cannot say, as key and message.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let words = self.rand_augment.as_deref().map(RandAugment::parse);
        words.and_then(Result::err).map(|m| ("rand_augment", m)).into_iter().collect()
    }
}

/// Random resized crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CropConfig {
    /// Smallest share of the image's area.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub min_area: f64,
    /// Largest ratio of the sides, either way.
    #[schemars(range(min = 1, max = 10))]
    pub max_ratio: f64,
    /// How levels between pixels are found.
    pub interpolation: CropInterpolation,
}

impl Default for CropConfig {
    fn default() -> CropConfig {
        CropConfig { min_area: 0.08, max_ratio: 4.0 / 3.0, interpolation: CropInterpolation::Bilinear }
    }
}

/// How levels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CropInterpolation {
    #[allow(missing_docs)]
    Bilinear,
    #[allow(missing_docs)]
    Bicubic,
}

/// Which images a step takes, and at which size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Views of one image in a row (repeated augmentation); an epoch keeps its length and sees fewer images.
    #[schemars(range(min = 1, max = 16))]
    pub aug_repeats: usize,
    /// Steps of several sizes, as MobileViT was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_scale: Option<MultiScaleConfig>,
}

impl Default for SamplerConfig {
    fn default() -> SamplerConfig {
        SamplerConfig { aug_repeats: 1, multi_scale: None }
    }
}

/// The multi-scale sampler with variable batch size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MultiScaleConfig {
    /// How many images a step of a side takes, from the batch at the base: `paper` base²·batch/side², the base being the
    /// largest side; `cvnets` the same with a base of its own; `cvnets-v0.1` no fewer than the batch.
    pub formula: ScaleFormula,
    /// The side at which a step takes the batch of the recipe; `paper` takes the largest.
    #[schemars(range(min = 8, max = 1024))]
    pub base_size: u32,
    /// The sides, each as likely as the others.
    #[schemars(length(min = 1), inner(range(min = 8, max = 1024)))]
    pub sizes: Vec<u32>,
}

impl Default for MultiScaleConfig {
    fn default() -> MultiScaleConfig {
        MultiScaleConfig { formula: ScaleFormula::CvnetsV01, base_size: 256, sizes: vec![160, 192, 256, 288, 320] }
    }
}

/// The published formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleFormula {
    #[allow(missing_docs)]
    Paper,
    #[allow(missing_docs)]
    #[serde(rename = "cvnets-v0.1")]
    CvnetsV01,
    #[allow(missing_docs)]
    Cvnets,
}
