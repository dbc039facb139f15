//! A libtorch of our own: the Python package torch and the two libraries it is linked with, downloaded by pip, of
//! which only what a C++ program needs is unpacked. It lies in target/libtorch-VERSION, which is renamed into place
//! when all is there; its stamp says what it holds.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::existing::interpreters;
use super::{VERSION, by_hand, check, write};
use crate::places::{Partial, Places};

/// The stamp's name.
const STAMP: &str = "complete.txt";
/// Raised when what is kept or changed of the packages changes, so that older copies are replaced.
const LAYOUT: u32 = 1;
/// Unpacks the wheels and compares every file with the checksum that its wheel gives.
const UNPACK: &str = include_str!("unpack.py");
/// Stands in for libtorch.so, an empty library that would want CUDA's libraries at run time: a linker script.
const LINKER_SCRIPT: &str = "/* GNU ld script: everything is in libtorch_cpu.so */\nINPUT ( -ltorch_cpu )\n";

/// The folder of our copy; it is fetched when it is not there.
pub fn locate(places: &Places) -> Result<PathBuf> {
    let place = places.target.join(format!("libtorch-{VERSION}"));
    let libtorch = place.join("torch");
    if !finished(&place) {
        fetch(&place).with_context(|| format!("libtorch {VERSION} could not be fetched to {}", place.display()))?;
    }
    Ok(libtorch)
}

/// The stamp's first line.
fn headline() -> String {
    format!("libtorch {VERSION}, layout {LAYOUT}")
}

/// Whether a copy is complete; quick.
fn finished(place: &Path) -> bool {
    let stamp = fs::read_to_string(place.join(STAMP)).unwrap_or_default();
    stamp.lines().next() == Some(&headline()) && place.join("torch/lib/libtorch_cpu.so").is_file()
}

/// Downloads, unpacks, checks, and moves into place.
fn fetch(place: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("fetching is only known for Linux on x86_64. Bring a libtorch:\n{}", by_hand());
    }
    let python = python_with_pip()?;
    let partial = Partial::begin(place)?;
    eprintln!("fetching libtorch {VERSION} with {python} -m pip: 540 MB once, kept in {}", place.display());
    download(python, &partial.scratch())?;
    eprintln!("unpacking libtorch and comparing its checksums");
    unpack(python, &partial)?;
    let libtorch = partial.tree().join("torch");
    write(&libtorch.join("lib/libtorch.so"), LINKER_SCRIPT)?;
    check(&libtorch, "the download")?;
    let (version, _) = super::version_in(&libtorch)?;
    write(&libtorch.join("build-version"), &format!("{version}\n"))?;
    write(&partial.tree().join(STAMP), &stamp(&partial.scratch())?)?;
    partial.finish(finished)?;
    eprintln!("libtorch {version} is in {}", place.display());
    Ok(())
}

/// The first interpreter that has pip.
pub fn python_with_pip() -> Result<&'static str> {
    let mut tried = Vec::new();
    for python in interpreters() {
        let result = Command::new(python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
        match result {
            Ok(output) if output.status.success() => return Ok(python),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                tried.push(format!("{python}: has no pip ({})", said.lines().last().unwrap_or("it does not start")));
            }
            Err(error) => tried.push(format!("{python}: {error}")),
        }
    }
    bail!(
        "no Python with pip is found, which downloads packages:\n  {}\nInstall both (on Debian: apt-get install \
         python3-pip), or bring a libtorch:\n{}",
        tried.join("\n  "),
        by_hand()
    )
}

/// Downloads the wheels into `scratch`; pip's own temporary files go there too. Which Python they are for does not
/// matter, as only the C++ part is used, so one is named that has wheels.
fn download(python: &str, scratch: &Path) -> Result<()> {
    let torch = format!("torch=={VERSION}");
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    command.args(["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"]);
    for platform in ["manylinux_2_28", "manylinux_2_25", "manylinux_2_17", "manylinux2014"] {
        command.args(["--platform", &format!("{platform}_x86_64")]);
    }
    command.arg("--dest").arg(scratch).args([&torch, "nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"]);
    command.env("TMPDIR", scratch).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().with_context(|| format!("{python} does not start"))?;
    if !status.success() {
        bail!(
            "pip could not download {torch} ({status}); its reason is above: no network, no such package where pip \
             looks, or no space in {}. Or bring a libtorch:\n{}",
            scratch.display(),
            by_hand()
        );
    }
    Ok(())
}

/// The wheels in `scratch`, in order.
fn wheels(scratch: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(scratch).with_context(|| format!("cannot read {}", scratch.display()))?;
    let mut wheels: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.retain(|path| path.extension() == Some(OsStr::new("whl")));
    wheels.sort();
    Ok(wheels)
}

/// Unpacks what is needed of the wheels.
fn unpack(python: &str, partial: &Partial) -> Result<()> {
    let wheels = wheels(&partial.scratch())?;
    let mut command = Command::new(python);
    command.args(["-c", UNPACK]).arg(partial.tree()).args(wheels).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().with_context(|| format!("{python} does not start"))?;
    if !status.success() {
        bail!("the downloaded wheels could not be unpacked ({status}); the reason is above");
    }
    Ok(())
}

/// The stamp's text: what the copy is made of.
fn stamp(scratch: &Path) -> Result<String> {
    let mut text = headline() + "\n";
    for wheel in wheels(scratch)? {
        text.push_str(&wheel.file_name().unwrap_or_default().to_string_lossy());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamped_copy_with_libraries_is_finished() -> Result<()> {
        let place = std::env::temp_dir().join(format!("xtask-test-fetch-{}", std::process::id()));
        fs::create_dir_all(place.join("torch/lib"))?;
        assert!(!finished(&place));
        fs::write(place.join("torch/lib/libtorch_cpu.so"), "x")?;
        assert!(!finished(&place));
        fs::write(place.join(STAMP), "libtorch 2.11.0, layout 0\n")?;
        assert!(!finished(&place));
        fs::write(place.join(STAMP), stamp(&place)?)?;
        assert!(finished(&place));
        fs::remove_file(place.join("torch/lib/libtorch_cpu.so"))?;
        assert!(!finished(&place));
        Ok(fs::remove_dir_all(&place)?)
    }
}
