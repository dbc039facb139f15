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
        Which::Search => crate::config::schema(),
        Which::Train => crate::config::train_schema(),
        Which::Gate => crate::config::gate_schema(),
        Which::Study => crate::config::study_schema(),
        Which::Bench => crate::config::bench_schema(),
    };
    outln!("{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(0)
}
