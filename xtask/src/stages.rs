//! The tests in stages, the quick ones first, and their sum in the last line: `N passed, N failed`.
//!
//! All test programs are built by one cargo command, so that every dependency is compiled once, and then run here one
//! by one as cargo would.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::cargo::{Setting, cargo};

/// The packages that need neither libtorch nor the data set: name and folder.
const PURE: [(&str, &str); 5] = [
    ("mobilenas-space", "space"),
    ("mobilenas-images", "search/images"),
    ("mobilenas-strategy", "search/strategy"),
    ("mobilenas-reports", "reports"),
    ("xtask", "xtask"),
];

/// The stages' names.
const STAGES: [&str; 3] = ["tests without libtorch", "tests with libtorch", "tests from end to end"];

/// A built test program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TestProgram {
    /// Its package's folder.
    package: PathBuf,
    /// Whether it is a file of the package's folder tests/, not a part of its library or program.
    integration: bool,
    /// The program.
    path: PathBuf,
}

/// What the tests came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
}

/// All tests.
pub fn all(setting: &Setting, filter: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    heading(start, "building the tests");
    let programs = build(&["--workspace"], Some(setting))?;
    let mut sum = Sum::default();
    for (stage, name) in STAGES.into_iter().enumerate() {
        heading(start, &format!("{}/{}: {name}", stage + 1, STAGES.len()));
        for program in programs.iter().filter(|program| program.stage() == stage) {
            sum.add(program.run(Some(setting), filter)?);
        }
        if stage == 1 {
            sum.add(examples(&["--workspace"], Some(setting), filter)?);
        }
    }
    Ok(close(start, sum))
}

/// Only the tests that need neither libtorch nor the data set, built without them.
pub fn pure(filter: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    heading(start, "building the tests without libtorch");
    let packages: Vec<_> = PURE.iter().flat_map(|(name, _)| ["--package", name]).collect();
    let mut sum = Sum::default();
    let programs = build(&packages, None)?;
    heading(start, STAGES[0]);
    for program in &programs {
        sum.add(program.run(None, filter)?);
    }
    sum.add(examples(&packages, None, filter)?);
    Ok(close(start, sum))
}

/// A heading, with the time since the start.
fn heading(start: Instant, text: &str) {
    println!("\n== {text} (after {:.1} s)", start.elapsed().as_secs_f64());
}

