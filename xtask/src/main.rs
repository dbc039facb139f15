//! `cargo xtask`: sets up what the program needs, builds, installs, runs and tests it.
//!
//! Where to look:
//! - [`args`]: the command line, and the help text
//! - [`target`]: the target folder, and how a folder in it appears finished or not at all
//! - [`torch`]: libtorch, fetched, or one that is already there
//! - [`data`]: the Fashion-MNIST dataset
//! - [`onnx`]: ONNX Runtime, and the checker of ONNX files
//! - [`runtimes`]: OpenVINO and LiteRT, which networks run on
//! - [`phones`]: the converters to the runtimes of phones
//! - [`pip`], [`tools`]: what fetches packages of Python and of Debian
//! - [`cargo`]: the environment of every cargo command, and build, clippy, format
//! - [`install`]: the program for any shell
//! - [`dist`]: the program for other machines
//! - [`wheel`]: the program as a Python wheel
//! - [`test`]: all tests, and their sum
//! - [`tidy`]: checks of the code and the docs

mod args;
mod cargo;
mod data;
mod dist;
mod install;
mod onnx;
mod phones;
mod pip;
mod runtimes;
mod scratch;
mod target;
mod test;
mod test_programs;
mod tidy;
mod tools;
mod torch;
mod wheel;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use args::{Args, Task};
use cargo::Environment;
use target::TargetDir;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)).and_then(perform) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The environment with an excerpt of its data.
fn excerpt(environment: Environment, target: &TargetDir) -> Result<Environment> {
    let whole_data = environment.data;
    let data = whole_data.as_deref().map(|whole| data::excerpt(target, whole)).transpose()?;
    Ok(Environment { data, whole_data, ..environment })
}

/// Does what was asked for.
fn perform(args: Args) -> Result<ExitCode> {
    if matches!(args.task, Task::Help) {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let target = TargetDir::find()?;
    target.sweep();
    let compiling = || -> Result<Environment> {
        Ok(Environment { libtorch: Some(torch::locate(&target, args.torch)?), ..Environment::default() })
    };
    let running = || -> Result<Environment> {
        let (data, phones) = (Some(data::locate(&target)?), phones::existing(&target));
        let mut environment = Environment { data, phones, ..compiling()? };
        match onnx::locate(&target) {
            Ok(onnx) => environment.onnx = Some(onnx),
            Err(error) => eprintln!("warning: the engine onnxruntime will not be there: {error:#}"),
        }
        for runtime in runtimes::RUNTIMES {
            match runtime.locate(&target) {
                Ok(library) => environment.runtimes.push((runtime, library)),
                Err(error) => eprintln!("warning: the engine {} will not be there: {error:#}", runtime.engine),
            }
        }
        Ok(environment)
    };
    // The tests need ONNX Runtime, and an excerpt of the data.
    let testing = || -> Result<Environment> {
        let environment = Environment { onnx: Some(onnx::locate(&target)?), ..running()? };
        excerpt(environment, &target)
    };
    match args.task {
        Task::Help => (),
        Task::Setup { phones: true } => eprintln!("converters: {}", phones::locate(&target)?.display()),
        Task::Setup { phones: false } => {
            let Environment { libtorch, data, onnx, runtimes, .. } = testing()?;
            let onnx = onnx.map(|onnx| onnx.library);
            for (name, place) in [("libtorch", libtorch), ("ONNX Runtime", onnx), ("datasets", data)] {
                eprintln!("{name}: {}", place.context("nothing was fetched")?.display());
            }
            runtimes.iter().for_each(|(runtime, library)| eprintln!("{}: {}", runtime.title, library.display()));
        }
        Task::Scenes => {
            let environment = running()?;
            return data::scenes(&cargo::build(&target, &environment)?, &environment, &target);
        }
        Task::Env => print!("{}", running()?.shell_lines()),
        Task::Run(rest) => {
            let environment = running()?;
            return cargo::run(&cargo::build(&target, &environment)?, &environment, &rest);
        }
        Task::Install(prefix) => {
            let prefix = prefix.map_or_else(install::home_prefix, Ok)?;
            let environment = running()?;
            install::install(&cargo::build(&target, &environment)?, &target, &environment, &prefix)?;
        }
        Task::Dist(options) => {
            let environment = compiling()?;
            dist::dist(&cargo::build(&target, &environment)?, &target, &environment, options)?;
        }
        Task::TestCluster => return test::cluster(&testing()?),
        Task::Wheel { check } => {
            let wheel = wheel::wheel(&cargo::build(&target, &compiling()?)?, &target)?;
            if check {
                wheel::check(&wheel, &target)?;
            }
        }
        Task::Test(tests) if tests.without_libtorch => {
            let environment = Environment { data: Some(data::locate(&target)?), ..Environment::default() };
            let environment = excerpt(environment, &target)?;
            return test::test(&environment, &tests);
        }
        Task::Test(tests) => return test::test(&testing()?, &tests),
        Task::Clippy => cargo::clippy(&compiling()?)?,
        Task::Tidy => return tidy(&target, &compiling()?),
        Task::Check => {
            cargo::format_check()?;
            let environment = compiling()?;
            cargo::clippy(&environment)?;
            return tidy(&target, &environment);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the program, asks it what it knows, and lists what is not tidy.
fn tidy(target: &TargetDir, environment: &Environment) -> Result<ExitCode> {
    let mut program = std::process::Command::new(cargo::build(target, environment)?);
    environment.apply(&mut program)?;
    let tree = tidy::Tree::read(&target::root())?;
    let facts = tidy::Facts::ask(&mut program, &tidy::questions(&tree))?;
    let findings = tidy::check(&tree, &facts);
    findings.iter().for_each(|finding| println!("{finding}"));
    eprintln!("tidy: {} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
