//! The folder that reports are written into.

use std::path::{Path, PathBuf};

use mobilenas_host::write::Target;
use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};

use crate::ReportError;
use crate::plot::{self, Chart, Dress, Size};

/// A folder to write into, with a record of what was written.
///
/// Every file is first written beside its place and then renamed, so that a reader never meets half a file.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    plots: &'static str,
    written: Vec<PathBuf>,
}

/// Size of a plot that stands alone, px.
const ALONE: Size = Size { width: 960, height: 640 };

impl Site {
    /// A site in `root`, which is made when the first file is written.
    pub fn new(root: impl Into<PathBuf>) -> Site {
        Site { root: root.into(), plots: "report/", written: Vec::new() }
    }

    /// A site whose plots stand beside its page, in the folder itself.
    pub fn flat(root: impl Into<PathBuf>) -> Site {
        Site { plots: "", ..Site::new(root) }
    }

    /// What was written so far, in order.
    pub fn written(&self) -> &[PathBuf] {
        &self.written
    }

    /// Takes over what another site wrote.
    pub(crate) fn adopt(&mut self, other: Site) {
        self.written.extend(other.written);
    }

    /// Writes a file; `name` is its path below the site's root.
    ///
    /// # Errors
    /// If the folder cannot be made or the file cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
        self.write_with(name, |path| {
            std::fs::write(path, bytes).map_err(|source| ReportError::Write { path: path.to_owned(), source })
        })
    }

    /// Writes a file with a function that gets a path to write to, which has the name's extension.
    ///
    /// # Errors
    /// If the folder cannot be made, or what `make` returns, or if the file cannot be put in its place.
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
        // A run may write its report while another process does.
        let beside = place.with_file_name(format!(".part-{}-{file_name}", std::process::id()));
        let done = make(&beside).and_then(|()| std::fs::rename(&beside, &place).map_err(|e| failed(&path, e)));
        if done.is_err() {
            // What is left of a failed attempt; the first error is the one to tell.
            let _ = std::fs::remove_file(&beside);
        }
        done?;
        self.written.push(path);
        Ok(())
    }

    /// Writes charts under their names, several at a time, as [`Site::plot`] does.
    ///
    /// # Errors
    /// If a chart cannot be drawn or a file cannot be written.
    pub fn plots<N: AsRef<str> + Sync>(&mut self, charts: &[(N, Chart)]) -> Result<(), ReportError> {
        let one = |(name, chart): &(N, Chart)| {
            let mut beside = Site { root: self.root.clone(), plots: self.plots, written: Vec::new() };
            beside.plot(name.as_ref(), chart).map(|()| beside)
        };
        let sites: Vec<Site> = charts.par_iter().map(one).collect::<Result<_, _>>()?;
        sites.into_iter().for_each(|site| self.adopt(site));
        Ok(())
    }

    /// Writes a chart as `<name>.svg`, `<name>.png` and `<name>@2x.png` into `report`, or beside the page of a flat site.
    ///
    /// # Errors
    /// If the chart cannot be drawn or a file cannot be written.
    pub fn plot(&mut self, name: &str, chart: &Chart) -> Result<(), ReportError> {
        let failed = |why| ReportError::Plot { name: name.to_owned(), why };
        let picture = chart.picture(ALONE, Dress::Full);
        let folder = self.plots;
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
        let mut site = Site::new(dir.path());
        site.write("report/a.txt", b"old").unwrap();
        let failed = site.write_with("report/a.txt", |path| {
            std::fs::write(path, b"half").unwrap();
            Err(ReportError::Plot { name: "a".to_owned(), why: "b".to_owned() })
        });
        assert!(failed.is_err());
        let names: Vec<_> =
            std::fs::read_dir(dir.path().join("report")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["a.txt"]);
        assert_eq!(std::fs::read(dir.path().join("report/a.txt")).unwrap(), b"old");
        assert_eq!(site.written(), [dir.path().join("report/a.txt")]);
    }
}
