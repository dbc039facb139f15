//! The program.

use clap::Parser as _;
use mobilenas::cli;

fn main() {
    let args = cli::Args::parse();
    mobilenas_bench::settle::settle();
    let code = match cli::run(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            cli::exit_code(&e)
        }
    };
    std::process::exit(code);
}
