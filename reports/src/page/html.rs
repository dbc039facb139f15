//! Small pieces of HTML. Every text is escaped, so that a name with markup stays a name.

pub(super) use crate::escape::escape;

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
    /// A knob or a digest, in a fixed-width font.
    Code(String),
    /// A genome.
    Genome {
        /// The nearest published variant; empty if there is none.
        nearest: String,
        /// Where the genome differs from it; parts are not broken over lines.
        differing: Vec<String>,
        /// All knobs, shown on a click.
        whole: Vec<String>,
    },
}

impl Cell {
    /// A number, or a dash if it is not known.
    pub(super) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Cell {
        Cell::Number(value.map_or_else(|| "–".to_owned(), show))
    }
}

/// A table with its column heads; a column with a number is aligned to the right. On a phone each row is a card.
pub(super) fn table<H: AsRef<str>>(heads: &[H], rows: &[Vec<Cell>]) -> String {
    let is_number =
        |column: usize| rows.iter().any(|r| matches!(r.get(column), Some(Cell::Number(_) | Cell::Share { .. })));
    let head: String = heads
        .iter()
        .enumerate()
        .map(|(i, h)| {
            let class = if is_number(i) { " class=\"n\"" } else { "" };
            format!("<th scope=\"col\"{class}>{}</th>", escape(h.as_ref()))
        })
        .collect();
    let row = |r: &Vec<Cell>| -> String {
        let cells = r.iter().zip(heads).map(|(c, head)| cell(c, &escape(head.as_ref())));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = rows.iter().map(row).collect();
    format!("<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n")
}

fn cell(cell: &Cell, head: &str) -> String {
    let parts = |parts: &[String]| {
        let parts: Vec<String> = parts.iter().map(|p| format!("<span>{}</span>", escape(p))).collect();
        format!("<code>{}</code>", parts.join(" "))
    };
    let (class, attributes, html) = match cell {
        Cell::Text(text) => ("", String::new(), escape(text)),
        Cell::Number(text) => ("n", String::new(), escape(text)),
        Cell::Share { part, whole } => {
            let percent = 100.0 * *part as f64 / (*whole).max(1) as f64;
            ("n share", format!(" style=\"--part:{percent:.1}%\""), format!("{part} ({percent:.0} %)"))
        }
        Cell::Code(text) => ("c", String::new(), parts(std::slice::from_ref(text))),
        Cell::Genome { nearest, differing, whole } => {
            let summary = match (nearest.is_empty(), differing.is_empty()) {
                (true, _) => format!("{} knobs", whole.len()),
                (false, true) => escape(nearest),
                (false, false) => format!("{} with {}", escape(nearest), parts(differing)),
            };
            ("genome", String::new(), format!("<details><summary>{summary}</summary>{}</details>", parts(whole)))
        }
    };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<td{class}{attributes} data-head=\"{head}\">{html}</td>")
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

/// A paragraph in small type.
pub(super) fn small(text: &str) -> String {
    format!("<p class=\"small\">{}</p>\n", escape(text))
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
