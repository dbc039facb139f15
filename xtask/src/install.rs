//! `cargo xtask install`: the program where any shell finds it. A wrapper `bin/mobilenas` names the libraries and data
//! sets; what it needs lies under `lib/mobilenas` and `share`, so that the target folder can go.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{Environment, quoted, succeed};
use crate::onnx::LIBRARY;
use crate::target::{Staging, TargetDir, make_executable};

/// Where a shell looks for completions, under the prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/mobilenas"),
    ("zsh", "share/zsh/site-functions/_mobilenas"),
    ("fish", "share/fish/vendor_completions.d/mobilenas.fish"),
];

/// The default prefix.
pub fn home_prefix() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    Ok(PathBuf::from(home.context("HOME is not set; `--prefix DIR` says where to install")?).join(".local"))
}

/// Installs the built program.
pub fn install(program: &Path, target: &TargetDir, environment: &Environment, prefix: &Path) -> Result<()> {
    let prefix = std::path::absolute(prefix).with_context(|| format!("{} is not a path", prefix.display()))?;
    let home = prefix.join("lib/mobilenas");
    fs::create_dir_all(prefix.join("lib")).with_context(|| format!("cannot write to {}", prefix.display()))?;
    let staging = Staging::begin(&home)?;
    copy(program, &staging.tree().join("mobilenas"))?;
    // A libtorch of our own is taken along; another one stays where its owner keeps it.
    let libtorch = environment.libtorch.as_deref().context("libtorch is missing")?;
    let libtorch = match libtorch.parent().filter(|parent| parent.starts_with(&target.path)) {
        Some(parent) => {
            link_tree(&parent.join("torch/lib"), &staging.tree().join("torch/lib"))?;
            link_tree(&parent.join("nvidia"), &staging.tree().join("nvidia"))?;
            home.join("torch")
        }
        None => libtorch.to_owned(),
    };
    let data = prefix.join("share/mobilenas/data");
    let mut defaults = vec![("MOBILENAS_DATA", data.clone())];
    if let Some(onnx) = &environment.onnx {
        link(&onnx.library, &staging.tree().join("libonnxruntime.so"))?;
        defaults.push((LIBRARY, home.join("libonnxruntime.so")));
    }
    for (runtime, library) in &environment.runtimes {
        // Its other libraries are found beside the one that is named.
        let (folder, name) = (library.parent().unwrap_or(Path::new("")), library.file_name().unwrap_or_default());
        link_tree(folder, &staging.tree().join(runtime.engine))?;
        defaults.push((runtime.variable, home.join(runtime.engine).join(name)));
    }
    defaults.extend(environment.phones.clone().map(|python| (crate::phones::PYTHON, python)));
    staging.finish(|_| false)?;

    if let Some(folder) = &environment.data {
        link_tree(&folder.join(crate::data::NAME), &data.join(crate::data::NAME))?;
    }
    for (shell, file) in COMPLETIONS {
        let mut command = Command::new(program);
        environment.apply(command.args(["completions", shell]))?;
        let output = command.output().context("mobilenas does not start")?;
        if !output.status.success() {
            bail!("mobilenas completions {shell} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        write(&prefix.join(file), &output.stdout)?;
    }
    let mut manual = Command::new(program);
    environment.apply(manual.args(["man", "--out"]).arg(prefix.join("share/man/man1")))?;
    succeed(&mut manual, "mobilenas man")?;

    // Last, so that what it names is there.
    let bin = prefix.join("bin/mobilenas");
    write(&bin, wrapper(&home, &libtorch, &defaults).as_bytes())?;
    make_executable(&bin)?;
    eprintln!("mobilenas is installed as {}", bin.display());
    if !std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir == prefix.join("bin")) {
        eprintln!("note: put it on the path: export PATH={}:\"$PATH\"", quoted(&prefix.join("bin")));
    }
    Ok(())
}

/// The script that a shell finds. What the environment says goes before what is installed. The converters, gigabytes that
/// `setup --phones` fetched, stay where they are.
fn wrapper(home: &Path, libtorch: &Path, defaults: &[(&str, PathBuf)]) -> String {
    let lib = quoted(&libtorch.join("lib"));
    let default =
        |(name, value): &(&str, PathBuf)| format!("[ -n \"${name}\" ] || {name}={}\nexport {name}\n", quoted(value));
    format!(
        "#!/bin/sh\n# Written by `cargo xtask install`.\n\
         export LD_LIBRARY_PATH={lib}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n{}exec {} \"$@\"\n",
        defaults.iter().map(default).collect::<String>(),
        quoted(&home.join("mobilenas")),
    )
}

/// Links every file of a folder into another, which is made; a folder that is not there has none.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", from.display()))?.path();
        let target = to.join(path.file_name().unwrap_or(OsStr::new("")));
        if path.is_dir() { link_tree(&path, &target)? } else { link(&path, &target)? }
    }
    Ok(())
}

