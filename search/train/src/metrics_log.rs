//! The metrics log of a training: JSON lines, and TensorBoard events beside them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use mobilenas_host::write::write_whole;
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::events::Events;

/// The numbers of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The loss.
    pub loss: f64,
    /// The task's metrics on the step's batch, by name.
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
    /// The learning rate.
    pub lr: f64,
    /// Images per second in this step.
    pub images_per_second: f64,
    /// Steps skipped because something was not finite.
    pub skipped: u64,
}

/// One line for so many steps.
const EVERY: u64 = 10;

/// A metrics log open for writing.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    lines: File,
    events: Events,
}

impl MetricsLog {
    /// Opens NAME.jsonl, and a file of events in a folder NAME beside it. Lines after `step`, of a run that was killed after
    /// its last checkpoint, are removed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(path: &Path, step: u64) -> Result<MetricsLog, TrainError> {
        let open = || -> io::Result<(File, Events)> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let kept = kept(path, step)?;
            write_whole(path, kept.as_bytes())?;
            let lines = OpenOptions::new().append(true).open(path)?;
            Ok((lines, Events::create(&path.with_extension(""), step)?))
        };
        let (lines, events) = open().map_err(|e| failed(path, e))?;
        Ok(MetricsLog { path: path.to_path_buf(), lines, events })
    }

    /// Writes every tenth step, the first and the last.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, line: &MetricsRow, last: bool) -> Result<(), TrainError> {
        if line.step != 1 && !line.step.is_multiple_of(EVERY) && !last {
            return Ok(());
        }
        let mut text = serde_json::to_string(line).map_err(|e| failed(&self.path, io::Error::other(e)))?;
        text.push('\n');
        let own = [
            ("loss", line.loss),
            ("lr", line.lr),
            ("epoch", line.epoch),
            ("images_per_second", line.images_per_second),
            ("skipped", line.skipped as f64),
        ];
        let all = own.into_iter().chain(line.metrics.iter().map(|(name, value)| (name.as_str(), *value)));
        let scalars: Vec<(String, f64)> = all.map(|(name, value)| (format!("train/{name}"), value)).collect();
        let written = self.lines.write_all(text.as_bytes()).and_then(|()| self.events.add(line.step, &scalars));
        written.map_err(|e| failed(&self.path, e))
    }
}

fn failed(path: &Path, source: io::Error) -> TrainError {
    TrainError::Log { path: path.to_path_buf(), source }
}

/// The whole lines up to a step.
fn kept(path: &Path, step: u64) -> io::Result<String> {
    let mut out = String::new();
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(out),
        file => file?,
    };
    for text in BufReader::new(file).lines() {
        let text = text?;
        if serde_json::from_str::<MetricsRow>(&text).is_ok_and(|l| l.step <= step) {
            out.push_str(&text);
            out.push('\n');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> MetricsRow {
        MetricsRow {
            step,
            epoch: 0.5,
            loss: 1.25,
            metrics: BTreeMap::from([("top1".into(), 50.0)]),
            lr: 0.1,
            images_per_second: 10.0,
            skipped: 0,
        }
    }

    fn steps(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|l| serde_json::from_str::<MetricsRow>(l).unwrap().step).collect()
    }

    #[test]
    fn every_tenth_step_stands_there_once_also_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/train.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        for step in 1..=35 {
            log.add(&line(step), false).unwrap();
        }
        drop(log);
        assert_eq!(steps(&path), [1, 10, 20, 30]);
        // Cut off in a line, and resumed from a checkpoint at step 15.
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":40,\"ep");
        fs::write(&path, text).unwrap();
        let mut log = MetricsLog::open(&path, 15).unwrap();
        for step in 16..=23 {
            log.add(&line(step), step == 23).unwrap();
        }
        assert_eq!(steps(&path), [1, 10, 20, 23]);
        assert_eq!(fs::read_dir(path.with_extension("")).unwrap().count(), 2, "one file of events a start");
    }
}
