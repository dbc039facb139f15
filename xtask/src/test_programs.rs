//! The test programs that cargo built, run some at a time: one that waits leaves its core to another.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::Environment;
use crate::scratch::Scratch;

/// A test program, and the folder of its package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestProgram {
    file: PathBuf,
    package: PathBuf,
    source: PathBuf,
}

/// What tests came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, and programs that ended early.
    pub failed: u64,
    /// Tests that were not run.
    pub ignored: u64,
}

impl Sum {
    /// Adds what other tests came to.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The programs that take longest or wait most. They are begun first, so that none is waited for alone.
const LONGEST: [&str; 17] = [
    "search/tests/program/main.rs",
    "space/torch/tests/library.rs",
    "bench/tests/library.rs",
    "reports/tests/browser/main.rs",
    "search/worker_tests/tests/program/main.rs",
    "search/train/tests/library/main.rs",
    "space/torch/src/lib.rs",
    "search/worker_tests/tests/heads.rs",
    "search/coordinator/tests/pool.rs",
    "bench/host/src/lib.rs",
    "space/pytorch/tests/source.rs",
    "search/pipeline/tests/fuzz.rs",
    "search/train/src/lib.rs",
    "reports/tests/library.rs",
    "space/tests/library.rs",
    "search/strategy/src/lib.rs",
    "space/onnx/tests/library.rs",
];

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Builds the tests by a cargo command with `--no-run`, and lists them, the longest first.
pub fn build(command: &mut Command) -> Result<Vec<TestProgram>> {
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cargo test does not start")?;
    if !output.status.success() {
        bail!("building the tests failed ({}); the reason is above", output.status);
    }
    let text = String::from_utf8(output.stdout).context("cargo test does not print UTF-8")?;
    let mut all: Vec<TestProgram> = text.lines().filter_map(TestProgram::parse).collect();
    if all.is_empty() {
        bail!("cargo test names no test program");
    }
    let place = |program: &TestProgram| LONGEST.iter().position(|source| program.source.ends_with(source));
    all.sort_by_key(|program| place(program).unwrap_or(LONGEST.len()));
    Ok(all)
}

/// What every program is run with.
#[derive(Debug)]
struct With<'a> {
    environment: &'a Environment,
    all_networks: bool,
    scratch: Option<Scratch>,
}

impl TestProgram {
    /// Reads a line of cargo's JSON; none if it is of something else.
    fn parse(line: &str) -> Option<Self> {
        let text = |key: &str| -> Option<PathBuf> {
            let rest = line.split_once(&format!("\"{key}\":\""))?.1;
            Some(rest.split_once('"')?.0.replace("\\\\", "\\").into())
        };
        let profile = line.split_once("\"profile\":{")?.1.split_once('}')?.0;
        if !line.contains("\"reason\":\"compiler-artifact\"") || !profile.contains("\"test\":true") {
            return None;
        }
        let package = text("manifest_path")?.parent()?.to_owned();
        Some(Self { file: text("executable")?, package, source: text("src_path")? })
    }

    fn run(&self, with: &With, args: &[&str]) -> Result<Output> {
        // The longest has the cores first: its tests wait much, and the others run meanwhile.
        let longest = self.source.ends_with(LONGEST[0]);
        let mut command = Command::new("nice");
        command.args(["-n", if longest { "0" } else { "2" }]).arg(&self.file);
        with.environment.apply(command.args(args).current_dir(&self.package))?;
        // Tests run side by side: threads of libtorch would only wait for each other. Programs set their number themselves.
        command.env("OMP_WAIT_POLICY", "passive").env("OMP_NUM_THREADS", "1").env("CARGO_MANIFEST_DIR", &self.package);
        command.envs(with.all_networks.then_some(("MOBILENAS_TEST_ALL", "1")));
        command.envs(with.scratch.as_ref().map(|scratch| ("TMPDIR", scratch.path())));
        // Its tests are processes that often wait for each other.
        command.envs(longest.then(|| ("RUST_TEST_THREADS", (2 * cores()).to_string())));
        command.output().with_context(|| format!("{} does not start", self.file.display()))
    }

