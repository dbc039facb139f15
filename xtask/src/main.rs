//! `cargo xtask`: sets up what the program needs, builds it, runs it and tests it.
//!
//! Where to look:
//! - [`args`]: the command line, and the help text
//! - [`places`]: folders, and how a folder appears finished or not at all
//! - [`torch`]: libtorch, fetched ([`torch::fetch`]) or one that is already there ([`torch::existing`])
//! - [`data`]: the Fashion-MNIST data set
//! - [`onnx`]: ONNX Runtime, and the checker of ONNX files
//! - [`cargo`]: the environment every cargo command gets, and build, clippy, format
//! - [`install`]: the program for any shell
//! - [`tidy`]: checks of the code and the docs
//! - [`stages`]: the tests in stages, and their sum

mod args;
mod cargo;
mod data;
mod install;
mod onnx;
mod places;
mod stages;
mod tidy;
mod torch;

use std::process::ExitCode;

use anyhow::Result;
use args::{Args, Task};
use cargo::Setting;
use places::Places;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)).and_then(perform) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for.
fn perform(args: Args) -> Result<ExitCode> {
    if matches!(args.task, Task::Help) {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let places = Places::find()?;
    places.sweep();
    match args.task {
        Task::Help => Ok(ExitCode::SUCCESS),
        Task::Setup => {
            let setting = full_setting(&places, args.torch)?;
            eprintln!("libtorch: {}", setting.libtorch().display());
            if let Some(onnx) = setting.onnx() {
                eprintln!("ONNX Runtime: {}", onnx.library.display());
            }
            eprintln!("data set: {}", setting.data_set().display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Env => {
            print!("{}", running_setting(&places, args.torch)?.shell_lines());
            Ok(ExitCode::SUCCESS)
        }
        Task::Run(rest) => {
            let setting = running_setting(&places, args.torch)?;
            cargo::build(&places, &setting)?;
            cargo::run_program(&places, &setting, &rest)
        }
        Task::Install(prefix) => {
            let prefix = prefix.map_or_else(install::home_prefix, Ok)?;
            let setting = running_setting(&places, args.torch)?;
            cargo::build(&places, &setting)?;
            install::install(&places, &setting, &prefix)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { pure: true, filter } => stages::pure(&filter),
        Task::Test { pure: false, filter } => stages::all(&full_setting(&places, args.torch)?, &filter),
        Task::FormatCheck => cargo::format_check().map(|()| ExitCode::SUCCESS),
        Task::Clippy => cargo::clippy(&torch_setting(&places, args.torch)?).map(|()| ExitCode::SUCCESS),
        Task::Check => {
            cargo::format_check()?;
            cargo::clippy(&torch_setting(&places, args.torch)?)?;
            tidy(&places, args.torch)
        }
        Task::Tidy => tidy(&places, args.torch),
    }
}

/// Builds the program, asks it what it knows, and lists what is not tidy.
fn tidy(places: &Places, choice: torch::Choice) -> Result<ExitCode> {
    let setting = torch_setting(places, choice)?;
    cargo::build(places, &setting)?;
    let tree = tidy::Tree::read(&places::root())?;
    let mut program = std::process::Command::new(cargo::program(places));
    setting.apply(&mut program)?;
    let facts = tidy::Facts::ask(&mut program, &tidy::questions(&tree))?;
    let findings = tidy::check(&tree, &facts);
    findings.iter().for_each(|finding| println!("{finding}"));
    eprintln!("tidy: {} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// libtorch only: what compiling needs.
fn torch_setting(places: &Places, choice: torch::Choice) -> Result<Setting> {
    Ok(Setting::new(torch::locate(places, choice)?, None))
}

/// libtorch, the data set and ONNX Runtime: what setting up fetches and testing needs.
fn full_setting(places: &Places, choice: torch::Choice) -> Result<Setting> {
    let setting = Setting::new(torch::locate(places, choice)?, Some(data::locate(places)?));
    Ok(setting.with_onnx(onnx::locate(places)?))
}

/// The same for running, which does without ONNX Runtime where that cannot be had.
fn running_setting(places: &Places, choice: torch::Choice) -> Result<Setting> {
    let setting = Setting::new(torch::locate(places, choice)?, Some(data::locate(places)?));
    match onnx::locate(places) {
        Ok(onnx) => Ok(setting.with_onnx(onnx)),
        Err(error) => {
            eprintln!("warning: the engine onnxruntime will not be there: {error:#}");
            Ok(setting)
        }
    }
}
