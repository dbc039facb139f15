//! Scores of networks on the supernets of one rule: computed once, kept by space and digest of the graph, in memory and in a file.

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
    /// The space whose supernet gave its weights, where a study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Knob to value, of the genome that was scored first.
    pub genome: BTreeMap<String, i64>,
    /// The task's metrics on the search-validation split, by name.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
    /// Seconds it took.
    pub seconds: f64,
}

impl Score {
    /// What it is the score of: the same graph has other weights in another space.
    fn network(&self) -> (Option<String>, String) {
        (self.space.clone(), self.digest.clone())
    }
}

/// The file, open.
#[derive(Debug)]
pub struct Scores {
    journal: Journal,
    rows: Vec<Score>,
    by_network: HashMap<(Option<String>, String), usize>,
}

impl Scores {
    /// Opens the file.
    ///
    /// # Errors
    /// When the disk refuses, or a line before the last is damaged.
    pub fn open(path: PathBuf) -> Result<Scores, RunError> {
        let (journal, rows) = Journal::open_file::<Score>(path)?;
        let by_network = rows.iter().enumerate().map(|(i, s)| (s.network(), i)).collect();
        Ok(Scores { journal, rows, by_network })
    }

    /// The score of a graph in a space, if it is known.
    pub fn get(&self, space: Option<&String>, digest: &str) -> Option<&Score> {
        self.by_network.get(&(space.cloned(), digest.to_string())).map(|i| &self.rows[*i])
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
        self.by_network.insert(score.network(), self.rows.len());
        self.rows.push(score);
        Ok(())
    }
}
