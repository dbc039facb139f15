//! Whether a libtorch is of the right version, and what to do where it is not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The version that the crate tch is made for; any other fails to compile or, worse, to run.
pub const VERSION: &str = "2.11.0";

/// Checks that `libtorch` holds libraries and headers of the right version. `origin` is for the message.
pub(super) fn check(libtorch: &Path, origin: &str) -> Result<()> {
    for part in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
        let file = libtorch.join(part);
        let size = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        if size == 0 {
            bail!(
                "{origin} gives the folder {}, which is no libtorch: {part} is missing or empty there.\n{}",
                libtorch.display(),
                advice()
            );
        }
    }
    let (found, file) = version_in(libtorch)?;
    if !is_right(&found) {
        bail!("{origin} gives libtorch {found} (says {}), but {VERSION} is needed.\n{}", file.display(), advice());
    }
    Ok(())
}

/// The version of a libtorch, and the file that says so.
pub(super) fn version_in(libtorch: &Path) -> Result<(String, PathBuf)> {
    type Reader = fn(&str) -> Option<String>;
    let sources: [(&str, Reader); 4] = [
        ("build-version", |text| Some(text.trim().to_owned())),
        ("version.py", python_version),
        ("include/torch/headeronly/version.h", header_version),
        ("include/torch/csrc/api/include/torch/version.h", header_version),
    ];
    for (name, read) in sources {
        let file = libtorch.join(name);
        let Ok(text) = fs::read_to_string(&file) else { continue };
        if let Some(version) = read(&text) {
            return Ok((version, file));
        }
    }
    bail!(
        "the version of the libtorch in {} is not known: it has neither the file build-version nor version.py; \
         {VERSION} is needed.\n{}",
        libtorch.display(),
        advice()
    )
}

/// Whether `version`, such as `2.11.0+cu130`, is the right one.
fn is_right(version: &str) -> bool {
    version.split('+').next() == Some(VERSION)
}

/// The version in the text of the Python package's version.py.
fn python_version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
    let value = line.trim_start().strip_prefix('=')?.trim();
    Some(value.trim_matches(['\'', '"']).to_owned())
}

/// The version in the text of a header with `#define TORCH_VERSION_MAJOR 2` and so on.
fn header_version(text: &str) -> Option<String> {
    let number = |part: &str| {
        text.lines().find_map(|line| {
            let rest = line.strip_prefix("#define TORCH_VERSION_")?.strip_prefix(part)?;
            rest.trim().parse::<u32>().ok()
        })
    };
    Some(format!("{}.{}.{}", number("MAJOR ")?, number("MINOR ")?, number("PATCH ")?))
}

/// What to do when a libtorch that is already there won't do.
pub(super) fn advice() -> String {
    format!("What to do: `--torch fetch` keeps a copy under target/; or bring a libtorch {VERSION}:\n{}", by_hand())
}

/// How to bring a libtorch.
pub(super) fn by_hand() -> String {
    format!(
        "  unpack libtorch {VERSION} (C++11 ABI; the CPU one will do) anywhere, then\n    \
         LIBTORCH=/that/folder cargo xtask --torch env ...\n  or install the Python package torch=={VERSION}, then\n    \
         cargo xtask --torch python ..."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_version_is_right() {
        assert!(is_right("2.11.0") && is_right("2.11.0+cpu") && is_right("2.11.0+cu130"));
        assert!(!is_right("2.11.1") && !is_right("2.1.0") && !is_right("2.11.0rc1") && !is_right(""));
    }

    #[test]
    fn versions_are_read() {
        let python =
            "from typing import Optional\n\n__all__ = ['__version__']\n__version__ = '2.11.0+cu130'\ndebug = False";
        assert_eq!(python_version(python).as_deref(), Some("2.11.0+cu130"));
        assert_eq!(python_version("debug = False"), None);
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";
        assert_eq!(header_version(header).as_deref(), Some("2.11.0"));
        assert_eq!(header_version("#define TORCH_VERSION_MAJOR 2"), None);
    }

    #[test]
    fn a_wrong_folder_is_explained() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-torch-{}", std::process::id()));
        let message = |origin: &str| check(&folder, origin).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(message("LIBTORCH").contains("lib/libtorch_cpu.so is missing"));
        for part in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
            let file = folder.join(part);
            fs::create_dir_all(file.parent().unwrap_or(&folder))?;
            fs::write(file, "x")?;
        }
        assert!(message("LIBTORCH").contains("is not known"));
        fs::write(folder.join("build-version"), "2.5.1+cpu\n")?;
        let text = message("LIBTORCH");
        assert!(text.contains("gives libtorch 2.5.1+cpu") && text.contains("2.11.0 is needed"), "{text}");
        fs::write(folder.join("build-version"), "2.11.0+cpu\n")?;
        check(&folder, "LIBTORCH")?;
        Ok(fs::remove_dir_all(&folder)?)
    }
}
