//! Python's installer pip, which fetches libtorch and ONNX Runtime; and the stamp that says what a fetched folder holds.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The stamp's name. It is written last.
const STAMP: &str = "complete.txt";

/// The names to try, the most likely first: in a virtual environment `python` is the one meant.
pub fn interpreters() -> &'static [&'static str] {
    if std::env::var_os("VIRTUAL_ENV").is_some() {
        &["python", "python3", "/usr/bin/python3"]
    } else {
        &["python3", "python", "/usr/bin/python3"]
    }
}

/// The first interpreter that has pip.
pub fn python_with_pip() -> Result<&'static str> {
    let mut tried = Vec::new();
    for python in interpreters() {
        match Command::new(python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(python),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let reason = text.trim().lines().last().unwrap_or("it does not start").to_owned();
                tried.push(format!("{python}: has no pip ({reason})"));
            }
            Err(error) => tried.push(format!("{python}: {error}")),
        }
    }
    bail!(
        "no Python with pip is found, which downloads packages:\n  {}\nInstall both (on Debian: apt-get install \
         python3-pip)",
        tried.join("\n  ")
    )
}

/// `pip install` or `pip download` of wheels; pip's temporary files go to `scratch`.
pub fn pip(python: &str, verb: &str, scratch: &Path, args: &[&str], packages: &[&str]) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", verb, "--disable-pip-version-check", "--only-binary=:all:"]).args(args).args(packages);
    command.env("TMPDIR", scratch).stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status().with_context(|| format!("{python} does not start"))?;
    if !status.success() {
        bail!(
            "pip {verb} {} failed ({status}); its reason is above: no network, no package of that version for this \
             Python or machine, or no space in {}",
            packages.join(" "),
            scratch.display()
        );
    }
    Ok(())
}

/// Writes the stamp of a finished folder.
pub fn stamp(folder: &Path, headline: &str, more: &str) -> Result<()> {
    write(&folder.join(STAMP), &format!("{headline}\n{more}"))
}

/// Whether a folder has the stamp and all of these files; quick.
pub fn stamped(folder: &Path, headline: &str, files: &[&Path]) -> bool {
    let stamp = fs::read_to_string(folder.join(STAMP)).unwrap_or_default();
    stamp.lines().next() == Some(headline) && files.iter().all(|file| folder.join(file).is_file())
}

/// Writes a small file, with the path in the error.
pub fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The text of a program that is `python` with the packages.
pub fn wrapper(python: &str, packages: &Path) -> Result<String> {
    let Some(packages) = packages.to_str().filter(|text| !text.contains('\'')) else {
        bail!("{} cannot stand in a shell script, expected a path without quotes", packages.display());
    };
    Ok(format!("#!/bin/sh\nPYTHONPATH='{packages}' exec {python} \"$@\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stamped_copy_with_its_files_is_finished() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let finished = || stamped(&folder, "thing 2, layout 1", &[Path::new("library")]);
        assert!(!finished());
        write(&folder.join("library"), "x")?;
        assert!(!finished());
        stamp(&folder, "thing 2, layout 0", "")?;
        assert!(!finished());
        stamp(&folder, "thing 2, layout 1", "more\n")?;
        assert!(finished());
        fs::remove_file(folder.join("library"))?;
        assert!(!finished());
        Ok(fs::remove_dir_all(&folder)?)
    }

    #[test]
    fn the_wrapper_is_a_shell_script() -> Result<()> {
        let text = wrapper("python3", Path::new("/a b/packages"))?;
        assert_eq!(text, "#!/bin/sh\nPYTHONPATH='/a b/packages' exec python3 \"$@\"\n");
        assert!(wrapper("python3", Path::new("/it's")).is_err());
        Ok(())
    }
}
