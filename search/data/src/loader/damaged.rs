//! Images that cannot be read: counted, named, and let pass up to a limit.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::dataset::DataError;

/// The damaged images of one set of images.
#[derive(Debug)]
pub struct DamagedImages {
    all: usize,
    limit: usize,
    seen: Mutex<BTreeMap<usize, String>>,
}

impl DamagedImages {
    /// None yet among so many; at most that share of them is let pass.
    pub fn new(all: usize, share: f64) -> DamagedImages {
        DamagedImages { all, limit: (share * all as f64) as usize, seen: Mutex::default() }
    }

    /// Counts a damaged image and names it in the log, once.
    ///
    /// # Errors
    /// When there are more than is let pass: the list of them.
    pub fn add(&self, image: usize, name: &str, why: &str) -> Result<(), DataError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains_key(&image) {
            return Ok(());
        }
        seen.insert(image, format!("{name}: {why}"));
        if seen.len() > self.limit {
            return Err(self.too_many(&seen));
        }
        // Where standard error cannot be written, nobody reads it.
        let (n, limit) = (seen.len(), self.limit);
        let _ = writeln!(std::io::stderr(), "warning: damaged image {n} of at most {limit}: {name}: {why}; left out");
        Ok(())
    }

    /// Those that another process found in other images of the set, by the place of each.
    ///
    /// # Errors
    /// When there are more than is let pass, all together: the list of them.
    pub fn merge(&self, others: BTreeMap<usize, String>) -> Result<(), DataError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(others);
        match seen.len() > self.limit {
            true => Err(self.too_many(&seen)),
            false => Ok(()),
        }
    }

    /// The damaged images found so far, by the place of each.
    pub fn seen(&self) -> BTreeMap<usize, String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn too_many(&self, seen: &BTreeMap<usize, String>) -> DataError {
        DataError::TooDamaged { list: seen.values().cloned().collect(), all: self.all, limit: self.limit }
    }

    /// The damaged images found so far, by their place in the set.
    pub fn list(&self) -> Vec<String> {
        self.seen().into_values().collect()
    }
}
