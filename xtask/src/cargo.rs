//! The environment of every cargo command, always with identical values since libtorch's bindings are compiled anew
//! (minutes) when one changes; and the commands: build, run, clippy, format.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::onnx::{LIBRARY, Onnx, PYTHON};
use crate::phones;
use crate::runtimes::Runtime;
use crate::target::TargetDir;

/// Variables that would change how libtorch's bindings are built.
const FOREIGN: [&str; 6] = [
    "LIBTORCH_BYPASS_VERSION_CHECK",
    "LIBTORCH_INCLUDE",
    "LIBTORCH_LIB",
    "LIBTORCH_STATIC",
    "LIBTORCH_USE_PYTORCH",
    "TORCH_CUDA_VERSION",
];

/// What building and running needs; what is missing here is not needed.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The libtorch folder.
    pub libtorch: Option<PathBuf>,
    /// The folder that holds the datasets.
    pub data: Option<PathBuf>,
    /// The same with the whole datasets, where `data` has an excerpt.
    pub whole_data: Option<PathBuf>,
    /// ONNX Runtime and the checker.
    pub onnx: Option<Onnx>,
    /// Other runtimes, and the library of each.
    pub runtimes: Vec<(Runtime, PathBuf)>,
    /// A Python with the phones' converters.
    pub phones: Option<PathBuf>,
}

impl Environment {
    /// Gives a command the environment.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        let Some(libtorch) = &self.libtorch else {
            command.envs(self.variables());
            return Ok(());
        };
        for name in FOREIGN {
            command.env_remove(name);
        }
        let before = std::env::var_os("LD_LIBRARY_PATH");
        command.envs(self.variables()).env("LD_LIBRARY_PATH", library_path(&libtorch.join("lib"), before)?);
        Ok(())
    }

    /// The variables, but for LD_LIBRARY_PATH.
    fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut all = Vec::new();
        if let Some(libtorch) = &self.libtorch {
            all.extend([("LIBTORCH", libtorch.clone()), ("LIBTORCH_CXX11_ABI", "1".into())]);
        }
        all.extend(self.data.iter().map(|data| ("MOBILENAS_DATA", data.clone())));
        all.extend(self.whole_data.iter().map(|data| ("MOBILENAS_DATA_WHOLE", data.clone())));
        all.extend(self.runtimes.iter().map(|(runtime, library)| (runtime.variable, library.clone())));
        let onnx = self.onnx.iter();
        all.extend(self.phones.iter().map(|python| (phones::PYTHON, python.clone())));
        all.extend(onnx.flat_map(|onnx| [(LIBRARY, onnx.library.clone()), (PYTHON, onnx.python.clone())]));
        all
    }

    /// A variable as commands see it.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.variables().into_iter().find(|(own, _)| *own == name);
        own.map(|(_, value)| value.into_os_string()).or_else(|| std::env::var_os(name))
    }

    /// The same environment as lines for a shell.
    pub fn shell_lines(&self) -> String {
        let mut lines: String = FOREIGN.iter().map(|name| format!("unset {name}\n")).collect();
        lines.extend(self.variables().iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))));
        if let Some(libtorch) = &self.libtorch {
            let own = quoted(&libtorch.join("lib"));
            lines += &format!("export LD_LIBRARY_PATH={own}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n");
        }
        lines
    }
}

/// LD_LIBRARY_PATH with a folder first, and once.
fn library_path(own: &Path, before: Option<OsString>) -> Result<OsString> {
    let others = before.unwrap_or_default();
    let others = std::env::split_paths(&others).filter(|path| path != own && !path.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(own.to_owned()).chain(others))
        .with_context(|| format!("{} cannot stand in LD_LIBRARY_PATH", own.display()))
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

/// Builds the program, and says where it is. `--bins --examples` selects every package, and their development
/// dependencies: so cargo chooses the dependencies' features as for the tests. Without the bin of this package,
/// proc-macro2 has other features, and with it nearly every dependency is compiled a second time.
pub fn build(target: &TargetDir, environment: &Environment) -> Result<PathBuf> {
    let program = target.path.join("debug/mobilenas");
    let first = if program.exists() { "" } else { " (the first time takes minutes)" };
    eprintln!("building mobilenas{first}");
    let mut command = cargo();
    environment.apply(command.args(["build", "--workspace", "--bins", "--examples"]))?;
    succeed(&mut command, "cargo build")?;
    Ok(program)
}

/// Becomes the program, so that signals and the exit code are the program's own.
pub fn run(program: &Path, environment: &Environment, args: &[String]) -> Result<ExitCode> {
    let mut command = Command::new(program);
    environment.apply(command.args(args))?;
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
pub fn clippy(environment: &Environment) -> Result<()> {
    eprintln!("running clippy, warnings denied");
    let mut command = cargo();
    environment.apply(command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    succeed(&mut command, "clippy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::RUNTIMES;

    #[test]
    fn shell_lines_are_quoted() {
        let onnx = Some(Onnx { library: "/o n/lib.so".into(), python: "/python".into() });
        let (libtorch, data) = (Some("/a b/it's".into()), Some("/data".into()));
        let (phones, runtimes) = (Some("/phones".into()), vec![(RUNTIMES[0], "/v.so".into())]);
        let lines = Environment { libtorch, data, whole_data: None, onnx, runtimes, phones }.shell_lines();
        assert!(lines.contains("export MOBILENAS_OPENVINO='/v.so'\n"), "{lines}");
        assert!(lines.contains("export MOBILENAS_PHONES_PYTHON='/phones'\n"), "{lines}");
        assert!(lines.contains("export ORT_DYLIB_PATH='/o n/lib.so'\nexport MOBILENAS_ONNX_PYTHON='/python'\n"));
        assert!(lines.contains(r"export LIBTORCH='/a b/it'\''s'"), "{lines}");
        assert!(lines.contains(r"'/a b/it'\''s/lib'${LD_LIBRARY_PATH:+:"), "{lines}");
        assert!(lines.contains("export MOBILENAS_DATA='/data'\n"), "{lines}");
    }

    #[test]
    fn libtorch_comes_first_and_once() -> Result<()> {
        let own = Path::new("/torch/lib");
        assert_eq!(library_path(own, None)?, "/torch/lib");
        assert_eq!(library_path(own, Some("/x:/torch/lib:/y".into()))?, "/torch/lib:/x:/y");
        Ok(())
    }
}
