//! No cycle between the files of a crate: what a file builds on does not build on it. Tests are left out.

use std::collections::{BTreeMap, VecDeque};

use super::modules::{Modules, Use};
use super::{Finding, Tree};

/// One finding for each set of files that all reach one another, with a shortest cycle.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let packages = tree.packages();
    let of_package = |package: &&str| {
        let prefix = format!("{package}/src/");
        let files: Vec<(&str, &str)> = tree
            .ending(".rs")
            .filter(|(path, _)| Tree::package_of(&packages, path) == Some(package))
            .filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, text)))
            .collect();
        cycles(&prefix, &files)
    };
    packages.iter().flat_map(of_package).collect()
}

fn cycles(prefix: &str, files: &[(&str, &str)]) -> Vec<Finding> {
    let modules = Modules::of(files);
    let mut edges: BTreeMap<(usize, usize), Use> = BTreeMap::new();
    for found in modules.uses() {
        edges.entry((found.from, found.to)).or_insert(found);
    }
    let mut findings = Vec::new();
    let mut done = vec![false; modules.files.len()];
    let reach: Vec<Vec<bool>> = (0..done.len()).map(|from| reachable(&edges, from, done.len())).collect();
    for file in 0..done.len() {
        if done[file] || !reach[file][file] {
            continue;
        }
        let members: Vec<usize> = (0..done.len()).filter(|&other| reach[file][other] && reach[other][file]).collect();
        members.iter().for_each(|&member| done[member] = true);
        let cycles = members.iter().filter_map(|&member| shortest(&edges, member));
        let Some(cycle) = cycles.min_by_key(Vec::len) else { continue };
        let steps = cycle.iter().map(|step| {
            let (from, to) = (&modules.files[step.from], &modules.files[step.to]);
            format!("{from}:{} names `{}` of {to}", step.line, step.name)
        });
        let steps = steps.collect::<Vec<_>>().join(", ");
        let message = format!("{} files build on one another, such as: {steps}", members.len());
        findings.push(Finding::new(format!("{prefix}{}", modules.files[cycle[0].from]), cycle[0].line, message));
    }
    findings
}

/// Which files are reached from one in a step or more.
fn reachable(edges: &BTreeMap<(usize, usize), Use>, from: usize, count: usize) -> Vec<bool> {
    let mut reached = vec![false; count];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for ((_, to), _) in edges.range((at, 0)..(at + 1, 0)) {
            if !std::mem::replace(&mut reached[*to], true) {
                open.push(*to);
            }
        }
    }
    reached
}

/// A shortest way from a file back to itself.
fn shortest(edges: &BTreeMap<(usize, usize), Use>, start: usize) -> Option<Vec<Use>> {
    let mut arrived: BTreeMap<usize, &Use> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        for ((_, to), step) in edges.range((at, 0)..(at + 1, 0)) {
            if arrived.contains_key(to) {
                continue;
            }
            arrived.insert(*to, step);
            open.push_back(*to);
        }
    }
    let mut way = vec![(*arrived.get(&start)?).clone()];
    while way[0].from != start {
        way.insert(0, (*arrived.get(&way[0].from)?).clone());
    }
    Some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_through_a_facade() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", "pub struct A;\n\nfn f(b: crate::B) {}"),
            ("b.rs", "use super::a::A; pub struct B;"),
        ];
        let found = cycles("space/src/", &files);
        let text = "space/src/a.rs:3: 2 files build on one another, such as: a.rs:3 names `crate::B` of b.rs, \
                    b.rs:1 names `super::a::A` of a.rs";
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    }

    #[test]
    fn a_line_is_no_cycle() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::{b::B, c::C}; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "pub struct C;"),
        ];
        assert_eq!(cycles("", &files), []);
    }

    #[test]
    fn packages_are_apart() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[package]"),
            ("a/src/lib.rs", "mod x; pub struct S; fn f(x: x::X) {}"),
            ("a/src/x.rs", "use super::S; pub struct X;"),
            ("a/b/Cargo.toml", "[package]"),
            ("a/b/src/lib.rs", "mod x; pub struct S;"),
            ("a/b/src/x.rs", "use super::S; pub struct X;"),
        ]);
        let found = check(&tree);
        assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a/src/lib.rs"]);
    }
}