/// The last line, and the exit code.
fn close(start: Instant, sum: Sum) -> ExitCode {
    heading(start, "done");
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds the test programs of the selected packages.
fn build(selection: &[&str], setting: Option<&Setting>) -> Result<Vec<TestProgram>> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(selection);
    if let Some(setting) = setting {
        setting.apply(&mut command)?;
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cargo test does not start")?;
    let mut programs = Vec::new();
    for line in output(&mut child)?.lines() {
        let line = line.context("the output of cargo test cannot be read")?;
        if let Some(program) = test_program(&line) {
            programs.push(program);
        }
    }
    if !child.wait().context("cargo test is lost")?.success() {
        bail!("the tests could not be built; the reason is above");
    }
    if programs.is_empty() {
        bail!("cargo test --no-run built no test program; expected one for each package");
    }
    programs.sort_by(|a, b| (&a.package, a.integration, &a.path).cmp(&(&b.package, b.integration, &b.path)));
    Ok(programs)
}

/// The standard output of a child.
fn output(child: &mut Child) -> Result<BufReader<std::process::ChildStdout>> {
    child.stdout.take().map(BufReader::new).ok_or_else(|| anyhow!("a child process has no standard output"))
}

/// Reads cargo's message about a built test program; other messages are none.
fn test_program(line: &str) -> Option<TestProgram> {
    // The target has a field `test` too: whether it could be tested. The profile's says whether this is the test.
    let (_, profile) = line.split_once(r#""profile":{"#)?;
    let (profile, _) = profile.split_once('}')?;
    let is_test = line.contains(r#""reason":"compiler-artifact""#) && profile.contains(r#""test":true"#);
    let path = string_field(line, "executable").filter(|_| is_test)?;
    let manifest = PathBuf::from(string_field(line, "manifest_path")?);
    let integration = line.contains(r#""kind":["test"]"#);
    Some(TestProgram { package: manifest.parent()?.to_path_buf(), integration, path: path.into() })
}

/// The first field `name` of a JSON text that is a string.
fn string_field(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!(r#""{name}":""#))?;
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

impl TestProgram {
    /// The stage that it belongs to.
    fn stage(&self) -> usize {
        let pure = PURE.iter().any(|(_, folder)| self.package.ends_with(folder));
        let program = self.package.ends_with("search");
        match (pure, program && self.integration) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }

    /// Runs it, in its package's folder as cargo does.
    fn run(&self, setting: Option<&Setting>, filter: &[String]) -> Result<Sum> {
        println!("-- {}", self.title());
        let mut command = Command::new(&self.path);
        if let Some(setting) = setting {
            setting.apply(&mut command)?;
        }
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        counted(command.args(color()).args(filter))
    }

    /// Its name for people.
    fn title(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let program = name(&self.path);
        let kind = if self.integration { "tests" } else { "units" };
        format!("{} {kind}: {}", name(&self.package), program.rsplit_once('-').map_or(&*program, |(name, _)| name))
    }
}

/// Runs the examples in the documentation.
fn examples(selection: &[&str], setting: Option<&Setting>, filter: &[String]) -> Result<Sum> {
    println!("-- examples in the documentation");
    let mut command = cargo();
    command.args(["test", "--doc", "--no-fail-fast"]).args(selection).arg("--").args(color()).args(filter);
    if let Some(setting) = setting {
        setting.apply(&mut command)?;
    }
    counted(&mut command)
}

/// Tests write to a pipe here; whether they may use colours depends on where that goes.
fn color() -> &'static [&'static str] {
    if std::io::stdout().is_terminal() { &["--color=always"] } else { &[] }
}

/// Runs tests, shows their output and sums their results.
fn counted(command: &mut Command) -> Result<Sum> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?} does not start"))?;
    let mut from = output(&mut child)?;
    let mut out = std::io::stdout();
    let mut sum = Sum::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("the tests' output cannot be read")? > 0 {
        out.write_all(&line).and_then(|()| out.flush()).context("the tests' output cannot be shown")?;
        if let Some(result) = result_line(&String::from_utf8_lossy(&line)) {
            sum.add(result);
        }
        line.clear();
    }
    let status = child.wait().context("a test program is lost")?;
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
    }
}

/// Reads a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`, with or without colours.
fn result_line(line: &str) -> Option<Sum> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |what: &str| -> Option<u64> {
        let (before, _) = rest.split_once(what)?;
        before.rsplit([' ', ';']).next()?.parse().ok()
    };
    Some(Sum { passed: number(" passed;")?, failed: number(" failed;")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let sum = |passed, failed| Some(Sum { passed, failed });
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n";
        assert_eq!(result_line(line), sum(3, 0));
        assert_eq!(result_line("test result: FAILED. 120 passed; 14 failed; 0 ignored\n"), sum(120, 14));
        assert_eq!(result_line("test result: \u{1b}[32mok\u{1b}[m. 7 passed; 1 failed; 0 ignored"), sum(7, 1));
        assert_eq!(result_line("test a::b ... ok"), None);
        assert_eq!(result_line("test result: what?"), None);
    }

    fn message(kind: &str, folder: &str, test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"p","manifest_path":"/r/{folder}/Cargo.toml","target":{{"kind":["{kind}"],"name":"n","doctest":false,"test":true}},"profile":{{"opt_level":"3","test":{test}}},"features":[],"filenames":["/t/a"],"executable":{executable},"fresh":true}}"#
        )
    }

    #[test]
    fn test_programs_are_found_and_staged() {
        let read = |kind, folder, test| test_program(&message(kind, folder, test, r#""/t/deps/x-12ab""#));
        let stage = |kind, folder| read(kind, folder, true).map(|program| program.stage());
        assert_eq!(stage("lib", "space"), Some(0));
        assert_eq!(stage("test", "space"), Some(0));
        assert_eq!(stage("lib", "space/torch"), Some(1));
        assert_eq!(stage("test", "bench"), Some(1));
        assert_eq!(stage("bin", "search"), Some(1));
        assert_eq!(stage("test", "search"), Some(2));
        assert_eq!(read("lib", "space", true).map(|program| program.title()), Some("space units: x".to_owned()));
        assert_eq!(test_program(&message("lib", "space", true, "null")), None);
        assert_eq!(test_program(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn programs_that_are_no_tests_are_passed_over() {
        let line = message("bin", "search", false, r#""/t/mobilenas""#);
        assert_eq!(test_program(&line), None, "{line}");
    }

    #[test]
    fn escapes_in_names_are_undone() {
        assert_eq!(string_field(r#"{"a":"x\"y\\z"}"#, "a").as_deref(), Some(r#"x"y\z"#));
        assert_eq!(string_field(r#"{"a":null}"#, "a"), None);
    }
}