    /// Its source file, from the folder of all packages.
    fn name(&self) -> String {
        let root = std::env::current_dir().unwrap_or_default();
        self.source.strip_prefix(root).unwrap_or(&self.source).display().to_string()
    }
}

/// Runs test programs, twice as many at a time as there are cores, since tests often wait, each with its tests side by
/// side and with temporary files in memory where that is safe; right after each those of its tests that are ignored and
/// that other arguments choose, if some are given. Shows what each one printed when it has ended, and sums the results.
pub fn run(
    programs: &[TestProgram],
    environment: &Environment,
    all_networks: bool,
    (args, ignored): (&[&str], Option<&[&str]>),
) -> Result<Sum> {
    let color: &[&str] = if std::io::stdout().is_terminal() { &["--color=always"] } else { &[] };
    let (args, ignored) = ([color, args].concat(), ignored.map(|ignored| [color, ignored].concat()));
    let (next, sum) = (AtomicUsize::new(0), Mutex::new(Sum::default()));
    let with = With { environment, all_networks, scratch: Scratch::in_memory() };
    let one = |program: &TestProgram, args: &[&str]| -> Result<Sum> {
        let start = Instant::now();
        let output = program.run(&with, args)?;
        let own = result(&output);
        // Held while it is shown, so that no two are mixed.
        let _shown = sum.lock().unwrap_or_else(PoisonError::into_inner);
        show(program, &output, own, start.elapsed().as_secs_f64()).context("the tests' output cannot be shown")?;
        Ok(own)
    };
    let work = || -> Result<()> {
        while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut own = one(program, &args)?;
            if let Some(args) = ignored.as_ref().filter(|_| own.ignored > 0) {
                let late = one(program, args)?;
                own = Sum { ignored: own.ignored.saturating_sub(late.passed + late.failed), ..own };
                own.add(Sum { ignored: 0, ..late });
            }
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(own);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..2 * cores()).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| bail!("a thread that runs tests panicked")))
    })?;
    Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Prints what a program printed; of one that had nothing to run, nothing.
fn show(program: &TestProgram, output: &Output, sum: Sum, seconds: f64) -> std::io::Result<()> {
    if sum.passed + sum.failed == 0 {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{} ({seconds:.1} s)", program.name())?;
    out.write_all(&output.stdout)?;
    out.write_all(&output.stderr)?;
    out.flush()
}

/// What a program's output comes to. One that failed without saying which test is a failure by itself.
fn result(output: &Output) -> Sum {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sum = Sum::default();
    text.lines().filter_map(result_line).for_each(|one| sum.add(one));
    if !output.status.success() && sum.failed == 0 {
        sum.failed = 1;
    }
    sum
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
    fn a_program_that_ends_early_is_a_failure() -> Result<()> {
        let ended = |script: &str| -> Result<Sum> { Ok(result(&Command::new("sh").args(["-c", script]).output()?)) };
        let passed = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        assert_eq!(ended(passed)?, Sum { passed: 1, failed: 0, ignored: 0 });
        assert_eq!(ended(&format!("{passed}; kill -9 $$"))?.failed, 1);
        assert_eq!(ended("exit 101")?.failed, 1);
        Ok(())
    }

    #[test]
    fn programs_are_found_in_cargos_json() {
        let line = |executable: &str, test: bool| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///a/b#0.1.0\",\
                 \"manifest_path\":\"/a/b/Cargo.toml\",\"target\":{{\"kind\":[\"test\"],\"name\":\"x\",\
                 \"src_path\":\"/a/b/tests/x.rs\",\"test\":true}},\"profile\":{{\"opt_level\":\"3\",\"test\":{test}}},\
                 \"features\":[],\"executable\":{executable},\"fresh\":true}}"
            )
        };
        let program = TestProgram::parse(&line("\"/a/target/debug/deps/x-1\"", true));
        let expected = TestProgram {
            file: "/a/target/debug/deps/x-1".into(),
            package: "/a/b".into(),
            source: "/a/b/tests/x.rs".into(),
        };
        assert_eq!(program, Some(expected));
        assert_eq!(TestProgram::parse(&line("\"/a/target/debug/x\"", false)), None);
        assert_eq!(TestProgram::parse("{\"reason\":\"build-finished\",\"success\":true}"), None);
    }
}
