//! A whole HTML page: one file that opens without a network. Style, script, data and plots are inside.

use super::html::{escape, list};
use super::script;

const STYLE: &str = include_str!("style.css");

/// A page around its body.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} – mobilenas</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n{}</body>\n</html>\n",
        script::policy(),
        escape(title),
        script::element()
    )
}

/// What a reader has to know before the numbers, as a box that opens on a click; empty if there is nothing.
pub(super) fn caveats<'a>(heading: &str, texts: impl ExactSizeIterator<Item = &'a str>) -> String {
    if texts.len() == 0 {
        return String::new();
    }
    format!(
        "<details id=\"caveats\" class=\"caveats\"><summary>{}</summary>\n{}</details>\n",
        escape(heading),
        list(texts)
    )
}
