//! The environment of every cargo command, always with identical values since libtorch's bindings are compiled anew
//! (minutes) when one changes; and the commands: build, run, clippy, format.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::onnx::{LIBRARY, Onnx, PYTHON};
use crate::places::Places;

/// Variables that would change how libtorch's bindings are built.
const FOREIGN: [&str; 6] = [
    "LIBTORCH_BYPASS_VERSION_CHECK",
    "LIBTORCH_INCLUDE",
    "LIBTORCH_LIB",
    "LIBTORCH_STATIC",
    "LIBTORCH_USE_PYTORCH",
    "TORCH_CUDA_VERSION",
];

/// What building and running needs to know.
#[derive(Debug, Clone)]
pub struct Setting {
    libtorch: PathBuf,
    data: Option<PathBuf>,
    onnx: Option<Onnx>,
}

impl Setting {
    /// From the libtorch folder and the folder that holds the data sets.
    pub fn new(libtorch: PathBuf, data: Option<PathBuf>) -> Self {
        Self { libtorch, data, onnx: None }
    }

    /// The same with ONNX Runtime.
    pub fn with_onnx(self, onnx: Onnx) -> Self {
        Self { onnx: Some(onnx), ..self }
    }

    /// ONNX Runtime, where it is there.
    pub fn onnx(&self) -> Option<&Onnx> {
        self.onnx.as_ref()
    }

    /// The libtorch folder.
    pub fn libtorch(&self) -> &Path {
        &self.libtorch
    }

    /// The folder with the data set's four files.
    pub fn data_set(&self) -> PathBuf {
        self.data.clone().unwrap_or_default().join(crate::data::NAME)
    }

    /// Gives a command the environment.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("LIBTORCH", &self.libtorch).env("LIBTORCH_CXX11_ABI", "1");
        command.env("LD_LIBRARY_PATH", self.library_path(std::env::var_os("LD_LIBRARY_PATH"))?);
        if let Some(data) = &self.data {
            command.env("MOBILENAS_DATA", data);
        }
        if let Some(onnx) = &self.onnx {
            command.env(LIBRARY, &onnx.library).env(PYTHON, &onnx.python);
        }
        Ok(())
    }

    /// LD_LIBRARY_PATH with libtorch's libraries first, and once.
    fn library_path(&self, before: Option<OsString>) -> Result<OsString> {
        let own = self.libtorch.join("lib");
        let others = before.unwrap_or_default();
        let others = std::env::split_paths(&others).filter(|path| *path != own && !path.as_os_str().is_empty());
        let all: Vec<_> = std::iter::once(own.clone()).chain(others).collect();
        std::env::join_paths(all)
            .with_context(|| format!("{} cannot stand in LD_LIBRARY_PATH", self.libtorch.display()))
    }

    /// The same environment as lines for a shell.
    pub fn shell_lines(&self) -> String {
        let mut lines: String = FOREIGN.iter().map(|name| format!("unset {name}\n")).collect();
        let libraries = quoted(&self.libtorch.join("lib"));
        lines += &format!("export LIBTORCH={}\n", quoted(&self.libtorch));
        lines += "export LIBTORCH_CXX11_ABI=1\n";
        lines += &format!("export LD_LIBRARY_PATH={libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n");
        if let Some(data) = &self.data {
            lines += &format!("export MOBILENAS_DATA={}\n", quoted(data));
        }
        if let Some(onnx) = &self.onnx {
            lines += &format!("export {LIBRARY}={}\n", quoted(&onnx.library));
            lines += &format!("export {PYTHON}={}\n", quoted(&onnx.python));
        }
        lines
    }
}

/// A path as a shell's word.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// A cargo command, free of the variables that the `cargo run` of this program has set.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command; it must succeed.
pub fn succeed(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what}: {command:?} does not start"))?;
    if !status.success() {
        bail!("{what} failed ({status}); the reason is above");
    }
    Ok(())
}

/// Builds the program. `--examples`, though there are none, makes cargo choose the dependencies' features as for the
/// tests, so that `test` after `run` compiles no dependency a second time.
pub fn build(places: &Places, setting: &Setting) -> Result<()> {
    let first = if program(places).exists() { "" } else { " (the first time takes minutes)" };
    eprintln!("building mobilenas{first}");
    let mut command = cargo();
    command.args(["build", "--workspace", "--bin", "mobilenas", "--examples"]);
    setting.apply(&mut command)?;
    succeed(&mut command, "cargo build")
}

/// The built program.
pub fn program(places: &Places) -> PathBuf {
    places.target.join("debug/mobilenas")
}

/// Becomes the program, so that signals and the exit code are the program's own.
pub fn run_program(places: &Places, setting: &Setting, args: &[String]) -> Result<ExitCode> {
    let program = program(places);
    let mut command = Command::new(&program);
    command.args(args);
    setting.apply(&mut command)?;
    eprintln!("running mobilenas {}", args.join(" "));
    let error = command.exec();
    Err(error).with_context(|| format!("{} was built but does not start", program.display()))
}

/// Checks the format.
pub fn format_check() -> Result<()> {
    eprintln!("checking the format");
    succeed(cargo().args(["fmt", "--all", "--check"]), "the format check (`cargo fmt --all` repairs it)")
}

/// Clippy on everything, warnings denied.
pub fn clippy(setting: &Setting) -> Result<()> {
    eprintln!("running clippy, warnings denied");
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    setting.apply(&mut command)?;
    succeed(&mut command, "clippy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_lines_are_quoted() {
        let onnx = Onnx { library: "/o n/lib.so".into(), python: "/python".into() };
        let lines = Setting::new("/a b/it's".into(), Some("/data".into())).with_onnx(onnx).shell_lines();
        assert!(lines.contains("export ORT_DYLIB_PATH='/o n/lib.so'\nexport MOBILENAS_ONNX_PYTHON='/python'\n"));
        assert!(lines.contains(r"export LIBTORCH='/a b/it'\''s'"), "{lines}");
        assert!(lines.contains(r"'/a b/it'\''s/lib'${LD_LIBRARY_PATH:+:"), "{lines}");
        assert!(lines.contains("export MOBILENAS_DATA='/data'\n"), "{lines}");
    }

    #[test]
    fn libtorch_comes_first_and_once() -> Result<()> {
        let setting = Setting::new("/torch".into(), None);
        assert_eq!(setting.library_path(None)?, "/torch/lib");
        assert_eq!(setting.library_path(Some("/x:/torch/lib:/y".into()))?, "/torch/lib:/x:/y");
        Ok(())
    }
}
