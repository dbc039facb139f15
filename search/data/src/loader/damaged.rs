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
            let list = seen.values().cloned().collect();
            return Err(DataError::TooDamaged { list, all: self.all, limit: self.limit });
        }
        // Where standard error cannot be written, nobody reads it.
        let (n, limit) = (seen.len(), self.limit);
        let _ = writeln!(std::io::stderr(), "warning: damaged image {n} of at most {limit}: {name}: {why}; left out");
        Ok(())
    }

    /// The damaged images found so far, by their place in the set.
    pub fn list(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
