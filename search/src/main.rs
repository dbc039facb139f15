//! The program.

use clap::Parser as _;
use mobilenas::cli;

fn main() {
    let args = cli::Args::parse();
    settle_threads();
    let code = match cli::run(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            cli::exit_code(&e)
        }
    };
    std::process::exit(code);
}

/// Starts the program anew with OpenMP's threads waiting passively, unless the user has said how they wait: threads
/// that spin fight with everything else on the machine, and the library reads the setting before `main`.
fn settle_threads() {
    use std::os::unix::process::CommandExt as _;
    const POLICY: &str = "OMP_WAIT_POLICY";
    if std::env::var_os(POLICY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Comes back only if it fails; the program then runs as it is.
        let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(POLICY, "passive").exec();
    }
}
