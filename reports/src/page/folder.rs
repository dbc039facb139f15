//! The folder that a report is written into.

use std::path::{Path, PathBuf};

use mobilenas_host::write::Target;
use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

use crate::error::ReportError;
use crate::plot::{self, Chart, Placement, Size};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Every file, in the order they were written.
    pub files: Vec<PathBuf>,
    /// The page to open first.
    pub index: PathBuf,
}

/// A folder to write into, with a list of what was written.
///
/// Every file is written under a temporary name and then renamed, so that a reader never sees half a file.
#[derive(Debug)]
pub struct OutputFolder {
    root: PathBuf,
    charts: &'static str,
    written: Vec<PathBuf>,
}

/// Size of a chart in a file of its own, px.
const STANDALONE: Size = Size { width: 960, height: 640 };

impl OutputFolder {
    /// The folder `root`, with charts in `report/`.
    pub fn new(root: impl Into<PathBuf>) -> OutputFolder {
        OutputFolder { root: root.into(), charts: "report/", written: Vec::new() }
    }

    /// The folder `root`, with charts in the folder itself.
    pub fn flat(root: impl Into<PathBuf>) -> OutputFolder {
        OutputFolder { charts: "", ..OutputFolder::new(root) }
    }

    /// The same folder with nothing written yet, for use on another thread.
    pub(super) fn empty(&self) -> OutputFolder {
        OutputFolder { root: self.root.clone(), charts: self.charts, written: Vec::new() }
    }

    /// Takes over the list of another one.
    pub(super) fn adopt(&mut self, other: OutputFolder) {
        self.written.extend(other.written);
    }

    /// Makes the folder.
    pub(super) fn create(&self) -> Result<(), ReportError> {
        std::fs::create_dir_all(&self.root).map_err(|source| ReportError::Write { path: self.root.clone(), source })
    }

    /// What was written, in order.
    pub fn written(&self) -> &[PathBuf] {
        &self.written
    }

    /// What was written, with the page to open.
    pub(super) fn finish(self, index: &str) -> Written {
        Written { index: self.root.join(index), files: self.written }
    }

    /// Writes a file; `name` is its path below the folder.
    ///
    /// # Errors
    /// If the folder cannot be made or the file cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
        self.write_with(name, |path| {
            std::fs::write(path, bytes).map_err(|source| ReportError::Write { path: path.to_owned(), source })
        })
    }

    /// Writes a file with a function that gets the path to write to.
    ///
    /// # Errors
    /// If the folder cannot be made or the file cannot be written, and what `make` returns.
    pub fn write_with(
        &mut self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let path = self.root.join(name);
        let failed = |path: &Path, source| ReportError::Write { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        let place = match Target::of(&path).map_err(|e| failed(&path, e))? {
            Target::File(place) => place,
            Target::Stream(_) => return Err(failed(&path, std::io::Error::other("no regular file"))),
        };
        let file_name = place.file_name().unwrap_or_default().to_string_lossy();
        // Another process may write the same report.
        let part = place.with_file_name(format!(".part-{}-{file_name}", std::process::id()));
        let done = make(&part).and_then(|()| std::fs::rename(&part, &place).map_err(|e| failed(&path, e)));
        if done.is_err() {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&part);
        }
        done?;
        self.written.push(path);
        Ok(())
    }

    /// Writes charts as `<name>.svg`, `<name>.png` and `<name>@2x.png`, several at a time.
    ///
    /// # Errors
    /// If a chart cannot be drawn or a file cannot be written.
    pub fn charts<N: AsRef<str> + Sync>(&mut self, charts: &[(N, Chart)]) -> Result<(), ReportError> {
        let one = |(name, chart): &(N, Chart)| {
            let mut own = self.empty();
            own.chart(name.as_ref(), chart).map(|()| own)
        };
        let all: Vec<OutputFolder> = charts.par_iter().map(one).collect::<Result<_, _>>()?;
        all.into_iter().for_each(|own| self.adopt(own));
        Ok(())
    }

    fn chart(&mut self, name: &str, chart: &Chart) -> Result<(), ReportError> {
        let failed = |why| ReportError::Plot { name: name.to_owned(), why };
        let picture = plot::picture(chart, STANDALONE, Placement::Standalone);
        let folder = self.charts;
        self.write(&format!("{folder}{name}.svg"), plot::svg(&picture, &chart.title).map_err(failed)?.as_bytes())?;
        let bitmap = plot::bitmap(&picture).map_err(failed)?;
        self.write_with(&format!("{folder}{name}.png"), |path| bitmap.save(path, 1).map_err(failed))?;
        self.write_with(&format!("{folder}{name}@2x.png"), |path| bitmap.save(path, 2).map_err(failed))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = OutputFolder::new(dir.path());
        out.write("report/a.txt", b"old").unwrap();
        let failed = out.write_with("report/a.txt", |path| {
            std::fs::write(path, b"half").unwrap();
            Err(ReportError::Plot { name: "a".to_owned(), why: "b".to_owned() })
        });
        assert!(failed.is_err());
        let names: Vec<_> =
            std::fs::read_dir(dir.path().join("report")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["a.txt"]);
        assert_eq!(std::fs::read(dir.path().join("report/a.txt")).unwrap(), b"old");
        assert_eq!(out.written(), [dir.path().join("report/a.txt")]);
    }
}
