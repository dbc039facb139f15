//! A folder of images with a folder for each class, as every verb reads it: one order of classes, one rule for what is left
//! out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use mobilenas_image::is_image;

/// Images with their classes: `DIR/<class>/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFolder {
    /// The folder.
    pub dir: PathBuf,
    /// Names of the classes; a class's place is its label. By number where all names are numbers, else by name.
    pub classes: Vec<String>,
    /// The images and the label of each, by class and then by path.
    pub images: Vec<(PathBuf, u32)>,
    /// What was left out, in words; empty if nothing was.
    pub notes: Vec<String>,
}

/// What a folder of images has to look like.
const EXPECTED: &str = "DIR/<class>/*.{jpg,png,webp,bmp,gif,tiff}";

/// Folders below a class's folder are read so deep; torchvision has no bound, and follows links in circles.
const DEPTH: usize = 16;

/// Files named in a note.
const NAMED: usize = 3;

/// Names of classes in the order of their labels: by number where all are numbers, else by name.
pub fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    if let Ok(mut numbered) =
        names.iter().map(|n| n.parse().map(|k: u64| (k, n.clone()))).collect::<Result<Vec<_>, _>>()
    {
        numbered.sort();
        names = numbered.into_iter().map(|(_, n)| n).collect();
    }
    names
}

/// The entries of a folder by name; hidden ones left out.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(DataError::io(dir))? {
        let entry = entry.map_err(DataError::io(dir))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            all.push(entry.path());
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// What a class's folder holds.
#[derive(Default)]
struct Class {
    images: Vec<PathBuf>,
    other_formats: Vec<PathBuf>,
    not_regular: Vec<PathBuf>,
}

impl Class {
    fn read(&mut self, dir: &Path, depth: usize) -> Result<(), DataError> {
        for path in entries(dir)? {
            // Of what a link points to; one that points nowhere is no regular file.
            match fs::metadata(&path) {
                Ok(m) if m.is_dir() && depth < DEPTH => self.read(&path, depth + 1)?,
                Ok(m) if m.is_file() && is_image(&path) => self.images.push(path),
                Ok(m) if m.is_file() => self.other_formats.push(path),
                _ => self.not_regular.push(path),
            }
        }
        Ok(())
    }
}

/// `3 files of other formats (a.txt, b.csv, c.md)`.
fn counted(files: &[PathBuf], what: &str) -> Option<String> {
    let names = files.iter().take(NAMED).map(|f| f.file_name().unwrap_or_default().to_string_lossy());
    let mut names = names.collect::<Vec<_>>().join(", ");
    if files.len() > NAMED {
        names.push_str(", ...");
    }
    let plural = if files.len() == 1 { "" } else { "s" };
    (!files.is_empty()).then(|| format!("{} file{plural} {what} ({names})", files.len()))
}

