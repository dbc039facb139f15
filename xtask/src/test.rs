//! `cargo xtask test`: all tests by `cargo test`, and their sum in the last line: `N passed, N failed, N skipped`.
//!
//! Every command selects the same targets: with another selection cargo compiles crates anew. The tests of one program
//! share a process: loading libtorch for each test alone, as cargo-nextest would, costs more than it gains.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::{Environment, cargo, succeed};
use crate::tools;

/// What the tests came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Builds and runs the tests of all packages, or of those that do not need libtorch. `filter` are arguments for the test
/// programs.
pub fn test(environment: &Environment, without_libtorch: bool, filter: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let heading = |text: &str| println!("\n== {text} (after {:.1} s)", start.elapsed().as_secs_f64());
    let packages = if without_libtorch { packages_without_libtorch()? } else { vec!["--workspace".to_owned()] };
    let command = |what: &[&str]| -> Result<Command> {
        let mut command = cargo();
        environment.apply(command.arg("test").args(&packages).args(what))?;
        // Tests run side by side: threads of libtorch would only wait for each other. Programs set their number themselves.
        command.env("OMP_WAIT_POLICY", "passive").env("OMP_NUM_THREADS", "1");
        Ok(command)
    };
    heading("building the tests");
    succeed(&mut command(&["--no-run"])?, "building the tests")?;
    heading("tests");
    let mut sum = run(command(&["--no-fail-fast", "--"])?.args(color()).args(filter))?;
    // Tests that need a program are ignored so far; where it is there, they run now.
    let provided: Vec<String> = tools::TESTS
        .iter()
        .filter(|(_, tool)| tools::provide(tool, environment))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    if !provided.is_empty() {
        heading("tests that were ignored");
        let names = if filter.is_empty() { &provided } else { filter };
        let late = run(command(&["--no-fail-fast", "--", "--ignored"])?.args(color()).args(names))?;
        sum.ignored -= sum.ignored.min(late.passed + late.failed);
        sum.add(late);
    }
    heading("done");
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.ignored);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests of workers over ssh and Slurm; what they need is installed.
pub fn cluster(environment: &Environment) -> Result<ExitCode> {
    for tool in &tools::CLUSTER {
        if !tools::provide(tool, environment) {
            bail!("the servers of ssh and Slurm are missing; why is above");
        }
    }
    let mut command = cargo();
    environment.apply(command.args(["test", "--workspace", "--no-fail-fast", "--", "--ignored", "--nocapture"]))?;
    command.env("OMP_WAIT_POLICY", "passive");
    let sum = run(command.args(color()).arg("cluster_"))?;
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

/// Tests write to a pipe here; whether they may use colours depends on where that goes.
fn color() -> &'static [&'static str] {
    if std::io::stdout().is_terminal() { &["--color=always"] } else { &[] }
}

/// Runs tests, shows their output and sums their results.
fn run(command: &mut Command) -> Result<Sum> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?} does not start"))?;
    let mut from = BufReader::new(child.stdout.take().context("a child process has no standard output")?);
    let mut out = std::io::stdout();
    let mut sum = Sum::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("the tests' output cannot be read")? > 0 {
        out.write_all(&line).and_then(|()| out.flush()).context("the tests' output cannot be shown")?;
        sum.add(result_line(&String::from_utf8_lossy(&line)).unwrap_or_default());
        line.clear();
    }
    let status = child.wait().context("cargo test is lost")?;
    if !status.success() && sum.failed == 0 {
        println!("the tests ended early ({status}); counted as one failure");
        sum.failed = 1;
    }
    Ok(sum)
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Reads a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`, with or without colours.
fn result_line(line: &str) -> Option<Sum> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |what: &str| rest.split_once(what)?.0.rsplit([' ', ';']).next()?.parse().ok();
    Some(Sum { passed: number(" passed;")?, failed: number(" failed;")?, ignored: number(" ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let sum = |passed, failed, ignored| Some(Sum { passed, failed, ignored });
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n";
        assert_eq!(result_line(line), sum(3, 0, 1));
        assert_eq!(result_line("test result: FAILED. 120 passed; 14 failed; 0 ignored\n"), sum(120, 14, 0));
        assert_eq!(result_line("test result: \u{1b}[32mok\u{1b}[m. 7 passed; 1 failed; 2 ignored"), sum(7, 1, 2));
        assert_eq!(result_line("test a::b ... ok"), None);
        assert_eq!(result_line("test result: what?"), None);
    }

    #[test]
    fn libtorch_parts_the_packages() -> Result<()> {
        let packages = packages_without_libtorch()?;
        for (name, expected) in [("mobilenas-space", true), ("xtask", true), ("mobilenas-torch", false)] {
            assert_eq!(packages.iter().any(|package| package == name), expected, "{packages:?}");
        }
        Ok(())
    }
}
