//! Escaping for HTML and XML.

/// What stands for a character that XML forbids or nothing can show.
const REPLACEMENT: char = '\u{fffd}';

/// The character, or the replacement character for a control character and for what else XML 1.0 forbids.
pub fn shown(c: char) -> char {
    if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { REPLACEMENT } else { c }
}

/// `text` with everything replaced that HTML or XML could take for markup, or forbids.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c => out.push(shown(c)),
        }
    }
    out
}