/// Gives a file a second name, which costs no space, or copies it where that cannot be.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    make_room(to)?;
    let source = fs::canonicalize(from).with_context(|| format!("{} is not there", from.display()))?;
    if fs::hard_link(&source, to).is_err() { copy(&source, to) } else { Ok(()) }
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    make_room(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display())).map(drop)
}

fn write(file: &Path, text: &[u8]) -> Result<()> {
    make_room(file)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes the folder of a file, and removes a file of an earlier installation, which may be linked elsewhere.
fn make_room(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    match fs::remove_file(file) {
        Err(error) if file.symlink_metadata().is_ok() => {
            Err(error).with_context(|| format!("cannot replace {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_sets_what_is_unset() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-it's-{}", std::process::id()));
        let program = folder.join("mobilenas");
        let text = "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$ORT_DYLIB_PATH|$MOBILENAS_PHONES_PYTHON|$MOBILENAS_DATA|$*\"\n";
        write(&program, text.as_bytes())?;
        make_executable(&program)?;
        let script = folder.join("wrapper");
        let onnx = folder.join("libonnxruntime.so");
        let defaults = [
            ("MOBILENAS_DATA", PathBuf::from("/d $x")),
            (LIBRARY, onnx.clone()),
            (crate::phones::PYTHON, PathBuf::from("/p")),
        ];
        write(&script, wrapper(&folder, Path::new("/a b/torch"), &defaults).as_bytes())?;
        let run = |variables: &[(&str, &str)]| -> Result<String> {
            let mut command = Command::new("sh");
            command.arg(&script).args(["models", "a b"]).env_clear().envs(variables.iter().copied());
            Ok(String::from_utf8(command.output()?.stdout)?)
        };
        assert_eq!(run(&[])?, format!("/a b/torch/lib|{}|/p|/d $x|models a b\n", onnx.display()));
        let own = [
            ("LD_LIBRARY_PATH", "/x"),
            ("ORT_DYLIB_PATH", "/y"),
            ("MOBILENAS_DATA", "/z"),
            ("MOBILENAS_PHONES_PYTHON", "/q"),
        ];
        assert_eq!(run(&own)?, "/a b/torch/lib:/x|/y|/q|/z|models a b\n");
        Ok(fs::remove_dir_all(&folder)?)
    }

    #[test]
    fn trees_are_linked_and_linked_again() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-test-link-{}", std::process::id()));
        write(&folder.join("from/deep/file"), b"1")?;
        for _ in 0..2 {
            link_tree(&folder.join("from"), &folder.join("to"))?;
        }
        assert_eq!(fs::read_to_string(folder.join("to/deep/file"))?, "1");
        link_tree(&folder.join("none"), &folder.join("nothing"))?;
        assert!(!folder.join("nothing").exists());
        Ok(fs::remove_dir_all(&folder)?)
    }
}
