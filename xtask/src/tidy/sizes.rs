//! What a reader can take in: files of 400 lines, crates of 10,000, a README of one screen and a map.

use super::{Finding, Tree};

const FILE: usize = 400;
const CRATE: usize = 10_000;
const README: usize = 120;

/// One finding for each file, crate, README and line of it that is too long.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let packages = tree.packages();
    let length = |text: &str| text.lines().count();
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs").filter(|(_, text)| length(text) > FILE) {
        findings.push(Finding::new(path, FILE + 1, format!("{} lines, at most {FILE} a file", length(text))));
    }
    for package in &packages {
        // What is tested is read; its tests and examples are looked up.
        let beside = |path: &str| path.contains("/tests/") || path.contains("/examples/");
        let of = |path: &str| Tree::package_of(&packages, path) == Some(*package) && !beside(path);
        let files = tree.ending(".rs").filter(|(path, _)| of(path));
        let total: usize = files.map(|(_, text)| length(text)).sum();
        if total > CRATE {
            findings.push(Finding::new(
                format!("{package}/Cargo.toml"),
                1,
                format!("{total} lines of Rust, at most {CRATE} a crate"),
            ));
        }
    }
    for (path, text) in tree.ending("README.md").filter(|(path, _)| *path == "README.md") {
        if length(text) > README {
            findings.push(Finding::new(path, README + 1, format!("{} lines, at most {README}", length(text))));
        }
        let widths = text.lines().map(|line| line.chars().count()).enumerate();
        let wide = widths.filter(|(_, width)| *width > README);
        findings.extend(
            wide.map(|(at, width)| Finding::new(path, at + 1, format!("{width} characters, at most {README} a line"))),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_files_crates_and_readmes_are_found() {
        let lines = |n: usize| "x\n".repeat(n);
        let (fit, long, half) = (lines(400), lines(401), lines(6000));
        assert_eq!(found(&[("a/src/x.rs", &fit)]), Vec::<String>::new());
        assert_eq!(found(&[("a/src/x.rs", &long)]), ["a/src/x.rs:401: 401 lines, at most 400 a file"]);
        let files = [("a/Cargo.toml", "[package]"), ("a/src/x.rs", &half), ("a/src/y.rs", &half)];
        assert!(found(&files).contains(&"a/Cargo.toml:1: 12000 lines of Rust, at most 10000 a crate".to_owned()));
        let tests = [files[0], ("a/tests/x.rs", &half), ("a/src/y.rs", &half)];
        assert!(!found(&tests).iter().any(|finding| finding.contains("a crate")));
        let inner = [files[0], files[1], ("a/b/Cargo.toml", "[package]"), ("a/b/src/y.rs", &half)];
        assert!(!found(&inner).iter().any(|finding| finding.contains("a crate")));
        let wide = "é".repeat(121);
        assert_eq!(found(&[("README.md", &wide)]), ["README.md:1: 121 characters, at most 120 a line"]);
        assert_eq!(found(&[("README.md", &lines(121))]), ["README.md:121: 121 lines, at most 120"]);
        assert_eq!(found(&[("docs/README.md", &wide), ("README.md", &lines(120))]), Vec::<String>::new());
    }
}
