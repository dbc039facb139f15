//! `mobilenas report RUN...`

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mobilenas_host::{Lock, outln};
use mobilenas_reports::study::Study;
use mobilenas_reports::{ReportError, RunData};

use super::Input;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs, as `search` writes them, or one of a study; a run may still be going on
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Folder to write into; needed for several runs [default: the folder of the run]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes the report of a run, or a comparison of several.
///
/// # Errors
/// When a folder holds no run, another process writes there, or the disk refuses.
pub fn run(args: &Args) -> Result<i32> {
    if let [one] = args.runs.as_slice()
        && Study::is_in(one)
    {
        let study = Study::read(one).map_err(told)?;
        let _lock = locked(args.out.as_ref().unwrap_or(one))?;
        let written = mobilenas_reports::render_study(&study, args.out.as_ref().unwrap_or(one)).map_err(told)?;
        outln!("study: {}", written.index.display())?;
        if !one.join(mobilenas_reports::JOURNAL).exists() {
            return Ok(0);
        }
    }
    let runs: Vec<RunData> =
        args.runs.iter().map(|dir| mobilenas_reports::read(dir)).collect::<Result<_, _>>().map_err(told)?;
    let _lock = locked(args.out.as_ref().unwrap_or(&args.runs[0]))?;
    let written = match (runs.as_slice(), &args.out) {
        ([one], out) => mobilenas_reports::render(one, out.as_ref().unwrap_or(&args.runs[0])),
        (several, Some(out)) => mobilenas_reports::compare(several, out),
        (several, None) => {
            let found =
                format!("--out: not given, expected the folder to write the page over {} runs into", several.len());
            return Err(anyhow!(Input(found)));
        }
    }
    .map_err(told)?;
    outln!("report: {}", written.index.display())?;
    outln!("{} files beside it", written.files.len() - 1)?;
    Ok(0)
}

/// The lock of the report in a folder. A search that is still going on holds another one, that of the whole folder, and
/// may write its report at any time: files are replaced as wholes.
fn locked(folder: &Path) -> Result<Option<Lock>> {
    // What keeps the folder from being made is told where the first file is written.
    if std::fs::create_dir_all(folder).is_err() {
        return Ok(None);
    }
    let lock = Lock::file(&folder.join("report"), "mobilenas report");
    Ok(Some(lock.map_err(|e| anyhow!(Input(e.to_string())))?))
}

/// What was read wrongly is the user's to mend; what could not be written is a failed run.
fn told(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::Read { .. } | ReportError::NoHeader { .. } | ReportError::Format { .. } => {
            anyhow!(Input(error.to_string()))
        }
        other => other.into(),
    }
}
