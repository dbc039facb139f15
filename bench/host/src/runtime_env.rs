//! Settings that libgomp and glibc read before `main`.

use std::ffi::OsString;

use crate::program;

/// Threads spin for some microseconds between two parallel regions and then sleep: spinning longer fights with
/// everything else on the machine, not at all costs half the speed. Freed memory is kept for the next step instead of
/// being handed back and asked for again.
const SETTINGS: [(&str, &str); 3] =
    [("GOMP_SPINCOUNT", "10000"), ("MALLOC_MMAP_THRESHOLD_", "1000000000"), ("MALLOC_TRIM_THRESHOLD_", "4000000000")];

/// Starts the program anew with these settings, unless the environment has them or says how OpenMP waits, and with one
/// more variable, if it is given. `args` are those that it was started with.
pub fn apply(args: &[OsString], more: Option<(&str, OsString)>) {
    use std::os::unix::process::CommandExt as _;
    let settled = ["OMP_WAIT_POLICY", SETTINGS[0].0].iter().any(|name| std::env::var_os(name).is_some());
    if settled && more.is_none() {
        return;
    }
    if let Ok(program) = program::file() {
        let settings = SETTINGS.iter().filter(|_| !settled).map(|(name, value)| (*name, OsString::from(value)));
        // Comes back only if it fails; the program then runs as it is.
        let _ = std::process::Command::new(program).args(args).envs(settings).envs(more).exec();
    }
}
