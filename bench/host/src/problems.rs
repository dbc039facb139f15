//! Mistakes in a config file, all of them at once, each with its line, its path, and what was expected.

use std::fmt;
use std::path::PathBuf;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: u64,
    /// Path in the tree; empty for the whole.
    pub path: Vec<String>,
    /// What was found, and what was expected.
    pub message: String,
}

/// The mistakes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// The mistakes, by line.
    pub all: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl Problems {
    /// None yet.
    pub fn new(file: impl Into<PathBuf>) -> Problems {
        Problems { file: file.into(), all: Vec::new() }
    }

    /// Adds a mistake of a line.
    pub fn add(&mut self, line: u64, path: &[String], message: impl Into<String>) {
        self.all.push(Problem { line, path: path.to_vec(), message: message.into() });
    }

    /// The mistakes, if there are any.
    ///
    /// # Errors
    /// The mistakes.
    pub fn none(mut self) -> Result<(), Problems> {
        self.all.sort_by_key(|p| p.line);
        if self.all.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.all.len();
        write!(f, "{}: {n} mistake{}", self.file.display(), if n == 1 { "" } else { "s" })?;
        for p in &self.all {
            write!(f, "\n  line {}", p.line)?;
            if !p.path.is_empty() {
                write!(f, ", {}", printable(&p.path.join(".")))?;
            }
            write!(f, ": {}", printable(&p.message))?;
        }
        Ok(())
    }
}

/// A text of a file as a message may show it: control characters, which a terminal would obey, as escapes.
pub fn printable(text: &str) -> String {
    let one = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

/// The valid name most like a wrong one, if one is alike at all.
pub fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |v: &'a str| (strsim::damerau_levenshtein(name, v), v);
    let (far, best) = valid.into_iter().map(distance).min()?;
    (far <= name.len().max(best.len()).div_ceil(2)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_escapes() {
        assert_eq!(printable("a\u{1b}[31mb\r\u{7f}\u{9b}\tc\nd é"), "a\\u{1b}[31mb\\r\\u{7f}\\u{9b}\\tc\nd é");
    }
}
