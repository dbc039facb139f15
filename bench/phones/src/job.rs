//! One conversion with its comparison, in a Python process of its own.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mobilenas_host::Stop;
use serde_json::Value;

use crate::error::PhonesError;
use crate::python::Python;

/// How often the conversion is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a job in a folder that holds the PyTorch source and its weights, and gives the report; nothing if the user has
/// asked to stop.
///
/// # Errors
/// When the process does not start, the converter refuses, or there is no report.
pub fn convert(python: &Python, folder: &Path, job: &Value, stop: &Stop) -> Result<Option<Value>, PhonesError> {
    let mut command = python.script("convert.py", folder)?;
    let path = folder.join("job.json");
    fs::write(&path, job.to_string()).map_err(PhonesError::io(&path))?;
    let log = folder.join("log");
    let file = fs::File::create(&log).map_err(PhonesError::io(&log))?;
    command.stdin(Stdio::null()).stdout(file.try_clone().map_err(PhonesError::io(&log))?).stderr(file);
    let mut child = command.spawn().map_err(|source| PhonesError::Start { python: python.name(), source })?;
    let process = PhonesError::io;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(process(folder))? {
            break status;
        }
        if stop.asked() {
            // It may have ended by itself meanwhile, by the same signal.
            let _ = child.kill();
            child.wait().map_err(process(folder))?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    };
    if stop.asked() {
        return Ok(None);
    }
    if !status.success() {
        // What a program said before a signal ended it is not why.
        let said = status.code().and_then(|_| last_line(&log)).unwrap_or_else(|| status.to_string());
        return Err(PhonesError::Failed { said });
    }
    let no_report = |said: String| PhonesError::NoReport { said };
    let report = fs::read_to_string(folder.join("report.json")).map_err(|e| no_report(e.to_string()))?;
    serde_json::from_str(&report).map(Some).map_err(|e| no_report(e.to_string()))
}

/// The last line of a log that says something.
fn last_line(log: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(log).ok()?.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_string)
}
