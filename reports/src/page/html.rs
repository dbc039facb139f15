//! Small pieces of HTML. Every text goes through [`escape`], so that a name with markup stays a name.

/// `text` with everything that HTML or XML could take for markup replaced, and control characters, which XML forbids,
/// made visible.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A cell of a table.
pub(super) enum Cell {
    /// Words, to the left.
    Text(String),
    /// A number with the same decimals as its column, to the right.
    Number(String),
    /// A share as a bar, with its numbers.
    Share {
        /// How many.
        part: usize,
        /// Of how many.
        whole: usize,
    },
    /// A genome or a digest, in a fixed-width font; its parts are not broken over lines.
    Code(Vec<String>),
}

impl Cell {
    /// A number, or a dash for what is not known.
    pub(super) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
        Cell::Number(value.map_or_else(|| "–".to_owned(), show))
    }
}

/// A table with its column heads; a column with a number is aligned to the right.
pub(super) fn table(heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let is_number =
        |column: usize| rows.iter().any(|r| matches!(r.get(column), Some(Cell::Number(_) | Cell::Share { .. })));
    let head: String = heads
        .iter()
        .enumerate()
        .map(|(i, h)| {
            let class = if is_number(i) { " class=\"n\"" } else { "" };
            format!("<th scope=\"col\"{class}>{}</th>", escape(h))
        })
        .collect();
    let body: String = rows.iter().map(|r| format!("<tr>{}</tr>\n", r.iter().map(cell).collect::<String>())).collect();
    format!(
        "<div class=\"scroll\" \
         tabindex=\"0\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => format!("<td>{}</td>", escape(text)),
        Cell::Number(text) => format!("<td class=\"n\">{}</td>", escape(text)),
        Cell::Share { part, whole } => {
            let percent = 100.0 * *part as f64 / (*whole).max(1) as f64;
            format!("<td class=\"n share\" style=\"--part:{percent:.1}%\">{part} ({percent:.0} %)</td>")
        }
        Cell::Code(parts) => {
            let parts: Vec<String> = parts.iter().map(|p| format!("<span>{}</span>", escape(p))).collect();
            format!("<td class=\"c\"><code>{}</code></td>", parts.join(" "))
        }
    }
}

/// Names and their values, one a row.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value))).collect();
    format!("<dl>\n{rows}</dl>\n")
}

/// Sentences as a list.
pub(super) fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: String = items.map(|i| format!("<li>{}</li>\n", escape(i))).collect();
    format!("<ul>\n{items}</ul>\n")
}

/// A section with its heading; `body` is HTML.
pub(super) fn section(id: &str, heading: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", escape(heading))
}

/// A paragraph of text.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_stays_text() {
        assert_eq!(escape("<b a='1' c=\"2\">&\u{1}"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\u{fffd}");
        let rows = [vec![Cell::Text("<script>".to_owned()), Cell::number(None, |v| v.to_string())]];
        let made = table(&["<i>", "n"], &rows);
        assert!(!made.contains("<script>") && !made.contains("<i>"), "{made}");
    }
}
