//! `cargo xtask`: sets up what the program needs, builds it, runs it and tests it.
//!
//! Where to look:
//! - [`args`]: the command line, and the help text
//! - [`places`]: folders, and how a folder appears finished or not at all
//! - [`torch`]: libtorch, fetched ([`torch::fetch`]) or one that is already there ([`torch::existing`])
//! - [`data`]: the Fashion-MNIST data set
//! - [`onnx`]: ONNX Runtime, and the checker of ONNX files
//! - [`cargo`]: the environment every cargo command gets, and build, clippy, format
//! - [`stages`]: the tests in stages, and their sum

mod args;
mod cargo;
mod data;
mod onnx;
mod places;
mod stages;
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
        Task::Test { pure: true, filter } => stages::pure(&filter),
        Task::Test { pure: false, filter } => stages::all(&full_setting(&places, args.torch)?, &filter),
        Task::FormatCheck => cargo::format_check().map(|()| ExitCode::SUCCESS),
        Task::Clippy => cargo::clippy(&torch_setting(&places, args.torch)?).map(|()| ExitCode::SUCCESS),
        Task::Check => {
            cargo::format_check()?;
            cargo::clippy(&torch_setting(&places, args.torch)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
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
