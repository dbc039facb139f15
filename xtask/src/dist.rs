//! `cargo xtask dist`: one folder with the program and the libraries that it needs beside the C library. It runs where it
//! is copied to: the program looks for libraries in the folder that it lies in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::{Environment, succeed};
use crate::install::{copy, link, link_tree};
use crate::target::{Staging, TargetDir};

/// What belongs to the C library, which the other machine has: ours would not fit its kernel and loader.
const SYSTEM: [&str; 7] =
    ["libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libutil.so", "ld-linux-x86-64.so"];

/// What is made beside the folder, and whether it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A compressed tar of the folder.
    pub tar: bool,
    /// The program is started in an empty root that holds the folder and the C library alone.
    pub check: bool,
}

/// Makes the folder of the built program.
pub fn dist(program: &Path, target: &TargetDir, environment: &Environment, options: Options) -> Result<()> {
    let name =
        format!("mobilenas-{}-{}-{}", version(program, environment)?, std::env::consts::OS, std::env::consts::ARCH);
    let (parent, libtorch) =
        (target.path.join("dist"), environment.libtorch.as_deref().context("libtorch is missing")?);
    let folder = parent.join(&name);
    fs::create_dir_all(&parent).with_context(|| format!("cannot write to {}", parent.display()))?;
    let staging = Staging::begin(&folder)?;
    let (binary, lib) = (staging.tree().join("mobilenas"), staging.tree().join("torch/lib"));
    copy(program, &binary)?;
    // Half of the file is for debuggers; without the tool it stays.
    let stripped = Command::new("strip").arg("--strip-debug").arg(&binary).stderr(Stdio::null()).status();
    if !stripped.is_ok_and(|status| status.success()) {
        eprintln!("note: no `strip`; the program keeps its debug information");
    }
    link_tree(&libtorch.join("lib"), &lib)?;
    // The fetched libtorch has links to stubs of CUDA's libraries there.
    if let Some(beside) = libtorch.parent().filter(|parent| parent.starts_with(&target.path)) {
        link_tree(&beside.join("nvidia"), &staging.tree().join("nvidia"))?;
    }
    let mut listed = Command::new("ldd");
    environment.apply(listed.arg(program))?;
    let output = listed.output().context("ldd does not start")?;
    for library in needed(&String::from_utf8_lossy(&output.stdout)).filter(|path| !path.starts_with(libtorch)) {
        let file = library.file_name().context("ldd names a folder")?;
        // Those of libtorch's own folders are there.
        if !lib.join(file).exists() && !library.to_string_lossy().contains("/nvidia/") {
            link(&library, &lib.join(file))?;
        }
    }
    staging.finish(|_| false)?;
    eprintln!("the program and its libraries: {}", folder.display());
    if options.check {
        check(&folder)?;
    }
    if options.tar {
        let file = parent.join(format!("{name}.tar.gz"));
        let mut tar = Command::new("tar");
        succeed(tar.arg("-C").arg(&parent).arg("-czf").arg(&file).arg(&name), "tar")?;
        eprintln!("packed: {}", file.display());
    }
    Ok(())
}

/// The program's version.
fn version(program: &Path, environment: &Environment) -> Result<String> {
    let mut command = Command::new(program);
    environment.apply(command.arg("--version"))?;
    let output = command.output().context("mobilenas does not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(1).map(str::to_owned).context("`mobilenas --version` prints no version")
}

/// Libraries that `ldd` found, but those of the C library.
fn needed(ldd: &str) -> impl Iterator<Item = PathBuf> {
    let path = |line: &str| Some(PathBuf::from(line.split_once("=> ")?.1.split(" (").next()?.trim()));
    let system = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SYSTEM.iter().any(|system| name.starts_with(system))
    };
    let all: Vec<PathBuf> = ldd.lines().filter_map(path).filter(|path| path.is_absolute() && !system(path)).collect();
    all.into_iter()
}

/// Starts the program in a root that holds the folder, the C library, and nothing else.
fn check(folder: &Path) -> Result<()> {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--clearenv", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command.arg("--ro-bind").arg(folder).arg("/app");
    let listed = Command::new("ldd").arg(folder.join("mobilenas")).output().context("ldd does not start")?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with("/lib"));
    let name = |word: &str| Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for library in words.filter(|word| SYSTEM.iter().any(|system| name(word).starts_with(system))) {
        command.args(["--ro-bind", library, library]);
    }
    for words in [&["models", "mobilevit_xxs"][..], &["bench", "run", "--models", "mobilenetv2_100", "--help"]] {
        let mut one = Command::new("bwrap");
        one.args(command.get_args()).arg("/app/mobilenas").args(words).stdout(Stdio::piped());
        let output = one.output().context("bwrap does not start; Debian's package bubblewrap has it")?;
        if !output.status.success() {
            bail!(
                "in an empty root, `mobilenas {}` failed: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    eprintln!("it starts in an empty root");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_c_library_is_taken_along() {
        let ldd = "\tlinux-vdso.so.1 (0x00007fc9895d0000)\n\tlibstdc++.so.6 => /lib/x/libstdc++.so.6 (0x00007fc984a00000)\n\
                   \tlibc10.so => /torch/lib/libc10.so (0x1)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x2)\n\
                   \tlibnone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let all: Vec<PathBuf> = needed(ldd).collect();
        assert_eq!(all, [Path::new("/lib/x/libstdc++.so.6"), Path::new("/torch/lib/libc10.so")]);
    }
}
