//! `cargo xtask tidy`: what the compiler and clippy do not check. Each check is a function from the [`Tree`] to its
//! findings; `tests` in each file shows that it can fail.

mod commands;
mod cycles;
mod links;
mod modules;
mod operations;
mod registries;
mod sizes;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

pub use registries::Facts;

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
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Finding {
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
    texts: BTreeMap<String, String>,
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
    fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The README and the pages of docs/.
    fn docs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(".md").filter(|(path, _)| *path == "README.md" || path.starts_with("docs/"))
    }

    /// Whether there is a file or folder of that path.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.paths.contains(path)
            || self.paths.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder))
    }

    /// The folders of the packages; the workspace's own Cargo.toml is none.
    fn packages(&self) -> Vec<&str> {
        let manifests = self.ending("/Cargo.toml").filter(|(_, text)| text.contains("[package]"));
        manifests.filter_map(|(path, _)| path.strip_suffix("/Cargo.toml")).collect()
    }

    /// The package that a file belongs to: the innermost folder around it.
    fn package_of<'a>(packages: &[&'a str], path: &str) -> Option<&'a str> {
        let around = packages.iter().filter(|package| path.strip_prefix(**package).is_some_and(|p| p.starts_with('/')));
        around.max_by_key(|package| package.len()).copied()
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Tree {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { texts, paths: files.iter().map(|(path, _)| (*path).to_owned()).collect() }
    }
}

/// Findings that are known and wait to be mended: cycles between files, by the file they are told at, and packages and
/// files that are too long. The list may only get shorter.
const KNOWN: &[&str] = &[
    "bench/src/process/client.rs",
    "search/Cargo.toml",
    "search/data/src/dataset/cifar.rs",
    "search/data/src/loader/loader.rs",
    "search/image/src/cut.rs",
    "search/src/cli/completions.rs",
    "search/src/config/mod.rs",
    "search/src/experiment/loaders.rs",
    "search/src/metric/analytic.rs",
    "search/src/pipeline/mod.rs",
    "search/src/study/mod.rs",
    "search/strategy/src/lib.rs",
    "search/task/src/batch.rs",
    "space/torch/src/error.rs",
    "space/torch/src/weights/pickle/machine.rs",
    "xtask/src/tidy/commands.rs",
    "xtask/src/torch.rs",
];

/// The findings that are not known, and a finding for each known one that is gone.
pub fn news(findings: Vec<Finding>) -> Vec<Finding> {
    let structural = |f: &Finding| f.message.contains(" build on one another, ") || f.message.contains(", at most ");
    let (old, mut new): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|f| structural(f) && KNOWN.contains(&f.path.as_str()));
    let gone = KNOWN.iter().filter(|path| old.iter().all(|f| f.path != **path));
    new.extend(
        gone.map(|path| Finding::new(*path, 0, "its known finding is gone, take it off the list in tidy/mod.rs")),
    );
    new
}

/// All findings, in the order of their files.
pub fn check(tree: &Tree, facts: &Facts) -> Vec<Finding> {
    let checks = [
        cycles::check(tree),
        operations::check(tree),
        sizes::check(tree),
        links::check(tree),
        commands::check(tree, facts),
        registries::check(tree, facts),
    ];
    let all: BTreeSet<Finding> = checks.into_iter().flatten().collect();
    all.into_iter().collect()
}

/// The commands of `mobilenas` in the docs, which [`Facts`] have to answer for.
pub fn questions(tree: &Tree) -> Vec<Vec<String>> {
    commands::of_program(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_findings_are_no_news_and_new_ones_are() {
        let known = |path: &&str| Finding::new(*path, 1, "3 files build on one another, such as: a, b");
        let all: Vec<Finding> = KNOWN.iter().map(known).collect();
        assert_eq!(news(all.clone()), []);
        let other = Finding::new(KNOWN[0], 1, "`_ =>` over `Op`");
        assert_eq!(news([all.clone(), vec![other.clone()]].concat()), [other]);
        assert_eq!(news(all[1..].to_vec())[0].path, KNOWN[0]);
    }

    #[test]
    fn folders_and_packages_are_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]"),
            ("space/Cargo.toml", "[package]"),
            ("space/torch/Cargo.toml", "[package]"),
            ("space/src/lib.rs", ""),
        ]);
        assert!(tree.has("space/src") && tree.has("space/src/lib.rs") && !tree.has("space/sr"));
        let packages = tree.packages();
        assert_eq!(packages, ["space", "space/torch"]);
        assert_eq!(Tree::package_of(&packages, "space/torch/src/a.rs"), Some("space/torch"));
        assert_eq!(Tree::package_of(&packages, "space/src/a.rs"), Some("space"));
        assert_eq!(Tree::package_of(&packages, "spaces/src/a.rs"), None);
    }
}
