//! Threads for networks that run side by side. Operations of small networks are too short to be split among threads.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// A pool whose threads have `intra_op` threads of libtorch each; the calling thread keeps its own number.
///
/// # Errors
/// When the system starts no threads.
pub fn pool(threads: usize, intra_op: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let own = tch::get_num_threads();
    let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
    pool.broadcast(|_| {
        // Libtorch gives a thread the number that was set last anywhere when the thread first asks: asked here, or its
        // first operation would undo what is set.
        let _ = tch::get_num_threads();
        tch::set_num_threads(intra_op.max(1) as i32);
    });
    // The calling thread's, and that of threads yet to come.
    tch::set_num_threads(own);
    Ok(pool)
}
