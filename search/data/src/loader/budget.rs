//! Memory for images that are being decoded: who wants more than is left waits.

use std::sync::{Condvar, Mutex, PoisonError};

/// The bytes that decoded images may take at once, however many threads decode.
pub const DECODED: usize = 256 << 20;

/// An amount of memory that is lent out.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    /// Lent, and the most that ever was.
    lent: Mutex<(usize, usize)>,
    back: Condvar,
}

/// Memory lent until dropped.
#[derive(Debug)]
pub struct Loan<'a>(&'a MemoryBudget, usize);

impl Default for MemoryBudget {
    fn default() -> MemoryBudget {
        MemoryBudget::new(DECODED)
    }
}

impl MemoryBudget {
    /// So many bytes.
    pub fn new(limit: usize) -> MemoryBudget {
        MemoryBudget { limit, lent: Mutex::new((0, 0)), back: Condvar::new() }
    }

    /// Waits until so many bytes are free, and takes them.
    ///
    /// # Errors
    /// When there never are so many.
    pub fn lend(&self, bytes: usize) -> Result<Loan<'_>, String> {
        if bytes > self.limit {
            return Err(format!("{} MiB when decoded, at most {} MiB are read", bytes >> 20, self.limit >> 20));
        }
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |lent: &mut (usize, usize)| lent.0 + bytes > self.limit;
        let mut lent = self.back.wait_while(lent, full).unwrap_or_else(PoisonError::into_inner);
        lent.0 += bytes;
        lent.1 = lent.1.max(lent.0);
        Ok(Loan(self, bytes))
    }

    /// The most bytes that were lent at once.
    pub fn peak(&self) -> usize {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Bytes in all.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.lent.lock().unwrap_or_else(PoisonError::into_inner).0 -= self.1;
        self.0.back.notify_all();
    }
}
