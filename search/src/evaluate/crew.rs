//! Threads that share out batches, each with one thread of libtorch's: operations of small networks are too short to be
//! split among threads themselves.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::train::TrainError;

/// So many threads.
pub(super) struct Crew {
    pool: Option<ThreadPool>,
    threads: usize,
}

impl Crew {
    /// Starts them. Libtorch splits operations of the calling thread among as many.
    ///
    /// # Errors
    /// When the system starts no threads.
    pub(super) fn new(threads: usize) -> Result<Crew, TrainError> {
        let threads = threads.max(1);
        let pool = match threads {
            1 => None,
            n => Some(
                ThreadPoolBuilder::new()
                    .num_threads(n)
                    .build()
                    .map_err(|e| TrainError::Torch(format!("threads: {e}")))?,
            ),
        };
        if let Some(pool) = &pool {
            pool.broadcast(|_| {
                // Libtorch gives a thread the number that was set last anywhere when the thread first asks: asked here, or
                // its first operation would undo what is set.
                let _ = tch::get_num_threads();
                tch::set_num_threads(1);
            });
        }
        // The calling thread's own number, and that of threads yet to come.
        tch::set_num_threads(threads as i32);
        Ok(Crew { pool, threads })
    }

    /// How many.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Does some work for each share, one a thread; results in the order of the shares.
    ///
    /// # Errors
    /// What the work gives back.
    pub(super) fn each<S: Send, T: Send>(
        &self,
        shares: Vec<S>,
        work: impl Fn(S) -> Result<T, TrainError> + Send + Sync,
    ) -> Result<Vec<T>, TrainError> {
        match &self.pool {
            None => shares.into_iter().map(work).collect(),
            Some(pool) => pool.install(|| shares.into_par_iter().map(work).collect()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_one_of_libtorchs() {
        let crew = Crew::new(3).unwrap();
        let asked = || crew.each(vec![(); 3], |()| Ok(tch::get_num_threads())).unwrap();
        assert_eq!((asked(), asked()), (vec![1; 3], vec![1; 3]));
    }
}
