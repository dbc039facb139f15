//! The command line: one file per verb.

mod bench;
mod bound;
mod check;
mod completions;
mod data;
mod dense;
mod destination;
mod error;
mod evaluate;
mod facts;
mod job;
mod latency_table;
mod loaded;
mod man;
pub mod models;
mod networks;
mod predict;
mod ranks;
mod report;
mod schema;
mod search;
mod setup;
mod study;
mod train;
mod weights;
mod worker;
mod workers;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

pub use error::{Input, exit_code, message};

/// Finds and measures vision backbones for phones.
#[derive(Debug, Parser)]
#[command(name = "mobilenas", version, about, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a supernet, search it, measure candidates, retrain the winners, write the report
    Search(job::Job),
    /// Write the quickstart's config and fetch its dataset, Fashion-MNIST
    Setup(setup::Args),
    /// Study a search: rank correlation of the supernet, search against random search, found networks against published ones
    Study(study::Args),
    /// Train one network by a recipe and score it on the test split
    Train(job::Job),
    /// Write the pages, plots and tables of a run, finished or not, or of several side by side
    Report(report::Args),
    /// Check a config: its mistakes, or the size of its space and an estimate of the time
    Check(check::Args),
    /// Look at the training images of a config
    Data(data::Args),
    /// Measure networks on this machine, guard them in CI, or repeat a measurement of this program's own speed
    Bench(bench::Args),
    /// Build, import or show a table of block times, from which a search can take its latencies
    LatencyTable(latency_table::Args),
    /// List the published networks, or one network's layers
    Models(models::Args),
    /// Score a network's weights on a folder of images, or on boxes or class maps
    Evaluate(evaluate::Args),
    /// Print the five likeliest classes of images, or find objects in them, or segment them
    Predict(predict::Args),
    /// Bring published weights in, and take networks out, in safetensors files
    Weights(weights::Args),
    /// Print the JSON schema of the configs
    Schema(schema::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// List the workers of a run that goes on, or change their number
    Workers(workers::Args),
    /// Score what standard input asks for; a search starts it for itself
    #[command(hide = true)]
    Worker(worker::Args),
    /// Print the registries, and which command lines on standard input are refused; for `cargo xtask tidy`
    #[command(hide = true)]
    Facts,
    /// Write the manual pages; for `cargo xtask install`
    #[command(hide = true)]
    Man(man::Args),
}

/// Runs the verb; gives the exit code.
///
/// # Errors
/// What went wrong, for one message; see [`exit_code`].
pub fn run(args: Args) -> Result<i32> {
    match args.verb {
        Verb::Search(a) => search::run(&a),
        Verb::Setup(a) => setup::run(&a),
        Verb::Study(a) => study::run(&a),
        Verb::Train(a) => train::run(&a),
        Verb::Report(a) => report::run(&a),
        Verb::Check(a) => check::run(&a),
        Verb::Data(a) => data::run(&a),
        Verb::Bench(a) => bench::run(&a),
        Verb::LatencyTable(a) => latency_table::run(&a),
        Verb::Models(a) => models::run(&a),
        Verb::Evaluate(a) => evaluate::run(&a),
        Verb::Predict(a) => predict::run(&a),
        Verb::Weights(a) => weights::run(&a),
        Verb::Schema(a) => schema::run(&a),
        Verb::Completions(a) => completions::run(&a, &mut Args::command()),
        Verb::Worker(a) => worker::run(&a),
        Verb::Workers(a) => workers::run(&a),
        Verb::Facts => facts::run(&Args::command()),
        Verb::Man(a) => man::run(&a, Args::command()),
    }
}
