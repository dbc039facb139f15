//! What the processes of a training compute together.

use std::fmt::Debug;
use std::sync::Arc;

use mobilenas_torch::ProcessGroup;
use tch::{Kind, Tensor};

use super::CollectiveError;

/// What the processes of a training compute together. All of them call the same functions in the same order.
pub trait Collective: Debug + Sync {
    /// This process, counted from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn ranks(&self) -> usize;

    /// This process among those of its host, counted from 0: which device is its own.
    fn local_rank(&self) -> usize;

    /// Replaces a tensor by its sum over the ranks: the same bits on all of them, and in every run.
    ///
    /// # Errors
    /// When a rank is gone, or does not take part in time.
    fn all_reduce(&self, tensor: &Tensor) -> Result<(), CollectiveError>;

    /// Replaces a tensor by that of rank 0.
    ///
    /// # Errors
    /// As for [`Collective::all_reduce`].
    fn broadcast(&self, tensor: &Tensor) -> Result<(), CollectiveError>;

    /// Tells the other ranks what comes next: on rank 0, one line.
    fn lead(&self, order: &str);

    /// What rank 0 says next; waits for it, however long it takes. `None` where nobody leads.
    fn follow(&self) -> Option<String>;

    /// Tells rank 0 what came of what it said: on the other ranks, one line.
    fn answer(&self, text: &str);

    /// On rank 0, one answer of each other rank, as they arrive; waits for them, however long it takes.
    fn answers(&self) -> Vec<String>;

    /// The process group for computations that sum in their middle; none where this process is alone.
    fn group(&self) -> Option<&Arc<ProcessGroup>>;
}

impl dyn Collective + '_ {
    /// Whether this process is the one that writes files and tells what happens.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Whether this process is the only one.
    pub fn alone(&self) -> bool {
        self.ranks() == 1
    }

    /// The text of rank 0.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn text_of_first(&self, own: &str) -> Result<String, CollectiveError> {
        if self.alone() {
            return Ok(own.to_string());
        }
        let length = Tensor::from_slice(&[own.len() as i64]);
        self.broadcast(&length)?;
        let n = i64::try_from(&length)? as usize;
        let mut bytes = own.as_bytes().to_vec();
        bytes.resize(n, 0);
        let all = Tensor::f_from_slice(&bytes)?;
        self.broadcast(&all)?;
        Ok(String::from_utf8_lossy(&Vec::<u8>::try_from(&all)?).into_owned())
    }

    /// The texts of all ranks, in their order.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn texts(&self, own: &str) -> Result<Vec<String>, CollectiveError> {
        if self.alone() {
            return Ok(vec![own.to_string()]);
        }
        let mut lengths = vec![0i64; self.ranks()];
        lengths[self.rank()] = own.len() as i64;
        let lengths = Tensor::f_from_slice(&lengths)?;
        self.all_reduce(&lengths)?;
        let lengths: Vec<usize> = Vec::<i64>::try_from(&lengths)?.into_iter().map(|n| n as usize).collect();
        // Each rank's bytes stand where those of all others are zero.
        let before = lengths[..self.rank()].iter().sum();
        let mut bytes = vec![0u8; lengths.iter().sum()];
        bytes[before..before + own.len()].copy_from_slice(own.as_bytes());
        let all = Tensor::f_from_slice(&bytes)?;
        self.all_reduce(&all)?;
        let (bytes, mut from) = (Vec::<u8>::try_from(&all)?, 0);
        let text = |n: usize| {
            from += n;
            String::from_utf8_lossy(&bytes[from - n..from]).into_owned()
        };
        Ok(lengths.into_iter().map(text).collect())
    }

    /// Checks that all ranks have the same as rank 0.
    ///
    /// # Errors
    /// On those that have not, and when a rank is gone.
    pub fn check_same(&self, what: &'static str, own: &str) -> Result<(), CollectiveError> {
        let expected = self.text_of_first(own)?;
        match expected == own {
            true => Ok(()),
            false => Err(CollectiveError::Differs { what, found: own.to_string(), expected }),
        }
    }

    /// Sums of numbers over the ranks.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn sums(&self, own: &[f64]) -> Result<Vec<f64>, CollectiveError> {
        let all = Tensor::f_from_slice(own)?.f_to_kind(Kind::Double)?;
        self.all_reduce(&all)?;
        Ok(Vec::<f64>::try_from(&all)?)
    }
}
