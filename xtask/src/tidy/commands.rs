//! Commands in the docs are commands of the program: `mobilenas ...` is judged by its own parser, `cargo xtask ...` by
//! ours. Configs that they name exist.
//!
//! Commands are lines of code blocks, and code in running text. They may be written as a usage line, with `[--option
//! VALUE]`, `NAME...` and `<name>`; and running text may leave arguments out.

use super::registries::Refusal;
use super::{Facts, Finding, Tree};
use crate::args::Args;

/// A command in the docs.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    path: String,
    line: usize,
    /// Whether it stands in a code block, and so has to be whole.
    block: bool,
    words: Vec<String>,
}

/// One finding for each command that its program refuses.
pub fn check(tree: &Tree, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for command in commands(tree) {
        let mut finding = |message: String| {
            let words = command.words.join(" ");
            findings.push(Finding::new(&command.path, command.line, format!("`{words}`: {message}")));
        };
        let configs = command.words.iter().filter(|word| word.starts_with("configs/"));
        configs.filter(|word| !tree.has(word)).for_each(|word| finding(format!("there is no {word}")));
        if let Some(words) = program_words(&command.words).filter(|words| !words.is_empty()) {
            let refusal = facts.refusals.get(words).filter(|refusal| !excused(&command, words, refusal));
            refusal.into_iter().for_each(|refusal| finding(refusal.message.clone()));
        } else if command.words[0] == "cargo"
            && let Err(error) = Args::parse(command.words[2..].iter().cloned())
        {
            finding(format!("{error:#}"));
        }
    }
    findings
}

/// The distinct commands of the program, without its name.
pub fn of_program(tree: &Tree) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> =
        commands(tree).iter().filter_map(|command| program_words(&command.words)).map(<[String]>::to_vec).collect();
    all.retain(|words| !words.is_empty());
    all.sort();
    all.dedup();
    all
}

/// What follows `mobilenas` or `cargo xtask run`.
fn program_words(words: &[String]) -> Option<&[String]> {
    match words {
        [name, rest @ ..] if name == "mobilenas" => Some(rest),
        [_, _, run, rest @ ..] if run == "run" => Some(rest),
        _ => None,
    }
}

/// Whether the program refuses only what a reader fills in: an argument that running text leaves out, or a value that
/// stands in capitals.
fn excused(command: &Command, words: &[String], refusal: &Refusal) -> bool {
    let missing = ["MissingRequiredArgument", "MissingSubcommand", "DisplayHelpOnMissingArgumentOrSubcommand"];
    let value = ["InvalidValue", "ValueValidation"];
    let capitals = |word: &String| {
        word.chars().all(|c| c.is_ascii_uppercase() || ['_', '-', ',', '.'].contains(&c))
            && refusal.message.contains(&format!("'{word}'"))
    };
    (!command.block && missing.contains(&refusal.kind.as_str()))
        || (value.contains(&refusal.kind.as_str()) && words.iter().any(capitals))
}

/// All commands of the README and docs/.
fn commands(tree: &Tree) -> Vec<Command> {
    tree.docs().flat_map(|(path, text)| page(path, text)).collect()
}

fn page(path: &str, text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut fenced = false;
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        if first.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let mut add = |code: &str, block: bool| {
            let parts = code.split("&&").flat_map(|part| part.split("; ")).filter_map(words);
            commands.extend(parts.map(|words| Command { path: path.to_owned(), line: at + 1, block, words }));
        };
        if fenced || first.starts_with("    ") {
            let mut code = first.to_owned();
            while code.ends_with('\\') {
                code.pop();
                code += lines.next().map_or("", |(_, more)| more);
            }
            add(&code, true);
        } else {
            first.split('`').skip(1).step_by(2).for_each(|code| add(code, false));
        }
    }
    commands
}

/// The words of a command of ours, with the notation of a usage line taken off.
fn words(code: &str) -> Option<Vec<String>> {
    let code = code.replace("\\|", "|").replace(" 2>", " #");
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut word = String::new();
    for c in code.trim().trim_start_matches("$ ").chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | ']' | '<' | '>' | '(' | ')') if !word.contains('=') => (),
            (None, ' ') => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (None, c) => word.push(c),
        }
    }
    // Variables before a command; then what a shell reads for itself.
    let begin = words.iter().position(|word| !word.contains('='))?;
    let words = words.split_off(begin);
    let end = words.iter().position(|word| ["#", "|", "&"].contains(&word.as_str())).unwrap_or(words.len());
    let usage = words[..end].iter().map(|word| {
        let word = word.trim_end_matches("...").trim_end_matches('…');
        word.split_once('|').map_or(word, |(first, _)| first).to_owned()
    });
    let words: Vec<String> = usage.filter(|word| !word.is_empty()).collect();
    let ours = match words.first()?.as_str() {
        "mobilenas" => words.len() > 1,
        "cargo" => words.len() > 2 && words[1] == "xtask",
        _ => false,
    };
    ours.then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn commands_are_read_from_blocks_and_text() {
        let text = "Say `mobilenas bench score`, or `mobilenas` alone.\n\n    $ X=1 cargo xtask run check a.yaml # why\n\
                    ```sh\nmobilenas report RUN... [--out DIR] \\\n  --json | jq .\ncat x && mobilenas models 'a b'\n```\n\
                    mobilenas is a program. `mobilenas schema [train\\|gate]`";
        let all: Vec<String> = page("README.md", text)
            .iter()
            .map(|c| format!("{}{} {}", c.line, if c.block { "!" } else { "" }, c.words.join(",")))
            .collect();
        let expected = [
            "1 mobilenas,bench,score",
            "3! cargo,xtask,run,check,a.yaml",
            "5! mobilenas,report,RUN,--out,DIR,--json",
            "7! mobilenas,models,a b",
            "9 mobilenas,schema,train",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn refused_commands_are_found() {
        let text = "`mobilenas serch x`, `cargo xtask tset`, `mobilenas check configs/gone.yaml`, `cargo xtask test`,\n\
                    `mobilenas train`, `mobilenas completions SHELL`\n\n    mobilenas train";
        let tree = Tree::of(&[("docs/a.md", text)]);
        let mut facts = Facts::default();
        for (words, kind, message) in [
            ("serch x", "InvalidSubcommand", "unrecognized subcommand 'serch'"),
            ("train", "MissingRequiredArgument", "CONFIG is missing"),
            ("completions SHELL", "InvalidValue", "invalid value 'SHELL' for '<SHELL>'"),
        ] {
            facts.refusals.insert(split(words), Refusal { kind: kind.to_owned(), message: message.to_owned() });
        }
        let found: Vec<String> = check(&tree, &facts).iter().map(ToString::to_string).collect();
        let expected = [
            "docs/a.md:1: `mobilenas serch x`: unrecognized subcommand 'serch'",
            "docs/a.md:1: `cargo xtask tset`: there is no task `tset`; `cargo xtask` lists them",
            "docs/a.md:1: `mobilenas check configs/gone.yaml`: there is no configs/gone.yaml",
            "docs/a.md:4: `mobilenas train`: CONFIG is missing",
        ];
        assert_eq!(found, expected);
    }
}
