//! Sections: what a page is made of.

use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

use super::document::document;
use super::folder::{OutputFolder, Written};
use super::html::{escape, section};
use crate::error::ReportError;

/// A section of a page about `T`.
pub struct Section<T: ?Sized> {
    /// Its id in the page, one word.
    pub name: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// What it shows, in one line.
    pub help: &'static str,
    /// Writes the section's files and returns its HTML; empty if there is nothing to show.
    pub(super) render: fn(&T, &mut OutputFolder) -> Result<String, ReportError>,
}

/// Writes a page about `data`, and the files of its sections, into a folder. `header` is the HTML that the page opens with.
pub(super) fn write_page<T: Sync + ?Sized>(
    data: &T,
    sections: &[&Section<T>],
    title: &str,
    header: &str,
    file: &str,
    mut folder: OutputFolder,
) -> Result<Written, ReportError> {
    folder.create()?;
    let one = |s: &&Section<T>| {
        let mut own = folder.empty();
        (s.render)(data, &mut own).map(|body| (body, own))
    };
    let rendered: Vec<(String, OutputFolder)> = sections.par_iter().map(one).collect::<Result<_, _>>()?;
    let (mut contents, mut body) = (String::new(), String::new());
    for (s, (html, own)) in sections.iter().zip(rendered) {
        folder.adopt(own);
        if !html.is_empty() {
            contents += &format!("<li><a href=\"#{}\">{}</a>: {}</li>\n", s.name, escape(s.heading), escape(s.help));
            body += &section(s.name, s.heading, &html);
        }
    }
    let contents =
        format!("<details class=\"contents\"><summary>Contents</summary>\n<ul>\n{contents}</ul></details>\n");
    let page = document(title, &format!("<header>\n<h1>{}</h1>\n{header}{contents}</header>\n{body}", escape(title)));
    // Last, so that everything that it links to is there.
    folder.write(file, page.as_bytes())?;
    Ok(folder.finish(file))
}
