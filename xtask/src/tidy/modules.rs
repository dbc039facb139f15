//! The modules of a crate, and which file names an item of which other. A name is followed through `use` and `pub use`
//! to the file that defines it, so that a facade which only re-exports depends on nothing.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;

use super::syntax::{braces, inside, is_ident, is_punct, line, path, starts_with_colons, test_modules, tokens};

/// A module: a file's, or one in braces within a file.
#[derive(Debug, Default)]
struct Module {
    file: usize,
    /// Names that `use` brings in, each with the path it stands for.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules of which `use` brings in everything.
    globs: Vec<Vec<String>>,
    /// Items defined here.
    items: BTreeSet<String>,
    /// Paths in code and in private `use`, as written, each with its first line.
    named: BTreeMap<Vec<String>, usize>,
}

/// One file that names an item of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    pub name: String,
}

/// The modules of one crate by their paths.
#[derive(Debug, Default)]
pub struct Modules {
    modules: BTreeMap<Vec<String>, Module>,
    pub files: Vec<String>,
}

/// Where names were looked up already, and which.
type Seen = BTreeSet<(Vec<String>, Vec<String>)>;

/// Words before the name of an item.
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];

impl Modules {
    /// From the files under a package's `src`, each with its path from there.
    pub fn of(files: &[(&str, &str)]) -> Modules {
        let has_lib = files.iter().any(|(file, _)| *file == "lib.rs");
        let mut this = Modules::default();
        let mut tests = BTreeSet::new();
        for (file, text) in files {
            let Some(module) = module_path(file, has_lib) else { continue };
            tests.extend(test_modules(text).into_iter().map(|name| [module.as_slice(), &[name]].concat()));
            this.files.push((*file).to_owned());
            this.add(module, this.files.len() - 1, &tokens(text));
        }
        this.modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        this
    }

    /// Adds a module and those in braces within it.
    fn add(&mut self, path: Vec<String>, file: usize, tokens: &[TokenTree]) {
        let mut module = Module { file, ..Module::default() };
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at..] {
                [keyword, TokenTree::Ident(name), body, ..] if is_ident(keyword, "mod") && braces(body).is_some() => {
                    let child = [path.as_slice(), &[name.to_string()]].concat();
                    self.add(child, file, &braces(body).unwrap_or_default());
                    at += 3;
                    continue;
                }
                [keyword, bang, TokenTree::Ident(name), ..]
                    if is_ident(keyword, "macro_rules") && is_punct(bang, '!') =>
                {
                    module.items.insert(name.to_string());
                }
                // The `static` of `&'static Item` defines nothing.
                [keyword, TokenTree::Ident(name), ..]
                    if ITEMS.iter().any(|item| is_ident(keyword, item))
                        && (at == 0 || !is_punct(&tokens[at - 1], '\'')) =>
                {
                    module.items.insert(name.to_string());
                }
                _ => (),
            }
            at += module.read(&tokens[at..]);
        }
        self.modules.insert(path, module);
    }

    /// All uses of one file's items in another.
    pub fn uses(&self) -> Vec<Use> {
        let all = self.modules.iter().flat_map(|(path, module)| module.named.iter().map(move |n| (path, module, n)));
        all.filter_map(|(path, module, (segments, line))| {
            let definer = self.resolve(path, segments, &mut Seen::new())?;
            let to = self.modules.get(&definer)?.file;
            let name = segments.join("::");
            (to != module.file).then_some(Use { from: module.file, to, line: *line, name })
        })
        .collect()
    }

    /// The module that defines what `segments` name within the module `at`; none for another crate's items, for local
    /// names, and for a module itself.
    fn resolve(&self, at: &[String], segments: &[String], seen: &mut Seen) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => return self.resolve(&[], rest, seen),
            "self" => return self.resolve(at, rest, seen),
            "super" => return self.resolve(at.split_last()?.1, rest, seen),
            _ => (),
        }
        let module = self.modules.get(at)?;
        if !seen.insert((at.to_vec(), segments.to_vec())) {
            return None;
        }
        let child = [at, std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&child) {
            return self.resolve(&child, rest, seen);
        }
        if module.items.contains(first) {
            return Some(at.to_vec());
        }
        if let Some(target) = module.imports.get(first) {
            return self.resolve(at, &[target, rest].concat(), seen);
        }
        // A glob of another crate would be followed for ever: nothing of it is known here.
        let own = |glob: &&Vec<String>| {
            glob.first().is_some_and(|first| {
                ["crate", "self", "super"].contains(&first.as_str())
                    || self.modules.contains_key(&[at, std::slice::from_ref(first)].concat())
            })
        };
        module.globs.iter().filter(own).find_map(|glob| self.resolve(at, &[glob, segments].concat(), seen))
    }
}

