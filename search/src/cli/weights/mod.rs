//! `mobilenas weights import|export`

mod export;
mod format;
mod import;
mod int8;
mod onnx;
mod output;
mod phones;
mod pytorch;
mod safetensors;

use anyhow::Result;
use clap::Subcommand;

pub use export::EXPORTS;

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
    /// Export a network: published, a training's, a run's winner, or any subnet of its supernet
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
