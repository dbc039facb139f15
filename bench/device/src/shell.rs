//! Lines for shells: placeholders of a template, and quoting.

use std::process::{Command, Stdio};

/// A line that a shell on this machine runs.
pub fn here(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null());
    command
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A template with its placeholders replaced, in one pass: a value is never searched for others. Braces that enclose none of
/// the names stay: awk and JSON have them, too.
pub fn filled(template: &str, values: &[(&str, String)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|r| r.starts_with('}')));
        let length = match found {
            Some((name, value)) => {
                out.push_str(value);
                name.len() + 2
            }
            None => {
                out.push('{');
                1
            }
        };
        rest = &rest[length..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_the_shell() {
        for word in ["a", "", "a b", "it's", "$HOME", "a\"b\\", "é;rm"] {
            let out = here(&format!("printf %s {}", quoted(word))).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
    }

    #[test]
    fn placeholders_are_replaced_once() {
        let values = [("file", "{threads}".to_string()), ("threads", "4".to_string())];
        assert_eq!(filled("run {file} {threads} {print $1} {", &values), "run {threads} 4 {print $1} {");
    }
}
