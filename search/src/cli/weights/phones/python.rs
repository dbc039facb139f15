//! The Python that has the converters, and a conversion in it.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mobilenas_host::Stop;
use serde_json::Value;

use super::super::super::Input;

/// The variable that names it.
const VARIABLE: &str = "MOBILENAS_PHONES_PYTHON";
/// What it runs.
const SCRIPTS: [(&str, &str); 5] = [
    ("convert.py", include_str!("convert.py")),
    ("mil.py", include_str!("mil.py")),
    ("to_coreml.py", include_str!("to_coreml.py")),
    ("to_executorch.py", include_str!("to_executorch.py")),
    ("to_litert.py", include_str!("to_litert.py")),
];
/// How often the conversion is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// The program.
pub(super) fn find(out: &Path) -> Result<OsString> {
    let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    let how = "`cargo xtask setup --phones` makes it";
    let missing = || {
        Input(format!("{}: {VARIABLE} is not set, expected the Python that has the converters; {how}", out.display()))
    };
    let named = named.ok_or_else(missing)?;
    if Path::new(&named).components().count() > 1 && !Path::new(&named).is_file() {
        let found = format!("{VARIABLE}={} is no file", named.display());
        bail!(Input(format!("{}: {found}, expected the Python that has the converters; {how}", out.display())));
    }
    Ok(named)
}

/// Runs a job in a folder that holds the source, and gives the report; nothing if the user has asked to stop.
pub(super) fn convert(python: &OsString, folder: &Path, job: &Value, out: &Path, stop: &Stop) -> Result<Option<Value>> {
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text)
            .with_context(|| format!("{}: cannot be written", folder.join(name).display()))
    };
    SCRIPTS.iter().try_for_each(|(name, text)| write(name, text))?;
    write("job.json", &job.to_string())?;
    let log = folder.join("log");
    let file = || fs::File::create(&log).with_context(|| format!("{}: cannot be written", log.display()));
    let (stdout, stderr) = {
        let file = file()?;
        (file.try_clone()?, file)
    };
    let mut command = Command::new(python);
    command.arg("-B").arg(folder.join("convert.py")).arg(folder);
    // Converters write caches and temporary files; the folder is removed with them. The program's libraries are not
    // Python's: its torch brings its own.
    command.env("TMPDIR", folder).env("TF_CPP_MIN_LOG_LEVEL", "3").env_remove("LD_LIBRARY_PATH");
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let failed = |what: String| Input(format!("{}: {VARIABLE}={}: {what}", out.display(), python.display()));
    let mut child = command.spawn().map_err(|e| failed(format!("{e}, expected a Python with the converters")))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if stop.asked() {
            // It may have ended by itself meanwhile, by the same signal.
            let _ = child.kill();
            child.wait()?;
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
        bail!("{}: the conversion failed: {said}; no file was written", out.display());
    }
    let report = fs::read_to_string(folder.join("report.json"))
        .with_context(|| format!("{}: the conversion ended without a report", out.display()))?;
    Ok(Some(serde_json::from_str(&report).context("the conversion's report is no JSON")?))
}

/// The last line of a log that says something.
fn last_line(log: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(log).ok()?.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_string)
}
