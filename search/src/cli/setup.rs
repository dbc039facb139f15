//! `mobilenas setup`: what the quickstart needs where the program was installed as a package: its config, and
//! Fashion-MNIST, taken out of Debian's package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use mobilenas_data::dataset::FILES;
use mobilenas_data::settings::DataConfig;
use mobilenas_host::errln;

use super::{Input, destination};

/// The config as the repository has it.
const CONFIG: &str = include_str!("../../../configs/quickstart.yaml");
/// Where it goes if nothing else is said.
const PLACE: &str = "configs/quickstart.yaml";
/// The package with the dataset, and the folder that it puts datasets into.
const PACKAGE: &str = "dataset-fashion-mnist";
const INSTALLED: &str = "usr/share/datasets/fashion-mnist";

/// Arguments of `setup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of Fashion-MNIST [default: fashion-mnist in the folder that MOBILENAS_DATA names]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the quickstart's config is written, unless a file is there
    #[arg(long, value_name = "FILE", default_value = PLACE)]
    config: PathBuf,
}

/// Writes the config and fetches the dataset; what is there stays.
///
/// # Errors
/// When a file cannot be written, or the dataset cannot be had.
pub fn run(args: &Args) -> Result<i32> {
    let config = &args.config;
    if config.exists() {
        errln!("config: {} is there", config.display());
    } else {
        if let Some(folder) = config.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| Input(format!("{}: {e}", folder.display())))?;
        }
        destination::write(config, CONFIG.as_bytes())?;
        errln!("config: {} is written", config.display());
    }
    let data = DataConfig { dir: args.data.clone(), ..DataConfig::default() };
    let place = data.folder();
    match data.load() {
        Ok(_) => errln!("Fashion-MNIST: {} is there", place.display()),
        Err(e) if place.exists() => bail!(Input(format!("{e}; expected Fashion-MNIST, or no such folder"))),
        Err(_) => {
            fetch(&place).with_context(|| missing(&place))?;
            errln!("Fashion-MNIST: {} is fetched", place.display());
        }
    }
    errln!("next: mobilenas search {}", config.display());
    Ok(0)
}

/// What to do by hand.
fn missing(place: &Path) -> String {
    let files = FILES.map(|name| format!("{name}.gz")).join(", ");
    format!("Fashion-MNIST could not be fetched; put {files} into {}, or install Debian's {PACKAGE}", place.display())
}

/// Fetches the package with apt-get, which needs no root and installs nothing, and reads what is in it before it comes into
/// place.
fn fetch(place: &Path) -> Result<()> {
    let parent = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot create the folder {}", parent.display()))?;
    let scratch = tempfile::Builder::new().prefix(".mobilenas-setup-").tempdir_in(parent)?;
    let at = scratch.path();
    errln!("fetching Fashion-MNIST with apt-get download {PACKAGE}: 31 MB");
    let installed = Path::new("/").join(INSTALLED);
    let from = if installed.is_dir() { installed } else { unpacked(at)? };
    let ready = at.join("ready");
    fs::create_dir(&ready)?;
    for file in FILES.map(|name| format!("{name}.gz")) {
        fs::copy(from.join(&file), ready.join(&file)).with_context(|| format!("{PACKAGE} has no {file}"))?;
    }
    DataConfig { dir: Some(ready.clone()), ..DataConfig::default() }.load()?;
    fs::rename(&ready, place).with_context(|| format!("cannot move the dataset to {}", place.display()))
}

/// The folder of the dataset in the unpacked package.
fn unpacked(at: &Path) -> Result<PathBuf> {
    if apt(at, &[], &["download", PACKAGE]).is_err() {
        // Lists of our own: the system's are not touched.
        let (lists, cache) = (at.join("lists"), at.join("cache"));
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(cache.join("archives/partial"))?;
        let own = [format!("Dir::State::Lists={}", lists.display()), format!("Dir::Cache={}", cache.display())];
        apt(at, &own, &["update"])?;
        apt(at, &own, &["download", PACKAGE])?;
    }
    let mut files = fs::read_dir(at)?.flatten().map(|entry| entry.path());
    let package = files.find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.ok_or_else(|| anyhow!("apt-get download {PACKAGE} left no package"))?;
    let folder = at.join("unpacked");
    succeed(Command::new("dpkg").arg("-x").arg(&package).arg(&folder), "dpkg")?;
    Ok(folder.join(INSTALLED))
}

fn apt(at: &Path, options: &[String], args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // As root, apt would drop to a user that may not write here.
    command.current_dir(at).args(["-q", "-o", "APT::Sandbox::User=root"]);
    command.args(options.iter().flat_map(|option| ["-o", option])).args(args);
    succeed(&mut command, "apt-get")
}

/// Runs a command; what it says goes to standard error.
fn succeed(command: &mut Command, name: &str) -> Result<()> {
    let ended = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = ended.with_context(|| format!("{name} does not start"))?;
    if !status.success() {
        bail!("{name} failed ({status}); its reason is above");
    }
    Ok(())
}
