//! What the header of a run, or of a study, says of its images and of what times its networks.

use mobilenas_bench::engine::{self, Engine};
use mobilenas_record::run as record;

use super::REFERENCE;
use crate::experiment::Experiment;

impl Experiment {
    /// The images.
    pub fn dataset(&self) -> record::Dataset {
        let c = &self.config;
        let search_val = self.split.search_val.indices().len();
        record::Dataset {
            name: c.data.name.as_str().to_string(),
            train: self.split.train.len(),
            search_val,
            test: self.test_split.indices().len(),
            classes: self.train.data.classes.len(),
            scored_on: c.scoring.images.filter(|n| *n < search_val),
        }
    }

    /// What latencies are of.
    pub fn engine(&self) -> record::Engine {
        if let Some(table) = &self.table {
            return table.engine();
        }
        let timing = self.latency_protocol();
        let engine = engine::engine(&timing.engine);
        record::Engine {
            version: engine.map_or_else(String::new, Engine::version),
            precision: engine.map_or("float32", Engine::precision).to_string(),
            name: timing.engine,
            threads: timing.threads,
            batch: timing.batch,
            protocol: match timing.interleaved {
                None => timing.protocol.to_string(),
                Some(b) => {
                    let processes =
                        |n: usize, kind: &str| format!("{n} {kind} process{}", if n == 1 { "" } else { "es" });
                    let again = self.config.remeasure().map_or_else(String::new, |n| {
                        let such = processes(n, "such");
                        format!("; trials near the front once more in {such} when the search was over")
                    });
                    format!(
                        "the ratio to {REFERENCE} in {}, {} rounds of random order in each, times its latency{again}",
                        processes(b.processes, "fresh"),
                        b.rounds
                    )
                }
            },
            table: None,
        }
    }
}
