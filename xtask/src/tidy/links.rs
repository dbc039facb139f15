//! Relative links in Markdown lead somewhere: to a file, a folder, or a heading of a page.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// One finding for each dead link.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let of_page = |(path, text): (&str, &str)| {
        let dead = links(text).into_iter().filter_map(|(line, target)| {
            let why = dead(tree, path, &target)?;
            Some(Finding::new(path, line, format!("dead link `{target}`: {why}")))
        });
        dead.collect::<Vec<_>>()
    };
    tree.ending(".md").flat_map(of_page).collect()
}

/// Why a link leads nowhere, if so.
fn dead(tree: &Tree, page: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { joined(page, file)? };
    if !tree.has(&file) {
        return Some(format!("there is no {file}"));
    }
    let text = tree.texts.get(&file).filter(|_| file.ends_with(".md"))?;
    (!heading.is_empty() && !anchors(text).contains(heading)).then(|| format!("{file} has no such heading"))
}

/// A path relative to a page, from the root.
fn joined(page: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines outside fenced code, numbered from 1 on.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// Targets of `[text](target)`, `![text](target)`, `[name]: target`, `src="target"` and `href="target"`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // Every other part between backticks is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for (open, close) in [("](", [')', ' ']), ("src=\"", ['"'; 2]), ("href=\"", ['"'; 2])] {
            let targets = line.split(open).skip(1).filter_map(|rest| rest.split(close).next());
            links.extend(targets.map(|target| (number, target.to_owned())));
        }
        if let Some((_, target)) = line.split_once("]: ").filter(|(name, _)| name.starts_with('[')) {
            links.push((number, target.trim().to_owned()));
        }
    }
    links
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found_and_live_ones_are_not() {
        let page = "[a](b.md) [x](../README.md#the-top) ![p](p.svg)\n[d](gone.md) [h](b.md#none) `[c](code.md)`\n\
                    ```\n[f](fenced.md)\n```\n[w](https://x.org/y) [here](#it) [src](../space/src)\n# It\n\
                    [ref]: away.md\n<img src=\"p.png\">";
        let tree = Tree::of(&[
            ("docs/a.md", page),
            ("docs/b.md", ""),
            ("docs/p.svg", ""),
            ("README.md", "# The `top`!"),
            ("space/src/lib.rs", ""),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        let expected = [
            "docs/a.md:2: dead link `gone.md`: there is no docs/gone.md",
            "docs/a.md:2: dead link `b.md#none`: docs/b.md has no such heading",
            "docs/a.md:8: dead link `away.md`: there is no docs/away.md",
            "docs/a.md:9: dead link `p.png`: there is no docs/p.png",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_headings_are_numbered() {
        let anchors = anchors("# What it is\n## int8\n## int8\n```\n# no heading\n```");
        assert_eq!(anchors.into_iter().collect::<Vec<_>>(), ["int8", "int8-1", "what-it-is"]);
    }
}
