//! A libtorch of our own: the Python package torch and the two libraries it is linked with, downloaded by pip, of
//! which only what a C++ program needs is unpacked into target/libtorch-VERSION.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::check::{VERSION, by_hand, check, version_in};
use crate::pip::{pip, python_with_pip, stamp, stamped, write};
use crate::target::{Staging, TargetDir};

/// Raised when what is kept or changed of the packages changes, so that older copies are replaced.
const LAYOUT: u32 = 1;
/// Unpacks the wheels and compares every file with the checksum that its wheel gives.
const UNPACK: &str = include_str!("unpack.py");
/// Stands in for libtorch.so, an empty library that would want CUDA's libraries at run time: a linker script.
const LINKER_SCRIPT: &str = "/* GNU ld script: everything is in libtorch_cpu.so */\nINPUT ( -ltorch_cpu )\n";

/// The folder of our copy; it is fetched when it is not there.
pub fn locate(target: &TargetDir) -> Result<PathBuf> {
    let place = target.path.join(format!("libtorch-{VERSION}"));
    if !finished(&place) {
        fetch(&place).with_context(|| {
            format!("libtorch {VERSION} could not be fetched to {}. Or bring one:\n{}", place.display(), by_hand())
        })?;
    }
    Ok(place.join("torch"))
}

/// The stamp's first line.
fn headline() -> String {
    format!("libtorch {VERSION}, layout {LAYOUT}")
}

fn finished(place: &Path) -> bool {
    stamped(place, &headline(), &[Path::new("torch/lib/libtorch_cpu.so")])
}

/// Downloads, unpacks, checks, and moves into place.
fn fetch(place: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("fetching is only known for Linux on x86_64");
    }
    let python = python_with_pip()?;
    let staging = Staging::begin(place)?;
    eprintln!("fetching libtorch {VERSION} with {python} -m pip: 540 MB once, kept in {}", place.display());
    let wheels = download(python, &staging.scratch())?;
    eprintln!("unpacking libtorch and comparing its checksums");
    let mut command = Command::new(python);
    command.args(["-c", UNPACK]).arg(staging.tree()).args(&wheels).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().with_context(|| format!("{python} does not start"))?;
    if !status.success() {
        bail!("the downloaded wheels could not be unpacked ({status}); the reason is above");
    }
    let libtorch = staging.tree().join("torch");
    write(&libtorch.join("lib/libtorch.so"), LINKER_SCRIPT)?;
    check(&libtorch, "the download")?;
    let (version, _) = version_in(&libtorch)?;
    write(&libtorch.join("build-version"), &format!("{version}\n"))?;
    let made_of = wheels.iter().map(|wheel| format!("{}\n", wheel.file_name().unwrap_or_default().display()));
    stamp(&staging.tree(), &headline(), &made_of.collect::<String>())?;
    staging.finish(finished)?;
    eprintln!("libtorch {version} is in {}", place.display());
    Ok(())
}

/// Downloads the wheels into `scratch`. Which Python they are for does not matter, as only the C++ part is used, so one
/// is named that has wheels.
fn download(python: &str, scratch: &Path) -> Result<Vec<PathBuf>> {
    let torch = format!("torch=={VERSION}");
    let folder = scratch.to_str().with_context(|| format!("{} is not UTF-8", scratch.display()))?;
    let mut args = vec!["--no-deps", "--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"];
    for platform in ["manylinux_2_28_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    {
        args.extend(["--platform", platform]);
    }
    args.extend(["--dest", folder]);
    let packages = [&torch, "nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"];
    pip(python, "download", scratch, &args, &packages)?;
    let entries = fs::read_dir(scratch).with_context(|| format!("cannot read {}", scratch.display()))?;
    let mut wheels: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.retain(|path| path.extension() == Some(OsStr::new("whl")));
    wheels.sort();
    Ok(wheels)
}
