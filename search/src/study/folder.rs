//! The folder of a study: resolved config, rows, scores, weights, page.

use mobilenas_reports::study::{FILE, StudyHeader, StudyRow};

use crate::folder::Kept;
use crate::pipeline::RunError;

/// A study's folder with its file open.
pub type Folder = crate::folder::Folder<StudyRow>;

impl Kept for StudyRow {
    const FILE: &str = FILE;
    const INSIDE: &str = "training";
    const COMMAND: &str = "mobilenas study";
}

impl Folder {
    /// Writes the header, or refuses to go on with a study of another version, config or format.
    ///
    /// # Errors
    /// When something differs.
    pub fn begin(&mut self, own: StudyHeader) -> Result<(), RunError> {
        match self.rows.first() {
            None => self.append(StudyRow::Study(Box::new(own))),
            Some(StudyRow::Study(there)) => self.same([
                ("format", there.format.to_string(), own.format.to_string()),
                ("program version", there.program.clone(), own.program),
                ("config", there.config_digest.clone(), own.config_digest),
            ]),
            Some(_) => Err(self.other("kind", "a file that does not begin with its study", FILE)),
        }
    }
}
