//! The program.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser as _;
use mobilenas::{cli, device};

fn main() {
    let args = cli::Args::parse();
    settle();
    let code = match cli::run(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            cli::exit_code(&e)
        }
    };
    std::process::exit(code);
}

/// Settings that libgomp and glibc read before `main`. Threads spin for some microseconds between two parallel regions
/// and then sleep: spinning longer fights with everything else on the machine, not at all costs half the speed. Freed
/// memory is kept for the next step instead of being handed back and asked for again.
const SETTINGS: [(&str, &str); 3] =
    [("GOMP_SPINCOUNT", "10000"), ("MALLOC_MMAP_THRESHOLD_", "1000000000"), ("MALLOC_TRIM_THRESHOLD_", "4000000000")];

/// Starts the program anew with [`SETTINGS`], unless the environment has them or says how OpenMP waits, and with the
/// libtorch that [`device::VARIABLE`] names, if it does.
fn settle() {
    use std::os::unix::process::CommandExt as _;
    let settled = ["OMP_WAIT_POLICY", SETTINGS[0].0].iter().any(|name| std::env::var_os(name).is_some());
    let libraries = libraries();
    if settled && libraries.is_none() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let settings = SETTINGS.iter().filter(|_| !settled).map(|(name, value)| (*name, OsString::from(value)));
        let mut again = std::process::Command::new(program);
        again.args(std::env::args_os().skip(1)).envs(settings);
        again.envs(libraries.map(|folders| ("LD_LIBRARY_PATH", folders)));
        // Comes back only if it fails; the program then runs as it is.
        let _ = again.exec();
    }
}

/// Where the loader has to look for libraries so that it finds the libtorch of [`device::VARIABLE`] first; none if it does.
fn libraries() -> Option<OsString> {
    let own = PathBuf::from(std::env::var_os(device::VARIABLE)?).join("lib");
    let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others: Vec<PathBuf> = std::env::split_paths(&others).filter(|f| !f.as_os_str().is_empty()).collect();
    if others.first() == Some(&own) {
        return None;
    }
    std::env::join_paths(std::iter::once(own).chain(others)).ok()
}
