//! Programs that some tests need, installed with apt-get where that is possible: as root, on Debian and its kin.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, under the path that a variable gives or under one of its names, and the Debian packages that hold it.
#[derive(Debug)]
pub struct Tool {
    variable: &'static str,
    names: &'static [&'static str],
    packages: &'static [&'static str],
}

/// What the browser's tests look for too.
const CHROMIUM: Tool = Tool {
    variable: "CHROMIUM",
    names: &["chromium", "chromium-browser", "google-chrome", "chrome"],
    packages: &["chromium"],
};
const PDFLATEX: Tool =
    Tool { variable: "PDFLATEX", names: &["pdflatex"], packages: &["texlive-latex-base", "texlive-latex-recommended"] };

/// What the names of tests have that are `#[ignore]`d because they need a program, and the program.
pub const TESTS: [(&str, Tool); 2] = [("chromium::", CHROMIUM), ("pdflatex_", PDFLATEX)];

/// Whether a tool is there, if need be after installing it; says why not.
pub fn provide(tool: &Tool) -> bool {
    if tool.found() {
        return true;
    }
    let name = tool.names[0];
    match install(tool.packages) {
        Ok(()) if tool.found() => return true,
        Ok(()) => eprintln!("warning: {} hold no {name}; its tests stay ignored", tool.packages.join(", ")),
        Err(error) => eprintln!("warning: {name} is missing, and its tests stay ignored: {error:#}"),
    }
    false
}

impl Tool {
    fn found(&self) -> bool {
        let starts = |name: OsString| {
            let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        std::env::var_os(self.variable).is_some_and(starts) || self.names.iter().any(|name| starts(name.into()))
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
        let found = |names| Tool { variable: "NO_SUCH_VARIABLE", names, packages: &[] }.found();
        assert!(found(&["no-such-program", "true"]) && !found(&["no-such-program", "false"]));
    }
}
