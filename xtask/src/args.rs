//! The command line: `cargo xtask [--torch WHICH] TASK [ARGUMENTS]`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::dist::Options;
use crate::test::Tests;
use crate::torch::Choice;

/// What `cargo xtask` without arguments prints.
pub const HELP: &str = "\
cargo xtask: sets up, builds, runs and tests mobilenas

Usage: cargo xtask [--torch WHICH] TASK [ARGUMENTS]

Tasks:
  run ARGUMENTS...    build the program, then run `mobilenas ARGUMENTS...`
                      e.g. cargo xtask run search configs/quickstart.yaml
  test [-- FILTER]    all tests; ends with a line `N passed, N failed, N skipped`.
                      Installs Chromium and LaTeX for the tests that need them
                      if it can (root, apt-get); without them those are skipped
  test --pure         only the tests of packages that need no libtorch
  test --all-networks tests of operations on all networks, not on some that
                      have every operation
  test --cluster      only the tests of workers and ranks over ssh, Slurm and MPI, on
                      servers that it starts here; installs them (root, apt-get)
  install [--prefix DIR]
                      put `mobilenas` where any shell finds it, with libtorch,
                      completions and manual pages; DIR is ~/.local by default
  dist [--tar] [--check]
                      a folder under target/dist with the program and its libraries,
                      for other machines; also packed; also started in an empty root
                      (needs bubblewrap)
  wheel [--check]     make a Python wheel of `mobilenas` in target/wheels; --check also
                      tries it in a fresh virtual environment (gigabytes: torch)
  setup               fetch libtorch, ONNX Runtime, OpenVINO, LiteRT and the dataset,
                      build nothing
  setup --phones      fetch the converters to Core ML, ExecuTorch and LiteRT, which
                      `mobilenas weights export` needs for these formats
  setup --data shapes compose the scenes of the quickstarts for detection and segmentation
                      in target/data/shapes
  env                 print the variables for a shell: eval \"$(cargo xtask env)\"
                      makes plain `cargo build` and `cargo test` work
  clippy              clippy on everything, warnings denied
  tidy                check what neither compiler nor clippy does: sizes, module
                      cycles, links and commands in the docs
  check               format, clippy, tidy
  help                this text

--torch WHICH (or the variable MOBILENAS_TORCH) says where libtorch comes from:
  auto, fetch         a copy fetched with pip and kept under target/ (the default)
  env                 the one that LIBTORCH points to
  python              the one of the Python package torch, as installed for python3
Each must be the version that the program is built for. It is 2.11.0.

ONNX Runtime, OpenVINO and LiteRT are fetched with pip and kept under target/;
the libraries that ORT_DYLIB_PATH, MOBILENAS_OPENVINO and MOBILENAS_LITERT name
are taken instead where these are set.

The dataset Fashion-MNIST is taken from $MOBILENAS_DATA/fashion-mnist, from
target/data/fashion-mnist or from /usr/share/datasets/fashion-mnist, or else
fetched with apt-get (no root needed) to target/data/fashion-mnist.
";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// Where libtorch comes from.
    pub torch: Choice,
    /// What to do.
    pub task: Task,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Print the help text.
    Help,
    /// Fetch what is missing.
    Setup {
        /// The phones' converters instead of what building and running needs.
        phones: bool,
    },
    /// Compose scenes for detection and segmentation.
    Scenes,
    /// Print the environment.
    Env,
    /// Build and run the program with these arguments.
    Run(Vec<String>),
    /// Run the tests.
    Test(Tests),
    /// Run the tests that need servers of ssh and Slurm.
    TestCluster,
    /// Make a folder for other machines.
    Dist(Options),
    /// Run clippy.
    Clippy,
    /// Install the program, under this folder where one is given.
    Install(Option<PathBuf>),
    /// Make a wheel of the program.
    Wheel {
        /// Try it in a fresh virtual environment.
        check: bool,
    },
    /// Check what the compiler and clippy do not.
    Tidy,
    /// Format, clippy and tidy.
    Check,
}

impl Args {
    /// Parses the arguments after `xtask`; MOBILENAS_TORCH is the default of `--torch`.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self> {
        Self::parse_with(args, std::env::var("MOBILENAS_TORCH").ok().as_deref())
    }

    fn parse_with(args: impl Iterator<Item = String>, default_torch: Option<&str>) -> Result<Self> {
        let mut args: Vec<String> = args.collect();
        let mut torch = match default_torch.filter(|value| !value.is_empty()) {
            Some(value) => value.parse().context("in the variable MOBILENAS_TORCH")?,
            None => Choice::Fetch,
        };
        take_torch(&mut args, &mut torch)?;
        if args.is_empty() {
            return Ok(Self { torch, task: Task::Help });
        }
        let name = args.remove(0);
        take_torch(&mut args, &mut torch)?;
        let task = match name.as_str() {
            "run" => return Ok(Self { torch, task: Task::Run(args) }),
            "test" => test_task(&mut args)?,
            "setup" if args == ["--data", "shapes"] => {
                args.clear();
                Task::Scenes
            }
            "setup" => Task::Setup { phones: take_flag(&mut args, "--phones") },
            "env" => Task::Env,
            "clippy" => Task::Clippy,
            "dist" => {
                Task::Dist(Options { tar: take_flag(&mut args, "--tar"), check: take_flag(&mut args, "--check") })
            }
            "install" => Task::Install(prefix(&mut args)?),
            "wheel" => Task::Wheel { check: take_flag(&mut args, "--check") },
            "tidy" => Task::Tidy,
            "check" => Task::Check,
            "help" | "--help" | "-h" => Task::Help,
            _ => bail!("there is no task `{name}`; `cargo xtask` lists them"),
        };
        match args.first() {
            Some(extra) => bail!("`cargo xtask {name}` takes no argument `{extra}`; `cargo xtask` lists what it takes"),
            None => Ok(Self { torch, task }),
        }
    }
}

