//! The folder of a study: resolved config, rows, scores, weights, page.

use mobilenas_reports::study::{FILE, FORMAT, StudyHeader, StudyRow};

use crate::folder::{Header, Kept};
use crate::pipeline::RunError;

/// A study's folder with its file open.
pub type Folder = crate::folder::Folder<StudyRow>;

impl Kept for StudyRow {
    const FILE: &str = FILE;
    const INSIDE: &str = "training";
    const COMMAND: &str = "mobilenas study";
    const FORMAT: u32 = FORMAT;

    fn header(&self) -> Option<Header<'_>> {
        match self {
            StudyRow::Study(study) => {
                Some(Header { format: study.format, program: &study.program, config_digest: &study.config_digest })
            }
            _ => None,
        }
    }
}

impl Folder {
    /// Writes the header of a study that begins.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(&mut self, own: StudyHeader) -> Result<(), RunError> {
        if self.rows.is_empty() { self.append(StudyRow::Study(Box::new(own))) } else { Ok(()) }
    }
}
