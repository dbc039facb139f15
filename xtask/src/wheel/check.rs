//! The wheel in a fresh virtual environment, with nothing of this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::cargo::succeed;
use crate::pip::python_with_pip;
use crate::target::{Staging, TargetDir};

/// A short search with every phase.
const SEARCH: &str = include_str!("../../../search/tests/configs/tiny.yaml");
/// Variables that would lead the program back here.
const OURS: [&str; 7] = [
    "LIBTORCH",
    "LD_LIBRARY_PATH",
    "ORT_DYLIB_PATH",
    "MOBILENAS_DATA",
    "MOBILENAS_LIBTORCH",
    "MOBILENAS_LITERT",
    "MOBILENAS_OPENVINO",
];

/// Installs the wheel without torch, which must be told, and with it; then sets up, measures on all engines and searches.
pub fn check(wheel: &Path, target: &TargetDir) -> Result<()> {
    let python = python_with_pip()?;
    let staging = Staging::begin(&target.path.join("wheel-check"))?;
    let fresh = Fresh { folder: staging.tree() };
    succeed(Command::new(python).args(["-m", "venv"]).arg(&fresh.folder), "venv")?;
    fresh.pip(&["--no-deps", &wheel.display().to_string()])?;
    let told = String::from_utf8_lossy(&fresh.run(&["models"])?.stderr).into_owned();
    if !told.contains("found no package torch in this environment, expected torch") {
        bail!("without torch the program says {told:?}, expected what to install");
    }
    fresh.pip(&[&format!("{}[engines]", wheel.display())])?;
    fresh.must(&["setup"])?;
    fresh.must(&["check", "configs/quickstart.yaml"])?;
    let engines = ["--engines", "libtorch,onnxruntime,openvino,auto", "--out", "bench"];
    fresh.must(&[&["bench", "run", "--models", "mobilenetv3_small_100"][..], &engines].concat())?;
    fs::write(fresh.folder.join("search.yaml"), SEARCH)?;
    fresh.must(&["search", "search.yaml", "--out", "run"])?;
    for file in ["bench/bench.md", "run/report/index.html"] {
        if !fresh.folder.join(file).is_file() {
            bail!("{file} was not written");
        }
    }
    eprintln!("the wheel works in a fresh virtual environment");
    Ok(())
}

/// A virtual environment, which is also where the program works.
struct Fresh {
    folder: PathBuf,
}

impl Fresh {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        for name in OURS {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("XDG_DATA_HOME", self.folder.join("share"));
        command
    }

    fn pip(&self, args: &[&str]) -> Result<()> {
        let mut command = self.command("python");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(args);
        succeed(command.env("TMPDIR", &self.folder), "pip install")
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        self.command("mobilenas").args(args).output().context("mobilenas does not start")
    }

    fn must(&self, args: &[&str]) -> Result<()> {
        eprintln!("mobilenas {}", args.join(" "));
        succeed(self.command("mobilenas").args(args), "mobilenas")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::make_executable;
    use crate::wheel::STARTER;

    /// The starter in a folder of packages; what it says.
    fn start(folder: &Path, torch: Option<&str>) -> Result<String> {
        let package = folder.join("mobilenas");
        fs::create_dir_all(package.join("bin"))?;
        fs::write(package.join("__init__.py"), "")?;
        fs::write(package.join("__main__.py"), STARTER.replace("@TORCH@", "2.11.0"))?;
        let program = package.join("bin/mobilenas");
        fs::write(
            &program,
            "#!/bin/sh\necho \"$ORT_DYLIB_PATH|$MOBILENAS_OPENVINO|$MOBILENAS_DATA|$LD_LIBRARY_PATH|$*\"\n",
        )?;
        make_executable(&program)?;
        if let Some(version) = torch {
            let about = folder.join(format!("torch-{version}.dist-info"));
            fs::create_dir_all(&about)?;
            fs::write(about.join("METADATA"), format!("Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"))?;
            for file in ["torch/__init__.py", "torch/lib/libtorch_cpu.so", "onnxruntime/__init__.py"] {
                fs::create_dir_all(folder.join(file).parent().unwrap_or(folder))?;
                fs::write(folder.join(file), "raise ImportError")?;
            }
            fs::create_dir_all(folder.join("onnxruntime/capi"))?;
            fs::write(folder.join("onnxruntime/capi/libonnxruntime.so.1.32.0"), "")?;
        }
        // Without the packages of the Python itself, which may have a torch.
        let mut command = Command::new("python3");
        command.args(["-S", "-B", "-m", "mobilenas", "models", "a b"]).env("PYTHONPATH", folder);
        for name in OURS {
            command.env_remove(name);
        }
        let output = command.env("XDG_DATA_HOME", "/data").output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    #[test]
    fn the_starter_wants_its_torch_and_finds_the_engines() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-wheel-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let told = start(&folder, None)?;
        assert!(
            told.starts_with("error: found no package torch in this environment, expected torch 2.11.0: "),
            "{told}"
        );
        let told = start(&folder, Some("2.10.1"))?;
        assert!(told.starts_with("error: found torch 2.10.1 in this environment, expected torch 2.11.0: "), "{told}");
        fs::remove_dir_all(folder.join("torch-2.10.1.dist-info"))?;
        let told = start(&folder, Some("2.11.0+cpu"))?;
        let onnxruntime = folder.join("onnxruntime/capi/libonnxruntime.so.1.32.0");
        assert_eq!(told, format!("{}||/data/mobilenas/data||models a b\n", onnxruntime.display()));
        Ok(fs::remove_dir_all(&folder)?)
    }
}
