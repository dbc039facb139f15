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
mod tree;

use std::collections::BTreeSet;

pub use registries::Facts;
pub use tree::{Finding, Tree};

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
