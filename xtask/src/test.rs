//! `cargo xtask test`: all tests, and their sum in the last line: `N passed, N failed, N skipped`.
//!
//! Every command selects the same targets: with another selection cargo compiles crates anew. The tests of one program
//! share a process: loading libtorch for each test alone, as cargo-nextest would, costs more than it gains.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::{Environment, cargo};
use crate::test_programs;
use crate::tools;

/// Which tests are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Only those of packages that do not need libtorch.
    pub without_libtorch: bool,
    /// Over all networks, where else some have every operation.
    pub all_networks: bool,
    /// Arguments for the test programs.
    pub filter: Vec<String>,
}

/// Builds and runs the tests.
pub fn test(environment: &Environment, tests: &Tests) -> Result<ExitCode> {
    let start = Instant::now();
    let heading = |text: &str| println!("\n== {text} (after {:.1} s)", start.elapsed().as_secs_f64());
    let packages = if tests.without_libtorch { packages_without_libtorch()? } else { vec!["--workspace".to_owned()] };
    let mut command = cargo();
    environment.apply(command.arg("test").args(&packages))?;
    heading("building the tests");
    // What has to be fetched for some tests is, while the compiler works.
    let (programs, provided) = std::thread::scope(|scope| {
        let provided = || -> Vec<&str> {
            let there = tools::TESTS.iter().filter(|(_, tool)| tools::provide(tool, environment));
            there.map(|(name, _)| *name).collect()
        };
        let provided = scope.spawn(provided);
        let programs = test_programs::build(&mut command);
        (programs, provided.join())
    });
    let (programs, Ok(provided)) = (programs?, provided) else { bail!("looking for the tests' tools failed") };
    heading("tests");
    let filter: Vec<&str> = tests.filter.iter().map(String::as_str).collect();
    // Tests that need a program are ignored unless they are asked for by their names.
    let names = if filter.is_empty() { &provided } else { &filter };
    let ignored = [&["--ignored"], names.as_slice()].concat();
    let ignored = (!provided.is_empty()).then_some(ignored.as_slice());
    let sum = test_programs::run(&programs, environment, tests.all_networks, (&filter, ignored))?;
    heading("done");
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.ignored);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests of workers and ranks over ssh, Slurm and MPI; what they need is installed.
pub fn cluster(environment: &Environment) -> Result<ExitCode> {
    for tool in &tools::CLUSTER {
        if !tools::provide(tool, environment) {
            bail!("ssh, Slurm or Open MPI is missing; why is above");
        }
    }
    let pods = tools::provide(&tools::KUBECTL, environment);
    let skipped: &[&str] = if pods { &[] } else { &["--skip", "cluster_kubectl_"] };
    let mut command = cargo();
    environment.apply(command.args(["test", "--workspace"]))?;
    let programs = test_programs::build(&mut command)?;
    let args = [&["--ignored", "--nocapture", "cluster_"], skipped].concat();
    let sum = test_programs::run(&programs, environment, false, (&args, None))?;
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.ignored);
    Ok(if sum.failed == 0 && sum.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `--package NAME` for each package that does not stand on libtorch's bindings.
fn packages_without_libtorch() -> Result<Vec<String>> {
    let tree = |args: &[&str]| -> Result<BTreeSet<String>> {
        let mut command = cargo();
        command.args(["tree", "--workspace", "--prefix", "none", "--format", "{p}"]).args(args);
        let output = command.output().context("cargo tree does not start")?;
        if !output.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8(output.stdout).context("cargo tree does not print UTF-8")?;
        Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    };
    let all = tree(&["--depth", "0"])?;
    let with_libtorch = tree(&["--invert", "torch-sys"])?;
    let packages = all.difference(&with_libtorch).filter(|name| !name.is_empty());
    Ok(packages.flat_map(|name| ["--package".to_owned(), name.clone()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_parts_the_packages() -> Result<()> {
        let packages = packages_without_libtorch()?;
        for (name, expected) in [("mobilenas-space", true), ("xtask", true), ("mobilenas-torch", false)] {
            assert_eq!(packages.iter().any(|package| package == name), expected, "{packages:?}");
        }
        Ok(())
    }
}
