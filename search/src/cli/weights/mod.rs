//! `mobilenas weights import|export`

mod export;
mod import;
mod int8;

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;
use mobilenas_torch::NetError;
use mobilenas_torch::weights::{About, Named, save};
use tch::{Kind, Tensor};

use super::{Input, destination};

/// Arguments of `weights`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check a published network's weights, of timm or from PyTorch, tensor by tensor, and write them as safetensors
    Import(import::Args),
    /// Write a network's weights under timm's names: published, a run's winner, or any subnet of its supernet
    Export(export::Args),
}

/// Brings weights in or takes them out.
///
/// # Errors
/// When the input is wrong or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Import(a) => import::run(a),
        What::Export(a) => export::run(a),
    }
}

/// A tensor in single precision, if all its numbers are finite there.
fn finite(name: &str, tensor: &Tensor) -> Result<Tensor> {
    let single = if tensor.is_floating_point() { tensor.f_to_kind(Kind::Float)? } else { tensor.shallow_clone() };
    match bool::try_from(single.f_isfinite()?.f_all()?)? {
        true => Ok(single),
        false => Err(Input(format!("{name} holds values that are not finite, expected sound weights")).into()),
    }
}

/// Weights that an ONNX file cannot hold are a fault of the input.
fn unfit(error: NetError) -> anyhow::Error {
    match error {
        NetError::Onnx(e) => Input(e.to_string()).into(),
        e => e.into(),
    }
}

/// Writes tensors and says so.
fn write(out: &Path, named: &Named, about: &About, title: &str) -> Result<()> {
    save(&destination::place(out), named, about).map_err(|e| Input(e.to_string()))?;
    destination::say(out, format!("{title}: {} tensors written to {}", named.len(), out.display()))?;
    Ok(())
}
