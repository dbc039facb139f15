//! A folder of images, a folder for each class.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder that holds no images where they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {found}, expected {expected}")]
pub struct NoFolder {
    /// The folder.
    pub path: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: &'static str,
}

/// Images with their classes: `DIR/<class>/*`, or `DIR/val/<class>/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Names of the classes, sorted: a class's place is its index.
    pub classes: Vec<String>,
    /// The images and the index of each one's class, by class and then by name.
    pub images: Vec<(PathBuf, usize)>,
    /// Files beside the images.
    pub others: usize,
}

const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
const EXPECTED: &str = "DIR/<class>/*.{jpg,jpeg,png,webp} or DIR/val/<class>/*";

/// What a folder holds, sorted by name; hidden entries left out.
pub fn sorted(dir: &Path) -> Result<Vec<PathBuf>, NoFolder> {
    let fail = |e: std::io::Error| NoFolder {
        path: dir.display().to_string(),
        found: e.to_string(),
        expected: "a folder of images",
    };
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            all.push(entry.path());
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The folders in a folder, in the order of their names.
///
/// # Errors
/// When it cannot be read.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, NoFolder> {
    Ok(sorted(dir)?.into_iter().filter(|p| p.is_dir()).collect())
}

/// Whether a file's name ends as an image's does.
pub fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

impl Folder {
    /// Lists the images.
    ///
    /// # Errors
    /// When there are none, or the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Folder, NoFolder> {
        let val = dir.join("val");
        let mut inner = if val.is_dir() { folders(&val)? } else { Vec::new() };
        if inner.is_empty() {
            inner = folders(dir)?;
        }
        let mut out = Folder { classes: Vec::new(), images: Vec::new(), others: 0 };
        for (class, path) in inner.iter().enumerate() {
            out.classes.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            for file in sorted(path)? {
                if is_image(&file) {
                    out.images.push((file, class));
                } else {
                    out.others += 1;
                }
            }
        }
        if out.images.is_empty() {
            let found = format!("no images in {} folders", out.classes.len());
            return Err(NoFolder { path: dir.display().to_string(), found, expected: EXPECTED });
        }
        Ok(out)
    }
}
