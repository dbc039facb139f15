//! The name of a run, which is that of its folder.

use std::path::Path;

/// What is wrong with the name that a config gives: it names a folder.
pub fn mistake(name: Option<&str>) -> Option<(Vec<String>, String)> {
    let name = name.filter(|name| !is_folder_name(name))?;
    let expected = "the name of one folder, without slashes and control characters";
    Some((vec!["name".to_string()], format!("found {name:?}, expected {expected}")))
}

/// Whether a text is one component of a path that every file system takes and every terminal prints.
fn is_folder_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '\u{fffe}' | '\u{ffff}');
    !matches!(name, "" | "." | "..") && name.len() <= 200 && name.chars().all(allowed)
}

/// The name of a run whose config gives none: that of the file, without its ending.
pub fn of(file: &Path) -> String {
    let stem = file.file_stem().map(|s| s.to_string_lossy().replace(char::is_control, "_")).unwrap_or_default();
    if is_folder_name(&stem) { stem } else { "run".to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_folder_without_control_characters() {
        for name in ["a", "a b", "007", "é", "..a", "-x", "a.b"] {
            assert_eq!(mistake(Some(name)), None, "{name:?}");
        }
        for name in ["", ".", "..", "a/b", "../esc", "/abs", "a\\b", "a\0b", "\u{1b}[31m", "\u{85}", "\u{ffff}"] {
            assert!(mistake(Some(name)).is_some(), "{name:?}");
        }
        assert!(mistake(Some(&"x".repeat(300))).is_some());
        assert_eq!(mistake(None), None);
    }

    #[test]
    fn the_name_of_a_file_becomes_a_sound_one() {
        for (file, name) in [("d/a.yaml", "a"), ("...yaml", "run"), ("a\nb.yaml", "a_b"), ("/", "run")] {
            assert_eq!(of(Path::new(file)), name);
        }
    }
}