impl ImageFolder {
    /// Lists the images of `DIR/<class>/**`. A class folder without a usable image is an error, unless `allow_empty`: then
    /// it is no class.
    ///
    /// # Errors
    /// When the folder cannot be read, holds no images, or a class has none.
    pub fn open(dir: &Path, allow_empty: bool) -> Result<ImageFolder, DataError> {
        let (mut classes, mut empty, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for path in entries(dir)?.into_iter().filter(|p| p.is_dir()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut class = Class::default();
            class.read(&path, 0)?;
            let left_out = [
                counted(&class.other_formats, "of other formats"),
                counted(&class.not_regular, "that are no regular files"),
            ];
            let left_out: Vec<String> = left_out.into_iter().flatten().collect();
            if class.images.is_empty() {
                let held = if left_out.is_empty() { "it is empty".to_string() } else { left_out.join(", ") };
                empty.push(format!("{name}: {held}"));
                continue;
            }
            if !left_out.is_empty() {
                notes.push(format!("{}: left out {}", path.display(), left_out.join(", ")));
            }
            classes.push((name, class.images));
        }
        if classes.is_empty() && empty.is_empty() {
            return Err(DataError::damaged(dir, "no class folders", EXPECTED));
        }
        if classes.is_empty() || (!empty.is_empty() && !allow_empty) {
            return Err(DataError::EmptyClasses { dir: dir.to_path_buf(), list: empty });
        }
        notes.extend(empty.into_iter().map(|e| format!("{}: class without a usable image: {e}", dir.display())));
        let order = in_order(classes.iter().map(|(name, _)| name.clone()).collect());
        let mut images = Vec::new();
        for (label, name) in (0..).zip(&order) {
            let own = classes.iter_mut().find(|(n, _)| n == name).map(|(_, i)| std::mem::take(i));
            images.extend(own.into_iter().flatten().map(|path| (path, label)));
        }
        Ok(ImageFolder { dir: dir.to_path_buf(), classes: order, images, notes })
    }

    /// As [`ImageFolder::open`], of `DIR/val` where that is a folder of class folders.
    ///
    /// # Errors
    /// As for [`ImageFolder::open`].
    pub fn open_val(dir: &Path, allow_empty: bool) -> Result<ImageFolder, DataError> {
        let val = dir.join("val");
        let nested = val.is_dir() && entries(&val)?.iter().any(|p| p.is_dir());
        ImageFolder::open(if nested { &val } else { dir }, allow_empty)
    }

    /// Labels the images by other class names than the folder's own order: those of a network, matched by name. Classes
    /// without a folder stay without images.
    ///
    /// # Errors
    /// When a folder's name is none of the classes.
    pub fn labelled_as(mut self, classes: &[String], of: &str) -> Result<ImageFolder, DataError> {
        let label = |name: &String| classes.iter().position(|c| c == name).map(|at| at as u32);
        let strange: Vec<&str> = self.classes.iter().filter(|name| label(name).is_none()).map(String::as_str).collect();
        if !strange.is_empty() {
            let found = format!("the class{} {}", if strange.len() == 1 { "" } else { "es" }, strange.join(", "));
            return Err(DataError::damaged(&self.dir, found, format!("only the {} classes of {of}", classes.len())));
        }
        let labels: Vec<u32> = self.classes.iter().filter_map(label).collect();
        self.images.iter_mut().for_each(|(_, l)| *l = labels[*l as usize]);
        self.classes = classes.to_vec();
        Ok(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn touch(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    fn said(dir: &Path) -> String {
        ImageFolder::open(dir, false).unwrap_err().to_string().replace(&dir.display().to_string(), "DIR")
    }

    #[test]
    fn numbers_are_ordered_as_numbers_and_nested_images_are_read() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["10/a.jpg", "9/b.PNG", "9/deep/c.bmp", "0/d.tiff", "9/.hidden.jpg"]);
        let folder = ImageFolder::open(dir.path(), false).unwrap();
        assert_eq!(folder.classes, ["0", "9", "10"]);
        assert_eq!(folder.images.iter().map(|(_, l)| *l).collect::<Vec<_>>(), [0, 1, 1, 2]);
        assert_eq!(folder.notes, Vec::<String>::new());
    }

    #[test]
    fn a_class_without_a_usable_image_is_an_error_with_counts() {
        let dir = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(said(dir.path()), @"DIR: found no class folders, expected DIR/<class>/*.{jpg,png,webp,bmp,gif,tiff}");
        touch(dir.path(), &["a/1.jpg", "a/read.me", "c/1.txt", "c/2.txt", "c/3.csv", "c/4.md"]);
        fs::create_dir(dir.path().join("b")).unwrap();
        std::os::unix::fs::symlink("nowhere.jpg", dir.path().join("a/2.jpg")).unwrap();
        insta::assert_snapshot!(said(dir.path()), @r"
        DIR: found 2 classes without a usable image, expected images in each (data.allow_empty_classes: true goes on without them):
          b: it is empty
          c: 4 files of other formats (1.txt, 2.txt, 3.csv, ...)
        ");
        let folder = ImageFolder::open(dir.path(), true).unwrap();
        assert_eq!(folder.classes, ["a"]);
        let notes = folder.notes.join("\n").replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(notes, @r"
        DIR/a: left out 1 file of other formats (read.me), 1 file that are no regular files (2.jpg)
        DIR: class without a usable image: b: it is empty
        DIR: class without a usable image: c: 4 files of other formats (1.txt, 2.txt, 3.csv, ...)
        ");
    }

    #[test]
    fn classes_are_matched_by_name() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["owl/1.jpg", "ant/1.jpg"]);
        let open = || ImageFolder::open(dir.path(), false).unwrap();
        let names = ["elk", "owl", "ant"].map(str::to_string);
        let folder = open().labelled_as(&names, "w.safetensors").unwrap();
        assert_eq!(folder.images.iter().map(|(_, l)| *l).collect::<Vec<_>>(), [2, 1]);
        let e = open().labelled_as(&names[..2], "w.safetensors").unwrap_err().to_string();
        assert!(e.ends_with("found the class ant, expected only the 2 classes of w.safetensors"), "{e}");
    }
}
