//! `evaluate` and `predict` with a head: boxes, or a class for each pixel.

mod evaluate;
mod judge;
mod predict;

use std::path::PathBuf;

use anyhow::{Result, bail};
use mobilenas_data::{Labels, Normalization};
use mobilenas_heads::{Head, HeadOptions};
use mobilenas_task::{Detection, Instances, Outputs, Segmentation};
use mobilenas_torch::Mode;
use tch::{Kind, Tensor};

use super::Input;
use super::loaded::{Loaded, NetArgs, Precision};

pub use evaluate::evaluate;
pub use predict::predict;

/// Which boxes or class maps.
#[derive(Debug, clap::Args)]
pub struct DenseData {
    /// Dataset of boxes or class maps in the folder, with a head [default: coco, or voc for class maps]
    #[arg(long, value_name = "NAME", value_parser = ["coco", "voc", "ade20k", "masks"])]
    dataset: Option<String>,
    /// Split of that dataset [default: val]
    #[arg(long, value_name = "SPLIT")]
    split: Option<String>,
}

/// What becomes of detections and class maps.
#[derive(Debug, clap::Args)]
pub struct DenseOutput {
    /// Folder for images with the boxes or the classes drawn in; of classes, for their class maps, too
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Smallest score of a detection that is printed or drawn [default: 0.3; none with --json]
    #[arg(long, value_name = "SCORE", value_parser = score)]
    threshold: Option<f64>,
}

fn score(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    found.ok_or_else(|| "expected a number of 0 to 1".to_string())
}

impl DenseData {
    /// For a classifier.
    ///
    /// # Errors
    /// When something is said of a dataset of boxes or class maps.
    pub fn refuse(&self) -> Result<()> {
        let given = [("--dataset", self.dataset.is_some()), ("--split", self.split.is_some())];
        refuse(&given)
    }
}

impl DenseOutput {
    /// For a classifier.
    ///
    /// # Errors
    /// When something is said of boxes or class maps.
    pub fn refuse(&self) -> Result<()> {
        refuse(&[("--draw", self.draw.is_some()), ("--threshold", self.threshold.is_some())])
    }
}

fn refuse(given: &[(&str, bool)]) -> Result<()> {
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => bail!(Input(format!("{flag}: no head, expected a network for detection or segmentation"))),
        None => Ok(()),
    }
}

/// What a network with a head does.
enum Does {
    Detect(Detection),
    Instances(Box<Instances>),
    Segment(Segmentation),
}

impl Does {
    fn of((head, options): (&dyn Head, &HeadOptions)) -> Does {
        match (head.rcnn_rules(), head.ssd_rules()) {
            (Some(rules), _) => Does::Instances(Box::new(Instances { rules })),
            (None, Some(rules)) => Does::Detect(Detection { rules }),
            (None, None) => {
                Does::Segment(Segmentation { align_corners: options.align_corners.unwrap_or(head.align_corners()) })
            }
        }
    }

    fn labels(&self) -> Labels {
        match self {
            Does::Detect(_) => Labels::Boxes,
            Does::Instances(_) => Labels::Masks,
            Does::Segment(_) => Labels::ClassMaps,
        }
    }
}

fn kind(net: &NetArgs) -> Kind {
    match net.precision {
        Precision::Float32 => Kind::Float,
        Precision::Float64 => Kind::Double,
    }
}

fn run(loaded: &Loaded, images: &Tensor, kind: Kind) -> Result<Outputs> {
    let _guard = tch::no_grad_guard();
    Ok(Outputs::run(&loaded.net, &images.f_to_kind(kind)?, Mode::Eval)?)
}

fn normalization(loaded: &Loaded) -> Normalization {
    Normalization::rgb(loaded.pipeline.how.mean, loaded.pipeline.how.std)
}
