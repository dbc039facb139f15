//! The folder of a study: resolved config, rows, scores, weights, page.

use mobilenas_reports::study::StudyRow;

/// A study's folder with its file open.
pub type Folder = mobilenas_pipeline::folder::Folder<StudyRow>;
