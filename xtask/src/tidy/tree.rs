//! The repository's files, and what is found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the repository's root.
    pub path: String,
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Finding {
    pub(super) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// The repository's files by path, with the text of those that the checks read.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) texts: BTreeMap<String, String>,
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the files that git tracks or would track.
    pub fn read(root: &Path) -> Result<Tree> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let output = git.output().context("git does not start")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let mut tree = Tree::default();
        for path in String::from_utf8(output.stdout).context("a file name is not UTF-8")?.split_terminator('\0') {
            let file = root.join(path);
            if !file.exists() {
                continue;
            }
            tree.paths.insert(path.to_owned());
            if [".rs", ".md", "Cargo.toml"].iter().any(|end| path.ends_with(end)) {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
                tree.texts.insert(path.to_owned(), text);
            }
        }
        Ok(tree)
    }

    /// The files whose names end so, with their texts.
    pub(super) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The README and the pages of docs/.
    pub(super) fn docs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(".md").filter(|(path, _)| *path == "README.md" || path.starts_with("docs/"))
    }

    /// Whether there is a file or folder of that path.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder))
    }

    /// The folders of the packages; the workspace's own Cargo.toml is none.
    pub(super) fn packages(&self) -> Vec<&str> {
        let manifests = self.ending("/Cargo.toml").filter(|(_, text)| text.contains("[package]"));
        manifests.filter_map(|(path, _)| path.strip_suffix("/Cargo.toml")).collect()
    }

    /// The package that a file belongs to: the innermost folder around it.
    pub(super) fn package_of<'a>(packages: &[&'a str], path: &str) -> Option<&'a str> {
        let around = packages.iter().filter(|package| path.strip_prefix(**package).is_some_and(|p| p.starts_with('/')));
        around.max_by_key(|package| package.len()).copied()
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { texts, paths: files.iter().map(|(path, _)| (*path).to_owned()).collect() }
    }
}
