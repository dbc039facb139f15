//! Programs that some tests need. Debian's are installed with apt-get where that is possible: as root, on Debian and its kin.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::Environment;

/// A program, under the path that a variable gives or under one of its names.
#[derive(Debug)]
pub struct Tool {
    variable: &'static str,
    names: &'static [&'static str],
    /// Arguments with which it succeeds if it will do.
    check: &'static [&'static str],
    source: Source,
}

/// Where a program comes from.
#[derive(Debug)]
enum Source {
    /// Debian packages.
    Debian(&'static [&'static str]),
    /// What people have to do, because it takes gigabytes.
    ByHand(&'static str),
}

/// What the browser's tests look for too.
const CHROMIUM: Tool = Tool {
    variable: "CHROMIUM",
    names: &["chromium", "chromium-browser", "google-chrome", "chrome"],
    check: &["--version"],
    source: Source::Debian(&["chromium"]),
};
const PDFLATEX: Tool = Tool {
    variable: "PDFLATEX",
    names: &["pdflatex"],
    check: &["--version"],
    source: Source::Debian(&["texlive-latex-base", "texlive-latex-recommended"]),
};
/// PyTorch itself: what we fetch of its wheel is the C++ part.
const TORCH_PYTHON: Tool = Tool {
    variable: "MOBILENAS_TORCH_PYTHON",
    names: &["python3"],
    check: &["-c", "import torch, safetensors, PIL; assert torch.__version__.split('+')[0] == '2.11.0'"],
    source: Source::ByHand(
        "set MOBILENAS_TORCH_PYTHON to a Python with `pip install torch==2.11.0 safetensors pillow`",
    ),
};

/// The converters to the runtimes of phones.
const PHONES_PYTHON: Tool = Tool {
    variable: crate::phones::PYTHON,
    names: &[],
    check: &["-c", "import coremltools, executorch, litert_torch, ai_edge_litert, safetensors"],
    source: Source::ByHand("`cargo xtask setup --phones` fetches the converters"),
};

/// The reference of COCO's average precision.
const COCO_PYTHON: Tool = Tool {
    variable: "MOBILENAS_COCO_PYTHON",
    names: &["python3"],
    check: &["-c", "import pycocotools"],
    source: Source::ByHand("set MOBILENAS_COCO_PYTHON to a Python with `pip install pycocotools`"),
};

/// Servers that the tests of clusters start, and launchers.
pub const CLUSTER: [Tool; 4] = [
    Tool {
        variable: "SLURMCTLD",
        names: &["/usr/sbin/slurmctld"],
        check: &["-V"],
        source: Source::Debian(&["slurm-wlm"]),
    },
    Tool {
        variable: "MUNGED",
        names: &["/usr/sbin/munged"],
        check: &["--version"],
        source: Source::Debian(&["munge"]),
    },
    Tool {
        variable: "SSHD",
        names: &["/usr/sbin/sshd"],
        check: &["-V"],
        source: Source::Debian(&["openssh-server", "openssh-client"]),
    },
    Tool {
        variable: "MPIRUN",
        names: &["/usr/bin/mpirun"],
        check: &["--version"],
        source: Source::Debian(&["openmpi-bin"]),
    },
];

/// What starts pods. It attaches by WebSocket, as the server of the tests does, from version 1.31 on; Debian's is older.
pub const KUBECTL: Tool = Tool {
    variable: "KUBECTL",
    names: &["kubectl"],
    check: &["version", "--client"],
    source: Source::ByHand("install kubectl, 1.31 or newer"),
};

/// What the names of tests have that are `#[ignore]`d because they need a program, and the program.
pub const TESTS: [(&str, Tool); 5] = [
    ("chromium::", CHROMIUM),
    ("pdflatex_", PDFLATEX),
    ("torch_python_", TORCH_PYTHON),
    ("phones_python_", PHONES_PYTHON),
    ("pycocotools_", COCO_PYTHON),
];

/// Whether a tool is there, if need be after installing it; says why not.
pub fn provide(tool: &Tool, environment: &Environment) -> bool {
    let found = || tool.found(environment.variable(tool.variable));
    if found() {
        return true;
    }
    let name = tool.names.first().unwrap_or(&tool.variable);
    match tool.source {
        Source::ByHand(advice) => {
            eprintln!("warning: tests that need a program or a Python package stay ignored; {advice}")
        }
        Source::Debian(packages) => match install(packages) {
            Ok(()) if found() => return true,
            Ok(()) => eprintln!("warning: {} hold no {name}; its tests stay ignored", packages.join(", ")),
            Err(error) => eprintln!("warning: {name} is missing, and its tests stay ignored: {error:#}"),
        },
    }
    false
}

impl Tool {
    fn found(&self, named: Option<OsString>) -> bool {
        let starts = |name: OsString| {
            let status = Command::new(name).args(self.check).stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        named.is_some_and(starts) || self.names.iter().any(|name| starts(name.into()))
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let user = std::fs::metadata("/proc/self").context("the user is not known")?.uid();
    if user != 0 {
        bail!("only root installs packages; run `apt-get install {}` once", packages.join(" "));
    }
    eprintln!("installing {} with apt-get", packages.join(", "));
    let apt = |args: &[&str]| -> Result<bool> {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-y"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
        Ok(status.context("apt-get does not start")?.success())
    };
    let install = [&["install", "--no-install-recommends"], packages].concat();
    // Lists that are there may do; updating them takes as long as a small package.
    if !(apt(&install)? || apt(&["update"])? && apt(&install)?) {
        bail!("apt-get could not install {}; its reason is above", packages.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_starts_is_found() {
        let (variable, check) = ("NO_SUCH_VARIABLE", &["--version"]);
        let found = |names| Tool { variable, names, check, source: Source::ByHand("") }.found(None);
        assert!(found(&["no-such-program", "true"]) && !found(&["no-such-program", "false"]));
    }
}