/// Takes leading `--torch WHICH` and `--torch=WHICH` off.
fn take_torch(args: &mut Vec<String>, torch: &mut Choice) -> Result<()> {
    while let Some(first) = args.first() {
        if let Some(value) = first.strip_prefix("--torch=") {
            *torch = value.parse()?;
            args.remove(0);
        } else if first == "--torch" {
            *torch = args.get(1).context("--torch needs a value: auto, fetch, env or python")?.parse()?;
            args.drain(..2);
        } else {
            break;
        }
    }
    Ok(())
}

/// `install [--prefix DIR]`; takes what it knows off.
fn prefix(args: &mut Vec<String>) -> Result<Option<PathBuf>> {
    if args.first().is_none_or(|first| first != "--prefix") {
        return Ok(None);
    }
    args.remove(0);
    if args.is_empty() {
        bail!("--prefix needs a folder");
    }
    Ok(Some(args.remove(0).into()))
}

/// `test [--pure] [--all-networks] [-- FILTER...]` and `test --cluster`; takes what it knows off.
fn test_task(args: &mut Vec<String>) -> Result<Task> {
    if take_flag(args, "--cluster") {
        return Ok(Task::TestCluster);
    }
    let mut filter = match args.iter().position(|arg| arg == "--") {
        Some(at) => args.split_off(at),
        None => Vec::new(),
    };
    if !filter.is_empty() {
        filter.remove(0);
    }
    let (without_libtorch, all_networks) = (take_flag(args, "--pure"), take_flag(args, "--all-networks"));
    Ok(Task::Test(Tests { without_libtorch, all_networks, filter }))
}

/// Takes a flag off; says whether it was there.
fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let before = args.len();
    args.retain(|arg| arg != flag);
    args.len() < before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse_with(line.split_whitespace().map(str::to_owned), None)
    }

    fn strings(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn nothing_is_help() -> Result<()> {
        assert_eq!(parse("")?.task, Task::Help);
        assert!(HELP.contains(crate::torch::VERSION));
        Ok(())
    }

    #[test]
    fn arguments_of_run_go_through_untouched() -> Result<()> {
        let args = parse("--torch env run search a.yaml --torch x -- --pure")?;
        assert_eq!(args.torch, Choice::Env);
        assert_eq!(args.task, Task::Run(strings("search a.yaml --torch x -- --pure")));
        assert_eq!(parse("run --torch=python --help")?.torch, Choice::Python);
        Ok(())
    }

    #[test]
    fn test_takes_a_filter() -> Result<()> {
        let expected = Tests { without_libtorch: true, all_networks: false, filter: strings("name --exact") };
        assert_eq!(parse("test --pure -- name --exact")?.task, Task::Test(expected));
        assert_eq!(parse("test")?.task, Task::Test(Tests::default()));
        let expected = Tests { all_networks: true, ..Tests::default() };
        assert_eq!(parse("test --all-networks")?.task, Task::Test(expected));
        Ok(())
    }

    #[test]
    fn install_takes_a_prefix() -> Result<()> {
        assert_eq!(parse("install --prefix /usr")?.task, Task::Install(Some("/usr".into())));
        assert_eq!(parse("install")?.task, Task::Install(None));
        Ok(())
    }

    #[test]
    fn clusters_and_other_machines() -> Result<()> {
        assert_eq!(parse("test --cluster")?.task, Task::TestCluster);
        assert_eq!(parse("dist --check")?.task, Task::Dist(Options { tar: false, check: true }));
        assert_eq!(parse("dist --tar --check")?.task, Task::Dist(Options { tar: true, check: true }));
        assert!(parse("test --cluster name").is_err() && parse("dist --zip").is_err());
        Ok(())
    }

    #[test]
    fn setup_takes_phones_and_scenes() -> Result<()> {
        assert_eq!(parse("setup --phones")?.task, Task::Setup { phones: true });
        assert_eq!(parse("setup")?.task, Task::Setup { phones: false });
        assert_eq!(parse("setup --data shapes")?.task, Task::Scenes);
        assert!(parse("setup --data coco").is_err());
        Ok(())
    }

    #[test]
    fn wheel_takes_check() -> Result<()> {
        assert_eq!(parse("wheel --check")?.task, Task::Wheel { check: true });
        assert_eq!(parse("wheel")?.task, Task::Wheel { check: false });
        Ok(())
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("tset", "no task `tset`"),
            ("setup now", "takes no argument `now`"),
            ("test name", "takes no argument `name`"),
            ("--torch conda run", "`conda`"),
            ("--torch", "needs a value"),
            ("install /usr", "takes no argument `/usr`"),
            ("install --prefix", "needs a folder"),
        ] {
            let message = parse(line).map_or_else(|error| format!("{error:#}"), |args| format!("{args:?}"));
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn the_variable_is_the_default() -> Result<()> {
        let with = |line: &str| Args::parse_with(strings(line).into_iter(), Some("env"));
        assert_eq!(with("setup")?.torch, Choice::Env);
        assert_eq!(with("--torch fetch setup")?.torch, Choice::Fetch);
        assert!(Args::parse_with(strings("setup").into_iter(), Some("x")).is_err());
        Ok(())
    }
}
