//! The dataset Fashion-MNIST: four gzip files, found in a folder or taken from Debian's package.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::cargo::Environment;
use crate::target::{Staging, TargetDir};

/// The folder's name in the folder of datasets.
pub const NAME: &str = "fashion-mnist";
/// The package that holds it.
const PACKAGE: &str = "dataset-fashion-mnist";
/// Where the package puts datasets.
const SYSTEM: &str = "/usr/share/datasets";
/// The files, and their sizes when decompressed.
const FILES: [(&str, u32); 4] = [
    ("train-images-idx3-ubyte.gz", 47_040_016),
    ("train-labels-idx1-ubyte.gz", 60_008),
    ("t10k-images-idx3-ubyte.gz", 7_840_016),
    ("t10k-labels-idx1-ubyte.gz", 10_008),
];

/// The folder that holds the datasets; Fashion-MNIST is fetched when it is nowhere. A folder of that name whose files
/// are not right is an error where the user made it, and is replaced where this program did.
pub fn locate(target: &TargetDir) -> Result<PathBuf> {
    let fetched = target.data();
    let named = std::env::var_os("MOBILENAS_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = named {
        let named =
            std::path::absolute(&named).with_context(|| format!("MOBILENAS_DATA={} is not a path", named.display()))?;
        if named.join(NAME).exists() && named != fetched {
            check(&named.join(NAME)).context("in the folder that MOBILENAS_DATA names")?;
            return Ok(named);
        }
        if named != fetched {
            eprintln!("note: MOBILENAS_DATA={} has no folder {NAME}; looking elsewhere", named.display());
        }
    }
    for folder in [fetched.clone(), PathBuf::from(SYSTEM)] {
        if check(&folder.join(NAME)).is_ok() {
            return Ok(folder);
        }
    }
    let place = fetched.join(NAME);
    fetch(&place).with_context(|| missing(&place))?;
    Ok(fetched)
}

/// Has the program compose scenes of the dataset's images, unless they are there.
pub fn scenes(program: &Path, environment: &Environment, target: &TargetDir) -> Result<ExitCode> {
    let place = target.data().join("shapes");
    if !place.exists() {
        // Whole, or under another name.
        let part = target.data().join("shapes.part");
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("{} cannot be removed", part.display()))?;
        }
        let mut command = Command::new(program);
        environment.apply(command.args(["data", "shapes", "--out"]).arg(&part))?;
        if !command.status().context("the program does not start")?.success() {
            bail!("the scenes could not be composed; the reason is above");
        }
        fs::rename(&part, &place).with_context(|| format!("{} cannot be made", place.display()))?;
    }
    eprintln!("scenes: {}", place.display());
    Ok(ExitCode::SUCCESS)
}

/// What to say when the dataset cannot be had.
fn missing(place: &Path) -> String {
    let names: Vec<_> = FILES.iter().map(|(name, _)| format!("  {name}\n")).collect();
    format!(
        "the dataset Fashion-MNIST is missing. It is these four files:\n{}Put them into {}, or into a folder {NAME} \
         of another folder and set MOBILENAS_DATA to that one, or install Debian's package {PACKAGE}. They could not \
         be fetched",
        names.concat(),
        place.display()
    )
}

/// Checks the four files; quick.
fn check(folder: &Path) -> Result<()> {
    for (name, size) in FILES {
        let file = folder.join(name);
        check_file(&file, size).with_context(|| format!("{} is no file of Fashion-MNIST", file.display()))?;
    }
    Ok(())
}

/// Checks that a file is gzip's and ends with the right decompressed size.
fn check_file(file: &Path, size: u32) -> Result<()> {
    let mut file = File::open(file).context("it cannot be opened")?;
    let mut magic = [0; 2];
    file.read_exact(&mut magic).context("it is too short")?;
    if magic != [0x1f, 0x8b] {
        bail!("it does not begin as a gzip file does (1f 8b) but with {magic:02x?}");
    }
    let mut end = [0; 4];
    file.seek(SeekFrom::End(-4)).context("it is too short")?;
    file.read_exact(&mut end).context("it is too short")?;
    let found = u32::from_le_bytes(end);
    if found != size {
        bail!("it says to hold {found} bytes, expected {size}: it is cut short or another file");
    }
    Ok(())
}

/// Images of the excerpt for tests, to train on and to test on.
const EXCERPT: [u32; 2] = [8_000, 2_000];

