//! From a class map's file to labels.

use std::path::Path;

use crate::DenseError;
use crate::class_map::{self, ClassMap, IGNORED};

/// How the numbers of a class map become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// Names of the classes: a class's place is its label. Where background is a class, it is the first.
    pub classes: Vec<String>,
    /// Whether 0 means ignored and the classes begin at 1, as in ADE20K. Otherwise they begin at 0, and 255 means
    /// ignored.
    pub zero_is_ignored: bool,
}

impl MapRule {
    /// Reads a class map's file into labels, with [`IGNORED`] where there is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, path: &Path) -> Result<ClassMap, DenseError> {
        let data = std::fs::read(path).map_err(DenseError::io(path))?;
        let mut map = ClassMap::read_png(&data).map_err(|found| DenseError::file(path, found, class_map::EXPECTED))?;
        let classes = self.classes.len();
        let (first, table) = (usize::from(self.zero_is_ignored), self.table());
        if let Some(at) = map.labels.iter().position(|l| table[usize::from(*l)].is_none()) {
            let (x, y, number) = (at % map.width, at / map.width, map.labels[at]);
            let last = (classes + first).saturating_sub(1);
            let ignored = if self.zero_is_ignored { 0 } else { IGNORED };
            let expected = format!("{first} to {last}, or {ignored} for ignored");
            return Err(DenseError::file(path, format!("{number} at column {x}, row {y}"), expected));
        }
        map.labels.iter_mut().for_each(|l| *l = table[usize::from(*l)].unwrap_or(IGNORED));
        Ok(map)
    }

    fn table(&self) -> [Option<u8>; 256] {
        let classes = self.classes.len();
        std::array::from_fn(|number| match (self.zero_is_ignored, number) {
            (true, 0) | (false, 255) => Some(IGNORED),
            (true, n) => (n <= classes).then_some((n - 1) as u8),
            (false, n) => (n < classes).then_some(n as u8),
        })
    }
}
