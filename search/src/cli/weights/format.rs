//! What a format of `weights export` is, and what it gets to write.

use std::path::Path;

use anyhow::Result;
use mobilenas_heads::Head;
use mobilenas_onnx::Batch;
use mobilenas_pipeline::quantize::Sets;
use mobilenas_space::families::Preprocessing;
use mobilenas_space::ir::Regularization;
use mobilenas_torch::Net;
use mobilenas_torch::weights::About;

use super::int8;

/// A format in which networks are exported.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it writes, for the help.
    pub writes: &'static str,
    /// The extension of `--out` that selects it; a format without one is selected by its name alone.
    pub extension: Option<&'static str>,
    /// Whether batch norms are folded unless the command line says otherwise.
    pub fused: bool,
    /// Whether a network without weights is exported with initial ones.
    pub untrained: bool,
    /// Whether networks with heads are exported, which may have several outputs.
    pub heads: bool,
    /// Which of [`Flags`] it takes.
    pub takes: &'static [&'static str],
    /// Writes the network and says so; gives the exit code.
    pub write: fn(&Exported) -> Result<i32>,
}

/// A network to export.
pub struct Exported<'a> {
    pub net: Net,
    pub about: About,
    /// The network in words.
    pub title: String,
    /// Its classes; a detector's count the background.
    pub classes: u32,
    /// The network as a name of Python.
    pub name: String,
    pub out: &'a Path,
    pub flags: &'a Flags,
    /// Its training images and its test images.
    pub sets: &'a dyn Fn(&Net) -> Result<Sets>,
    /// How its images are preprocessed.
    pub preprocessing: &'a dyn Fn(&About) -> Result<Preprocessing>,
    /// Its head; none of a classifier.
    pub head: &'a dyn Fn() -> Result<Option<&'static dyn Head>>,
    /// What its training drops.
    pub regularization: &'a dyn Fn() -> Result<Regularization>,
}

/// Flags that not every format takes.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// ONNX: store weights in half precision; they are cast to float32 when the file is loaded. Core ML: compute in it
    #[arg(long)]
    pub float16: bool,
    /// ONNX: take any number of images at once
    #[arg(long)]
    dynamic_batch: bool,
    /// ONNX: take so many images at once [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "dynamic_batch", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// ONNX, with a detection head: decode boxes and suppress the lesser of those that overlap, in the file, for one image at
    /// once; outputs are `boxes`, `scores` and `labels` of the detections
    #[arg(long, conflicts_with_all = ["dynamic_batch", "int8"])]
    pub decode: bool,
    #[command(flatten)]
    pub int8: int8::Flags,
    /// Core ML: take an RGB image of 0 to 255, which the network itself normalises as its weights expect
    #[arg(long)]
    pub image_input: bool,
}

impl Flags {
    /// Those that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (FLOAT16, self.float16),
            (INT8, self.int8.int8),
            (BATCH, self.batch.is_some()),
            (DYNAMIC_BATCH, self.dynamic_batch),
            (DECODE, self.decode),
            (IMAGE_INPUT, self.image_input),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
    }

    /// Images in a batch.
    pub fn batch(&self) -> Batch {
        match self.dynamic_batch {
            true => Batch::Dynamic,
            false => Batch::Fixed(self.batch.unwrap_or(1)),
        }
    }
}

pub(super) const FLOAT16: &str = "--float16";
pub(super) const INT8: &str = "--int8";
pub(super) const BATCH: &str = "--batch";
pub(super) const DYNAMIC_BATCH: &str = "--dynamic-batch";
pub(super) const DECODE: &str = "--decode";
pub(super) const IMAGE_INPUT: &str = "--image-input";
