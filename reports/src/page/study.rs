//! A study's page.

mod baselines;
mod rank_fidelity;
mod this_study;
mod vs_random;

use std::path::Path;

use mobilenas_record::text;

use super::document::caveats;
use super::folder::{OutputFolder, Written};
use super::html::{escape, list};
use super::section::{Section, write_page};
use crate::error::ReportError;
use crate::study::{INDEX, Study};

/// The sections of a study's page, in order.
pub static STUDY_SECTIONS: &[Section<Study>] =
    &[rank_fidelity::SECTION, vs_random::SECTION, baselines::SECTION, this_study::SECTION];

/// Writes a study's page into `out`: `study/index.html`, with its plots and its table `networks.csv` beside it.
///
/// # Errors
/// If a file cannot be made or written; the files before it are then in place.
pub fn render_study(study: &Study, out: &Path) -> Result<Written, ReportError> {
    let folder = Path::new(INDEX).parent().unwrap_or(Path::new(""));
    let out = OutputFolder::flat(out.join(folder));
    let sections: Vec<_> = STUDY_SECTIONS.iter().collect();
    write_page(study, &sections, &study.header.name, &header(study), "index.html", out)
}

/// What the page opens with: an answer to each question that the study has asked.
fn header(study: &Study) -> String {
    let answers = [rank_fidelity::answer(study), vs_random::answer(study), baselines::answer(study)];
    let answers: Vec<String> = answers.into_iter().flatten().collect();
    let answer = match answers.is_empty() {
        true => "<p class=\"answer\">The study has no result yet.</p>\n".to_owned(),
        false => format!("<div class=\"answer\">{}</div>\n", list(answers.iter().map(String::as_str))),
    };
    let status = format!("<p>{}</p>\n", escape(&this_study::status(study)));
    let heading = text::plural(study.caveats.len(), "caveat");
    answer + &status + &caveats(&heading, study.caveats.iter().map(|c| c.text.as_str()))
}