/// A folder with the first images of a dataset that [`locate`] found, not compressed: each program that tests start
/// reads it anew.
pub fn excerpt(target: &TargetDir, folder: &Path) -> Result<PathBuf> {
    let (from, to) = (folder.join(NAME), target.path.join("data-excerpt"));
    let place = to.join(NAME);
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    for (i, (name, _)) in FILES.iter().enumerate() {
        let file = place.join(name.trim_end_matches(".gz"));
        // Labels have a header of 8 bytes and one byte each, images one of 16 and 28 x 28.
        let (head, each) = if name.contains("labels") { (8, 1) } else { (16, 28 * 28) };
        let count = EXCERPT[i / 2];
        let size = head + count as usize * each;
        if fs::metadata(&file).is_ok_and(|found| found.len() == size as u64) {
            continue;
        }
        let gzip = Command::new("gzip").arg("-dc").arg(from.join(name)).stdout(Stdio::piped()).spawn();
        let mut gzip = gzip.context("gzip, which tests need to read the dataset, does not start")?;
        let mut bytes = vec![0; size];
        let read = gzip.stdout.take().map(|mut out| out.read_exact(&mut bytes));
        // It has more to say than is read.
        let _ = gzip.kill();
        gzip.wait()?;
        read.transpose()?.with_context(|| format!("{} cannot be decompressed", from.join(name).display()))?;
        bytes[4..8].copy_from_slice(&count.to_be_bytes());
        let partial = file.with_extension("partial");
        fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &file))?;
    }
    Ok(to)
}

/// Fetches the package with apt-get and unpacks it beside `place`; needs no root and installs nothing.
fn fetch(place: &Path) -> Result<()> {
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!("there is no apt-get here");
    }
    let staging = Staging::begin(place)?;
    eprintln!("fetching Fashion-MNIST with apt-get download {PACKAGE}: 31 MB once, kept in {}", place.display());
    let scratch = staging.scratch();
    let package = match download(&scratch, &[]) {
        Ok(package) => package,
        Err(first) => {
            eprintln!("{first:#}; updating the package lists (a copy, the system's are not touched)");
            let lists = own_lists(&scratch)?;
            apt(&scratch, &lists, &["update"])?;
            download(&scratch, &lists)?
        }
    };
    let unpacked = scratch.join("unpacked");
    let status = Command::new("dpkg").arg("-x").args([&package, &unpacked]).stdin(Stdio::null()).status();
    if !status.context("dpkg does not start")?.success() {
        bail!("dpkg -x could not unpack {}", package.display());
    }
    let folder = unpacked.join(SYSTEM.trim_start_matches('/')).join(NAME);
    for (name, _) in FILES {
        let from = folder.join(name);
        fs::rename(&from, staging.tree().join(name))
            .with_context(|| format!("the package {PACKAGE} does not hold {SYSTEM}/{NAME}/{name}"))?;
    }
    check(&staging.tree())?;
    decompress_all(&staging.tree())?;
    staging.finish(|place| check(place).is_ok())?;
    eprintln!("Fashion-MNIST is in {}", place.display());
    Ok(())
}

/// Options that give apt lists of its own under `scratch`.
fn own_lists(scratch: &Path) -> Result<Vec<String>> {
    let mut options = Vec::new();
    for (option, name) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let folder = scratch.join(name);
        let parts = if name == "cache" { "archives/partial" } else { "partial" };
        fs::create_dir_all(folder.join(parts)).with_context(|| format!("cannot create {}", folder.display()))?;
        options.extend(["-o".to_owned(), format!("{option}={}", folder.display())]);
    }
    Ok(options)
}

/// Downloads the package into `scratch`.
fn download(scratch: &Path, options: &[String]) -> Result<PathBuf> {
    apt(scratch, options, &["download", PACKAGE])?;
    let entries = fs::read_dir(scratch).with_context(|| format!("cannot read {}", scratch.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| anyhow!("apt-get download {PACKAGE} left no package in {}", scratch.display()))
}

/// Runs apt-get in `scratch`.
fn apt(scratch: &Path, options: &[String], args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // As root, apt would drop to a user that may not write here.
    command.current_dir(scratch).args(["-q", "-o", "APT::Sandbox::User=root"]).args(options).args(args);
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.context("apt-get does not start")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", args.join(" "));
    }
    Ok(())
}

/// Decompresses every file to nowhere, which compares gzip's checksums.
fn decompress_all(folder: &Path) -> Result<()> {
    for (name, _) in FILES {
        let status = Command::new("gzip").arg("--test").arg(folder.join(name)).status();
        if !status.context("gzip does not start")?.success() {
            bail!("{name} of the package {PACKAGE} is damaged: gzip --test fails");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_checked() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-data-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let message = || check(&folder).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(message().contains("train-images-idx3-ubyte.gz is no file of Fashion-MNIST: it cannot be opened"));
        let write = |name: &str, size: u32| {
            fs::write(folder.join(name), [&[0x1f, 0x8b, 0, 0][..], &size.to_le_bytes()].concat())
        };
        for (name, size) in FILES {
            write(name, size)?;
        }
        check(&folder)?;
        write("t10k-labels-idx1-ubyte.gz", 7)?;
        assert!(message().contains("says to hold 7 bytes, expected 10008"), "{}", message());
        fs::write(folder.join("t10k-labels-idx1-ubyte.gz"), "<html>")?;
        assert!(message().contains("does not begin as a gzip file"), "{}", message());
        Ok(fs::remove_dir_all(&folder)?)
    }

    #[test]
    fn the_message_names_all_files_and_the_place() {
        let text = missing(Path::new("/there"));
        assert!(FILES.iter().all(|(name, _)| text.contains(name)) && text.contains("/there"), "{text}");
    }
}
