//! Entries that cannot be used: counted and named, up to a limit.

use std::collections::BTreeMap;
use std::path::Path;

use crate::DenseError;

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The image's file is not there.
    ImageMissing,
    /// The image's file cannot be read.
    ImageUnreadable,
    /// The image is not of the size that is stated.
    ImageSize,
    /// A file name that leads out of the dataset's folder.
    FileName,
    /// An id that an earlier entry has.
    DuplicateId,
    /// An object of an image that is not listed.
    UnknownImage,
    /// An object of a category that is not listed.
    UnknownCategory,
    /// An object without a box of four numbers.
    NoBox,
    /// A box without area.
    EmptyBox,
    /// A box outside of the image.
    BoxOutside,
    /// A mask that cannot be read.
    MaskUnreadable,
    /// A mask of another size than the image.
    MaskSize,
    /// The class map's file is not there.
    MapMissing,
}

impl Damage {
    /// In words, of one or several.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Damage::ImageMissing => ("missing image", "missing images"),
            Damage::ImageUnreadable => ("unreadable image", "unreadable images"),
            Damage::ImageSize => ("image of another size than stated", "images of another size than stated"),
            Damage::FileName => ("file name outside of the folder", "file names outside of the folder"),
            Damage::DuplicateId => ("duplicate id", "duplicate ids"),
            Damage::UnknownImage => ("object of an unknown image", "objects of unknown images"),
            Damage::UnknownCategory => ("object of an unknown category", "objects of unknown categories"),
            Damage::NoBox => ("object without a box", "objects without a box"),
            Damage::EmptyBox => ("box without area", "boxes without area"),
            Damage::BoxOutside => ("box outside of its image", "boxes outside of their images"),
            Damage::MaskUnreadable => ("unreadable mask", "unreadable masks"),
            Damage::MaskSize => ("mask of another size than its image", "masks of another size than their images"),
            Damage::MapMissing => ("missing class map", "missing class maps"),
        }
    }
}

/// An entry that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What is wrong.
    pub what: Damage,
    /// Which entry, what was found and what was expected.
    pub told: String,
}

/// Entries named for each kind of damage in a note.
const NAMED_IN_NOTES: usize = 3;
/// Entries named in an error.
const NAMED_IN_ERRORS: usize = 20;

/// One line for each kind.
pub(super) fn notes(path: &Path, damaged: &[Damaged]) -> Vec<String> {
    let mut kinds: BTreeMap<Damage, Vec<&str>> = BTreeMap::new();
    damaged.iter().for_each(|d| kinds.entry(d.what).or_default().push(&d.told));
    let line = |(kind, all): (Damage, Vec<&str>)| {
        let (one, several) = kind.words();
        let named = all.iter().take(NAMED_IN_NOTES).copied().collect::<Vec<_>>().join("; ");
        let more = if all.len() > NAMED_IN_NOTES { "; ..." } else { "" };
        let what = if all.len() == 1 { one } else { several };
        format!("{}: left out {} {what} ({named}{more})", path.display(), all.len())
    };
    kinds.into_iter().map(line).collect()
}

/// What was left out so far, of how many entries.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    damaged: Vec<Damaged>,
    entries: usize,
}

impl DamageLog {
    /// Counts entries, sound or not.
    pub(super) fn seen(&mut self, entries: usize) {
        self.entries += entries;
    }

    /// Names a damaged entry.
    pub(super) fn add(&mut self, what: Damage, told: impl Into<String>) {
        self.damaged.push(Damaged { what, told: told.into() });
    }

    /// Counts and names a damaged entry that is listed nowhere.
    pub(super) fn lost(&mut self, what: Damage, told: impl Into<String>) {
        self.seen(1);
        self.add(what, told);
    }

    /// What was left out, if that is not too much.
    pub(super) fn within(self, path: &Path, limit: f64) -> Result<Vec<Damaged>, DenseError> {
        let most = (limit * self.entries as f64) as usize;
        if self.damaged.len() <= most {
            return Ok(self.damaged);
        }
        let mut list: Vec<String> = self.damaged.iter().take(NAMED_IN_ERRORS).map(|d| d.told.clone()).collect();
        if self.damaged.len() > NAMED_IN_ERRORS {
            list.push(format!("... and {} more", self.damaged.len() - NAMED_IN_ERRORS));
        }
        let (found, all) = (self.damaged.len(), self.entries);
        Err(DenseError::TooDamaged { path: path.to_path_buf(), found, all, most, list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_three_and_errors_twenty() {
        let mut log = DamageLog::default();
        log.seen(100);
        (0..25).for_each(|i| log.add(Damage::EmptyBox, format!("annotation {i}")));
        log.add(Damage::ImageMissing, "a.jpg");
        let path = Path::new("x.json");
        insta::assert_snapshot!(notes(path, &log.damaged).join("\n"), @r"
        x.json: left out 1 missing image (a.jpg)
        x.json: left out 25 boxes without area (annotation 0; annotation 1; annotation 2; ...)
        ");
        let text = log.within(path, 0.25).unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[0], "x.json: found 26 damaged entries among 100, expected at most 25 (damaged_limit):");
        assert_eq!((lines[1], lines[21]), ("  annotation 0", "  ... and 6 more"));
        let mut log = DamageLog::default();
        log.seen(4);
        log.add(Damage::EmptyBox, "one");
        assert_eq!(log.within(path, 0.25).unwrap().len(), 1);
    }
}
