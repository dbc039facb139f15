//! Threads of a config and cores of this host.

use mobilenas_host::Problems;

use super::{Experiment, ExperimentError};
use crate::config::{ConfigError, LatencySource};

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A warning about so many threads at a key, if there are fewer cores.
pub fn more_threads_than_cores(key: &str, threads: usize) -> Option<String> {
    warning(key, threads, cores())
}

fn warning(key: &str, threads: usize, cores: usize) -> Option<String> {
    let of = |n: usize| format!("{n} core{}", if n == 1 { "" } else { "s" });
    (threads > cores).then(|| {
        format!("{key}: found {threads} threads for {}; more threads than cores slow each other down", of(cores))
    })
}

impl Experiment {
    /// Warnings about more threads than this host has cores.
    ///
    /// # Errors
    /// When latencies would be measured so.
    pub fn check_threads(&self) -> Result<Vec<String>, ExperimentError> {
        let cores = cores();
        let (c, scoring) = (&self.config, self.config.scoring_threads() as usize);
        let threads = c.latency.threads;
        if c.latency.source == LatencySource::Measured && threads > cores {
            let mut problems = Problems::new(&self.file);
            let message = format!("found {threads} threads, expected at most one for each of {cores} cores");
            let path = ["latency", "threads"].map(String::from);
            problems.add(self.lines.line_of(&path), &path, message);
            return Err(ConfigError::from(problems).into());
        }
        let mut all: Vec<String> = warning("threads", c.threads as usize, cores).into_iter().collect();
        // Workers of a launcher have cores of their own.
        let here = match &c.workers {
            None => c.search.workers,
            Some(workers) if workers.launch.is_none() => workers.count(),
            Some(_) => 0,
        };
        if c.workers.is_some() {
            all.extend(warning("workers.count times search.threads", here * scoring, cores));
        } else if c.search.threads.is_some() || here > 1 {
            all.extend(warning("search.workers times search.threads", c.search.workers * scoring, cores));
        }
        if c.retrain.workers > 1 {
            let each = c.retrain_threads() as usize;
            all.extend(warning("retrain.workers", c.retrain.workers * each, cores));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_threads_than_cores_are_told() {
        assert_eq!(warning("threads", 2, 2), None);
        let expected = "threads: found 8 threads for 2 cores; more threads than cores slow each other down";
        assert_eq!(warning("threads", 8, 2).as_deref(), Some(expected));
        assert!(warning("threads", 2, 1).is_some_and(|w| w.contains("for 1 core;")));
    }
}
