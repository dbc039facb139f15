//! `workers` in a run's folder: who is there, how many are wanted, and what killed workers.

use std::io;
use std::path::{Path, PathBuf};

use mobilenas_host::unix_now;
use mobilenas_host::write::write_whole;
use serde::{Deserialize, Serialize};

use crate::{Death, SeatStatus};

/// The folder.
const FOLDER: &str = "workers";
/// Who is there.
const STATUS: &str = "status.json";
/// How many are wanted.
const WANTED: &str = "wanted";

/// Who is there, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How many are wanted.
    pub wanted: usize,
    /// Seconds since 1970.
    pub at: u64,
    /// Seat by seat.
    pub seats: Vec<SeatStatus>,
}

/// The folder of a run that goes on.
#[derive(Debug)]
pub struct Room {
    root: PathBuf,
}

/// Removes what is true only while a run goes on.
pub fn clear(root: &Path) {
    for file in [STATUS, WANTED] {
        // One that is not there need not be removed.
        let _ = std::fs::remove_file(root.join(FOLDER).join(file));
    }
    // It stays if something else is in it.
    let _ = std::fs::remove_dir(root.join(FOLDER));
}

/// How many workers somebody wants, if anybody said so.
pub fn wanted(root: &Path) -> Option<usize> {
    std::fs::read_to_string(root.join(FOLDER).join(WANTED)).ok()?.trim().parse().ok()
}

impl Room {
    /// In a run's folder.
    pub fn of(root: &Path) -> Room {
        Room { root: root.to_path_buf() }
    }

    /// How many workers somebody wants, if anybody said so.
    pub fn wanted(&self) -> Option<usize> {
        wanted(&self.root)
    }

    /// Shows who is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn show(&mut self, wanted: usize, seats: Vec<SeatStatus>) -> io::Result<()> {
        let (status, folder) = (Status { wanted, at: unix_now(), seats }, self.root.join(FOLDER));
        std::fs::create_dir_all(&folder)?;
        // Nothing is lost with it: it need not be flushed to the disk.
        let beside = folder.join(format!("{STATUS}.new"));
        std::fs::write(&beside, serde_json::to_string(&status)?)?;
        std::fs::rename(&beside, folder.join(STATUS))
    }

    /// Keeps what workers said that died of a job; gives the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn set_aside(root: &Path, name: &str, deaths: &[Death]) -> io::Result<PathBuf> {
        let folder = root.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        let one = |d: &Death| format!("{}\n{}\n", d.words, d.stderr.trim_end());
        let file = folder.join(format!("{name}.txt"));
        write_whole(&file, deaths.iter().map(one).collect::<Vec<_>>().join("\n").as_bytes())?;
        Ok(file)
    }
}

/// Who works for the run in a folder.
///
/// # Errors
/// When no run with workers goes on there.
pub fn status(root: &Path) -> io::Result<Status> {
    let text = std::fs::read_to_string(root.join(FOLDER).join(STATUS))?;
    Ok(serde_json::from_str(&text)?)
}

/// Wants another number of workers.
///
/// # Errors
/// When the disk refuses.
pub fn want(root: &Path, workers: usize) -> io::Result<()> {
    write_whole(&root.join(FOLDER).join(WANTED), workers.to_string().as_bytes())
}
