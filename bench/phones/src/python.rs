//! The Python that has the converters.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{PYTHON, PhonesError};

/// What it runs.
const SCRIPTS: [(&str, &str); 6] = [
    ("convert.py", include_str!("../python/convert.py")),
    ("mil.py", include_str!("../python/mil.py")),
    ("serve_litert.py", include_str!("../python/serve_litert.py")),
    ("to_coreml.py", include_str!("../python/to_coreml.py")),
    ("to_executorch.py", include_str!("../python/to_executorch.py")),
    ("to_litert.py", include_str!("../python/to_litert.py")),
];
/// Prints the versions of the packages that are its arguments, a line each.
const VERSIONS: &str = "import sys; from importlib.metadata import version; [print(version(p)) for p in sys.argv[1:]]";

/// A Python that has the converters, as the user or `cargo xtask` names it.
#[derive(Clone, Debug)]
pub struct Python(pub(crate) OsString);

impl Python {
    /// Finds it; nothing is started yet.
    ///
    /// # Errors
    /// When [`PYTHON`] is not set, or names no file.
    pub fn find() -> Result<Python, PhonesError> {
        let named = std::env::var_os(PYTHON).filter(|name| !name.is_empty()).ok_or(PhonesError::Unset)?;
        let python = Python(named);
        if Path::new(&python.0).components().count() > 1 && !Path::new(&python.0).is_file() {
            return Err(PhonesError::NoFile { python: python.name() });
        }
        Ok(python)
    }

    pub(crate) fn name(&self) -> String {
        self.0.display().to_string()
    }

    /// Versions of packages.
    ///
    /// # Errors
    /// When it does not start, or lacks one.
    pub fn versions(&self, packages: &[&str]) -> Result<Vec<String>, PhonesError> {
        let mut command = Command::new(&self.0);
        command.args(["-B", "-c", VERSIONS]).args(packages).env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
        let out = command.output().map_err(|source| PhonesError::Start { python: self.name(), source })?;
        let lines = |bytes: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect()
        };
        let found = lines(&out.stdout);
        if !out.status.success() || found.len() != packages.len() {
            let said = lines(&out.stderr).pop().unwrap_or_else(|| out.status.to_string());
            return Err(PhonesError::Packages { python: self.name(), said });
        }
        Ok(found)
    }

    /// A command that runs one of our scripts in a folder, which is its argument and holds its temporary files.
    pub(crate) fn script(&self, script: &str, folder: &Path) -> Result<Command, PhonesError> {
        for (name, text) in SCRIPTS {
            let path = folder.join(name);
            fs::write(&path, text).map_err(PhonesError::io(&path))?;
        }
        let mut command = Command::new(&self.0);
        command.arg("-B").arg(folder.join(script)).arg(folder);
        // Converters write caches and temporary files; the folder is removed with them. The program's libraries are not
        // Python's: its torch brings its own.
        command.env("TMPDIR", folder).env("TF_CPP_MIN_LOG_LEVEL", "3").env_remove("LD_LIBRARY_PATH");
        Ok(command)
    }
}
