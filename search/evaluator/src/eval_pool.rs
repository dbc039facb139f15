//! The evaluation pool: batches are shared out among threads, one intra-op thread of libtorch each. Operations of small
//! networks are too short to be split among threads themselves.

use mobilenas_torch::threads;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::EvalError;

/// Threads that evaluate.
pub(super) struct EvalPool {
    pool: Option<ThreadPool>,
    threads: usize,
}

impl EvalPool {
    /// Starts them. Libtorch splits operations of the calling thread among as many.
    ///
    /// # Errors
    /// When the system starts no threads.
    pub(super) fn new(threads: usize) -> Result<EvalPool, EvalError> {
        let threads = threads.max(1);
        let pool = match threads {
            1 => None,
            n => Some(threads::pool(n, 1)?),
        };
        tch::set_num_threads(threads as i32);
        Ok(EvalPool { pool, threads })
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
        work: impl Fn(S) -> Result<T, EvalError> + Send + Sync,
    ) -> Result<Vec<T>, EvalError> {
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
        let pool = EvalPool::new(3).unwrap();
        let asked = || pool.each(vec![(); 3], |()| Ok(tch::get_num_threads())).unwrap();
        assert_eq!((asked(), asked()), (vec![1; 3], vec![1; 3]));
    }

    /// Here, where no kernels run: those of XNNPACK would go on with two threads that spin.
    #[test]
    fn each_thread_of_a_pool_has_its_share_of_libtorchs() {
        let own = tch::get_num_threads();
        let pool = threads::pool(3, 2).unwrap();
        for _ in 0..2 {
            assert_eq!(pool.broadcast(|_| tch::get_num_threads()), [2; 3]);
        }
        assert_eq!(tch::get_num_threads(), own);
    }
}