impl Module {
    /// Reads the `use`, path, group or other token at the beginning; says how many tokens that is.
    fn read(&mut self, tokens: &[TokenTree]) -> usize {
        let (public, rest) = match tokens {
            [first, second, rest @ ..] if is_ident(first, "pub") && inside(second).is_some() => (2, rest),
            [first, rest @ ..] if is_ident(first, "pub") => (1, rest),
            _ => (0, tokens),
        };
        if rest.first().is_some_and(|first| is_ident(first, "use")) {
            let end = rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len());
            self.import(&[], &rest[1..end], public > 0);
            return public + end + 1;
        }
        if let Some(inner) = inside(&tokens[0]) {
            let mut at = 0;
            while at < inner.len() {
                at += self.read(&inner[at..]);
            }
            return 1;
        }
        let Some((segments, length)) = path(tokens) else { return 1 };
        self.named.entry(segments).or_insert_with(|| line(&tokens[0]));
        length
    }

    /// Reads the tree of a `use`, or a branch of it after `prefix`.
    fn import(&mut self, prefix: &[String], tokens: &[TokenTree], public: bool) {
        let after_colons = |tokens| if starts_with_colons(tokens) { &tokens[2..] } else { tokens };
        let (segments, length) = path(after_colons(tokens)).unwrap_or_default();
        let mut full = [prefix, &segments].concat();
        let rest = after_colons(&after_colons(tokens)[length..]);
        match rest {
            [star, ..] if is_punct(star, '*') => self.globs.push(full),
            [group, ..] if braces(group).is_some() => {
                let branches = braces(group).unwrap_or_default();
                branches.split(|token| is_punct(token, ',')).for_each(|branch| self.import(&full, branch, public));
            }
            _ if segments.is_empty() => (),
            _ => {
                if full.len() > 1 && full.last().is_some_and(|last| last == "self") {
                    full.pop();
                }
                if !public {
                    self.named.entry(full.clone()).or_insert_with(|| line(&tokens[0]));
                }
                let name = match rest {
                    [keyword, TokenTree::Ident(alias), ..] if is_ident(keyword, "as") => alias.to_string(),
                    _ => full.last().cloned().unwrap_or_default(),
                };
                // `use anyhow::anyhow` would be followed for ever.
                if full.first() != Some(&name) {
                    self.imports.insert(name, full);
                }
            }
        }
    }
}

/// The module of a file; none for other programs than `main.rs`, and for `main.rs` beside a library.
fn module_path(file: &str, has_lib: bool) -> Option<Vec<String>> {
    if file.starts_with("bin/") || (has_lib && file == "main.rs") {
        return None;
    }
    let stem = file.strip_suffix(".rs")?;
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    Some(if ["lib", "main"].contains(&stem) { Vec::new() } else { stem.split('/').map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each use as `from -> to: name`.
    fn uses(files: &[(&str, &str)]) -> Vec<String> {
        let modules = Modules::of(files);
        let uses = modules.uses().into_iter();
        uses.map(|u| format!("{} -> {}: {}", modules.files[u.from], modules.files[u.to], u.name)).collect()
    }

    #[test]
    fn paths_are_resolved_to_the_file_that_defines() {
        let files = [
            ("lib.rs", "pub mod a; mod b; mod c; pub use a::inner::Deep; use anyhow::anyhow; fn f() { anyhow!() }"),
            ("a/mod.rs", "mod inner; pub use inner::{Deep, Other as Renamed}; pub struct Own;"),
            ("a/inner.rs", "pub struct Deep; pub struct Other;"),
            ("b.rs", "use crate::a::{self, Renamed}; fn f() { a::Own; crate::Deep::new() }"),
            ("c.rs", "pub(crate) use super::b::*; const X: u8 = std::mem::size_of::<u8>();"),
        ];
        let expected = ["b.rs -> a/mod.rs: a::Own", "b.rs -> a/inner.rs: crate::Deep::new"];
        let renamed = ["b.rs -> a/inner.rs: Renamed", "b.rs -> a/inner.rs: crate::a::Renamed"];
        let found = uses(&files);
        assert!(expected.iter().chain(&renamed[1..]).all(|e| found.iter().any(|f| f == e)), "{found:?}");
        assert!(found.iter().all(|f| f.starts_with("b.rs")), "{found:?}");
    }

    #[test]
    fn globs_of_other_crates_end_a_path() {
        let files = [
            ("lib.rs", "mod a; pub use other::*; use another::*; fn f(x: other::X, y: Y) {}"),
            ("a.rs", "use super::Z;"),
        ];
        assert_eq!(uses(&files), Vec::<String>::new());
    }

    #[test]
    fn tests_count_neither_in_braces_nor_in_files() {
        let files = [
            ("lib.rs", "mod a; pub struct S; #[cfg(test)] mod tests; #[cfg(test)] mod t { use crate::a::A; }"),
            ("a.rs", "pub struct A;"),
            ("tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(uses(&files), Vec::<String>::new());
    }

    #[test]
    fn modules_in_braces_belong_to_their_file() {
        let files =
            [("lib.rs", "mod a; pub struct S; mod inner { fn f() { super::a::A } }"), ("a.rs", "pub struct A;")];
        assert_eq!(uses(&files), ["lib.rs -> a.rs: super::a::A"]);
    }

    #[test]
    fn uses_in_functions_and_macros_count() {
        let files = [
            ("lib.rs", "mod a; mod b; fn f() { use a::A; } fn g() { format!(\"{}\", crate::b::B) }"),
            ("a.rs", "pub struct A;"),
            ("b.rs", "pub const B: u8 = 1;"),
        ];
        assert_eq!(uses(&files), ["lib.rs -> a.rs: a::A", "lib.rs -> b.rs: crate::b::B"]);
    }
}
