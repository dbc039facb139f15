//! ADE20K's layout of the scene parsing challenge: `DIR/images/SPLIT/*.jpg`, `DIR/annotations/SPLIT/*.png` and
//! `DIR/objectInfo150.txt`. In a class map 0 means nothing, and the classes begin at 1.

use std::fs;
use std::path::Path;

use super::check::checked;
use super::damage::DamageLog;
use super::folder::pairs;
use super::{DenseDataset, DenseReader, MapRule, ReadOptions};
use crate::DenseError;

/// The reader.
#[derive(Clone, Copy, Debug)]
pub struct Ade20k;

const EXPECTED: &str = "DIR/images/SPLIT/*.jpg and DIR/annotations/SPLIT/*.png";

impl DenseReader for Ade20k {
    fn name(&self) -> &'static str {
        "ade20k"
    }

    fn help(&self) -> &'static str {
        "ADE20K's scene parsing: DIR/images/SPLIT, DIR/annotations/SPLIT and DIR/objectInfo150.txt"
    }

    fn load(&self, dir: &Path, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError> {
        let rule = MapRule { classes: class_names(&dir.join("objectInfo150.txt"))?, zero_is_ignored: true };
        let listed = pairs(&dir.join("images").join(split), &dir.join("annotations").join(split), EXPECTED)?;
        checked(dir, listed, (Vec::new(), Some(rule)), options, DamageLog::default())
    }
}

/// The last column of a table whose first row is its heading and whose first column counts from 1.
fn class_names(path: &Path) -> Result<Vec<String>, DenseError> {
    const EXPECTED: &str = "ADE20K's table of classes: a heading, then a row for each class with its number first and \
                            its name last, parted by tabs";
    let wrong = |found: String| DenseError::file(path, found, EXPECTED);
    let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let mut names = Vec::new();
    for (row, line) in text.lines().skip(1).filter(|l| !l.trim().is_empty()).enumerate() {
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        if columns.len() < 2 || columns[0].parse() != Ok(row + 1) || columns[columns.len() - 1].is_empty() {
            return Err(wrong(format!("the row {line:?} after {row} classes")));
        }
        names.push(columns[columns.len() - 1].to_string());
    }
    if !(1..=254).contains(&names.len()) {
        return Err(wrong(format!("{} classes", names.len())));
    }
    Ok(names)
}
