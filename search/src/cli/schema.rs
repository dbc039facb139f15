//! `mobilenas schema`

use anyhow::Result;
use mobilenas_host::outln;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which kind of config
    #[arg(value_enum, default_value_t = Which::Search)]
    which: Which,
}

/// A kind of config.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Which {
    Search,
    Train,
    Gate,
    Study,
    Bench,
}

/// Prints the JSON schema of the configs.
///
/// # Errors
/// Never.
pub fn run(args: &Args) -> Result<i32> {
    let schema = match args.which {
        Which::Search => mobilenas_pipeline::config::schema(),
        Which::Train => mobilenas_pipeline::config::train_schema(),
        Which::Gate => mobilenas_pipeline::config::gate_schema(),
        Which::Study => mobilenas_pipeline::config::study_schema(),
        Which::Bench => mobilenas_pipeline::config::bench_schema(),
    };
    outln!("{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(0)
}
