//! Every entry of a registry is documented: its name stands in the README or under docs/.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Finding, Tree};

/// What only the built program knows.
#[derive(Debug, Default)]
pub struct Facts {
    /// The names of each registry's entries.
    pub registries: BTreeMap<String, BTreeSet<String>>,
    /// Command lines that the program refuses.
    pub refusals: BTreeMap<Vec<String>, Refusal>,
}

/// Why the program's parser refuses a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The name of clap's `ErrorKind`.
    pub kind: String,
    /// Its message in a line.
    pub message: String,
}

impl Facts {
    /// Asks the program (`mobilenas facts`), which reads command lines and prints its registries and refusals.
    pub fn ask(program: &mut Command, questions: &[Vec<String>]) -> Result<Facts> {
        let lines: String = questions.iter().map(|words| words.join("\t") + "\n").collect();
        program.arg("facts").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().with_context(|| format!("{program:?} does not start"))?;
        // The program answers when it has read all.
        let sent = child.stdin.take().map(|mut stdin| stdin.write_all(lines.as_bytes()));
        sent.transpose().context("the program does not read its standard input")?;
        let output = child.wait_with_output().context("the program is lost")?;
        if !output.status.success() {
            bail!("{program:?} failed ({})", output.status);
        }
        let text = String::from_utf8(output.stdout).context("the program's answer is not UTF-8")?;
        Self::read(&text, questions)
    }

    /// Reads lines `entry REGISTRY NAME` and `refused QUESTION KIND MESSAGE`, parted by tabs.
    fn read(text: &str, questions: &[Vec<String>]) -> Result<Facts> {
        let mut facts = Facts::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["entry", registry, name] => {
                    facts.registries.entry(registry.to_owned()).or_default().insert(name.to_owned());
                }
                ["refused", question, kind, message] => {
                    let words = question.parse().ok().and_then(|at: usize| questions.get(at));
                    let words = words.with_context(|| format!("the program answers to question {question}"))?;
                    facts
                        .refusals
                        .insert(words.clone(), Refusal { kind: kind.to_owned(), message: message.to_owned() });
                }
                _ => bail!("the program answers {line:?}, expected `entry` or `refused`"),
            }
        }
        Ok(facts)
    }
}

/// One finding for each entry that no page names.
pub fn check(tree: &Tree, facts: &Facts) -> Vec<Finding> {
    let split = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric() && !['_', '-', '.'].contains(&c));
        words.map(|word| word.trim_matches(['.', '-']).to_owned()).collect::<Vec<_>>()
    };
    let named: BTreeSet<String> = tree.docs().flat_map(|(_, text)| split(text)).collect();
    let entries = facts.registries.iter().flat_map(|(registry, names)| names.iter().map(move |name| (registry, name)));
    let missing = entries.filter(|(_, name)| !named.contains(*name));
    missing
        .map(|(registry, name)| Finding::new("docs", 0, format!("{registry} has `{name}`, which no page names")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() -> Result<()> {
        let questions = [vec!["models".to_owned()], vec!["serch".to_owned()]];
        let text = "entry\tENGINES\tlibtorch\nentry\tENGINES\tonnxruntime\nrefused\t1\tInvalidSubcommand\tno serch\n";
        let facts = Facts::read(text, &questions)?;
        assert_eq!(facts.registries["ENGINES"].len(), 2);
        assert_eq!(facts.refusals[&questions[1]].message, "no serch");
        assert!(Facts::read("refused\t2\tx\ty", &questions).is_err() && Facts::read("error", &questions).is_err());
        Ok(())
    }

    #[test]
    fn entries_without_docs_are_found() {
        let names = ["onnxruntime", "onnxruntime-int8", "libtorch"].map(str::to_owned);
        let registries = BTreeMap::from([("ENGINES".to_owned(), BTreeSet::from(names))]);
        let facts = Facts { registries, ..Facts::default() };
        let tree = Tree::of(&[
            ("docs/a.md", "the engines `onnxruntime-int8` and libtorch."),
            ("ARCHITECTURE.md", "onnxruntime"),
        ]);
        let found: Vec<String> = check(&tree, &facts).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["docs:0: ENGINES has `onnxruntime`, which no page names"]);
    }
}
