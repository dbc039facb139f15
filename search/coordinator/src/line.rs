//! The lines that coordinator and worker exchange: one JSON object each.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mobilenas_host::write::write_whole;
use serde::{Deserialize, Serialize};

use crate::Hello;

/// What a worker reads.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker<J> {
    /// What it needs of a run's folder, where it does not see the folder. Comes first, and once.
    Run(Files),
    /// A job.
    Job {
        /// Its number.
        number: u64,
        /// The how-manieth time it is given to somebody.
        attempt: u32,
        /// What is to be done.
        work: J,
    },
    /// Your hello was heard; jobs will come.
    Welcome {},
    /// Leave off what you do, and keep what can be kept.
    Stop {},
}

/// What a worker writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWorker<A> {
    /// It is there.
    Hello(Hello),
    /// It is at its job.
    Beat {},
    /// It has done its job.
    Answer {
        /// Which.
        job: u64,
        /// What came of it, or why nothing.
        result: Result<A, String>,
    },
    /// It has to end, and its job is not done.
    Back {
        /// Which.
        job: u64,
    },
}

/// Files by name, in base64.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads files of a folder.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(folder: &Path, names: &[&str]) -> io::Result<Files> {
        let one = |name: &&str| Ok(((*name).to_string(), STANDARD.encode(std::fs::read(folder.join(name))?)));
        names.iter().map(one).collect::<io::Result<_>>().map(Files)
    }

    /// Writes them into a folder.
    ///
    /// # Errors
    /// When the disk refuses, or one is no base64.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, text) in &self.0 {
            // A name is no path: nothing is written elsewhere.
            let name = Path::new(name).file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let bytes = STANDARD.decode(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            write_whole(&folder.join(name), &bytes)?;
        }
        Ok(())
    }
}
