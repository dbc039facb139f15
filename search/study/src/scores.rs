//! Scores of networks on one supernet: computed once, kept by the digest of the graph, in memory and in a file.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use mobilenas_pipeline::journal::Journal;
use mobilenas_pipeline::pipeline::RunError;

/// Name of the file in a study's folder.
pub const FILE: &str = "scores.jsonl";

/// One network's score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Digest of its graph.
    pub digest: String,
    /// Knob to value, of the genome that was scored first.
    pub genome: BTreeMap<String, i64>,
    /// The task's metrics on the search-validation split, by name.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
    /// Seconds it took.
    pub seconds: f64,
}

/// The file, open.
#[derive(Debug)]
pub struct Scores {
    journal: Journal,
    rows: Vec<Score>,
    by_digest: HashMap<String, usize>,
}

impl Scores {
    /// Opens the file.
    ///
    /// # Errors
    /// When the disk refuses, or a line before the last is damaged.
    pub fn open(path: PathBuf) -> Result<Scores, RunError> {
        let (journal, rows) = Journal::open_file::<Score>(path)?;
        let by_digest = rows.iter().enumerate().map(|(i, s)| (s.digest.clone(), i)).collect();
        Ok(Scores { journal, rows, by_digest })
    }

    /// The score of a graph, if it is known.
    pub fn get(&self, digest: &str) -> Option<&Score> {
        self.by_digest.get(digest).map(|i| &self.rows[*i])
    }

    /// All, in the order in which they were computed.
    pub fn all(&self) -> impl Iterator<Item = &Score> {
        self.rows.iter()
    }

    /// Adds a score.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, score: Score) -> Result<(), RunError> {
        self.journal.append(&score)?;
        self.by_digest.insert(score.digest.clone(), self.rows.len());
        self.rows.push(score);
        Ok(())
    }
}
