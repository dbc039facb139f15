//! Fills templates, and breaks long lines.

/// Whether Python takes a word as a name. A number begins none, and `os_-1` of a checkpoint is none.
pub(crate) fn is_identifier(word: &str) -> bool {
    let first = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Longest line.
pub(crate) const WIDTH: usize = 120;

/// The same template with the number of each place raised.
pub(crate) fn shifted(template: &str, by: usize) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('#') {
        out.push_str(&rest[..=at]);
        let (number, tail) = number(&rest[at + 1..]);
        out.push_str(&(number + by).to_string());
        rest = tail;
    }
    out + rest
}

/// A number at the front, and what follows.
fn number(text: &str) -> (usize, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().unwrap_or(0), &text[end..])
}

/// The template with its numbers filled in.
pub(crate) fn fill(template: &str, numbers: &dyn Fn(usize) -> String) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['#', '<', '{']) {
        out.push_str(&rest[..at]);
        let (mark, tail) = (rest.as_bytes()[at], &rest[at + 1..]);
        match mark {
            b'#' => {
                let (k, after) = number(tail);
                out.push_str(&numbers(k));
                rest = after;
            }
            b'<' => {
                let (inner, after) = tail.split_once('>').unwrap_or((tail, ""));
                let (text, default) = inner.rsplit_once('|').unwrap_or((inner, ""));
                let place = text.find('#').map_or(0, |i| number(&text[i + 1..]).0);
                if numbers(place) != default {
                    out.push_str(&fill(text, numbers));
                }
                rest = after;
            }
            _ => {
                let end = closing(tail);
                let (text, count) = tail[..end].rsplit_once("|#").unwrap_or((&tail[..end], "0"));
                let (one, times) = (fill(text, numbers), numbers(number(count).0));
                match times.as_str() {
                    "1" => out.push_str(&one),
                    _ => out.push_str(&format!("*[{one} for _ in range({times})]")),
                }
                rest = &tail[(end + 1).min(tail.len())..];
            }
        }
    }
    out + rest
}

/// Where the brace before `text` closes.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return i,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether an expression needs no parentheses as an operand: no operator stands outside of parentheses.
pub(crate) fn is_operand(text: &str) -> bool {
    let mut depth = 0;
    text.chars().all(|c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c != ' ' || depth > 0
    })
}

/// Whether all parentheses of a text are closed.
fn is_closed(text: &str) -> bool {
    text.matches(['(', '[']).count() == text.matches([')', ']']).count()
}

/// Adds a line; a long one is broken at the commas of its outermost call, and so on inside.
pub(crate) fn write(out: &mut String, indent: usize, line: &str) {
    let pad = " ".repeat(indent);
    match breakable(line).filter(|_| indent + line.chars().count() > WIDTH) {
        None => out.push_str(&format!("{pad}{line}\n")),
        Some((open, close, parts)) => {
            out.push_str(&format!("{pad}{}\n", &line[..=open]));
            for part in parts {
                match part.rsplit_once(" for _ in ").filter(|(one, _)| is_closed(one)) {
                    // A comprehension has no comma at its end.
                    Some((one, range)) => {
                        write(out, indent + 4, one);
                        write(out, indent + 4, &format!("for _ in {range}"));
                    }
                    None => write(out, indent + 4, &format!("{part},")),
                }
            }
            out.push_str(&format!("{pad}{}\n", &line[close..]));
        }
    }
}

/// The last outermost parentheses of a line, and what its commas divide.
fn breakable(line: &str) -> Option<(usize, usize, Vec<&str>)> {
    let (mut depth, mut open, mut found) = (0, 0, None);
    let mut commas = Vec::new();
    for (i, c) in line.char_indices() {
        match c {
            '(' | '[' => {
                depth += 1;
                if depth == 1 {
                    open = i;
                    commas.clear();
                }
            }
            ')' | ']' => {
                depth -= 1;
                if depth == 0 && i > open + 1 {
                    found = Some((open, i, commas.clone()));
                }
            }
            ',' if depth == 1 => commas.push(i),
            _ => {}
        }
    }
    let (open, close, commas) = found?;
    let starts = std::iter::once(open).chain(commas.iter().copied());
    let ends = commas.iter().copied().chain([close]);
    let parts = starts.zip(ends).map(|(s, e)| line[s + 1..e].trim()).filter(|p| !p.is_empty()).collect();
    Some((open, close, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_defaults_left_out() {
        let numbers = |k: usize| ["8", "1", "3"][k].to_string();
        assert_eq!(fill("f(#0<, stride=#1|1><, kernel=#2|1>)", &numbers), "f(8, kernel=3)");
        assert_eq!(fill("s({g(#0)|#1}, {g(#0)|#2})", &numbers), "s(g(8), *[g(8) for _ in range(3)])");
        assert_eq!(shifted("f(#0, #12)", 3), "f(#3, #15)");
    }

    #[test]
    fn long_lines_break_at_the_outermost_commas() {
        let mut out = String::new();
        let call = format!("self.a = f(g({0}, {0}), {0})", "x".repeat(40));
        write(&mut out, 8, &call);
        let x = "x".repeat(40);
        assert_eq!(out, format!("        self.a = f(\n            g({x}, {x}),\n            {x},\n        )\n"));
        out.clear();
        let (pad, short) = (" ".repeat(88), "x".repeat(20));
        write(&mut out, 88, &format!("*[f({short}) for _ in range(2)],"));
        assert_eq!(out, format!("{pad}*[\n{pad}    f({short})\n{pad}    for _ in range(2)\n{pad}],\n"));
        assert!(is_operand("f(a + b)[1, 2]") && !is_operand("a + b"));
    }
}
