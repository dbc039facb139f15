//! A folder of one's own images: `DIR/train` and `DIR/val`, each with a folder for each class or with tar shards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::image_folder::{ImageFolder, entries, in_order};
use super::shards::{Member, Shards};
use super::{DataError, Dataset, DatasetReader, ImageSource, ReadOptions, Splits};
use crate::Target;

const EXPECTED: &str = "DIR/train and DIR/val, each with <class>/*.{jpg,png,webp,bmp,gif,tiff} or *.tar";

/// The reader.
pub(crate) struct Folder;

impl DatasetReader for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn help(&self) -> &'static str {
        "images of your own: DIR/train and DIR/val, each with a folder for each class or with tar shards"
    }

    fn classes(&self) -> Option<u32> {
        None
    }

    fn photos(&self) -> bool {
        true
    }

    /// The test images are those of `val`, labelled by the names of the training classes.
    fn load(&self, dir: &Path, options: &ReadOptions) -> Result<Splits, DataError> {
        let (train, mut notes) = list(&dir.join("train"), options)?;
        let (test, more) = list(&dir.join("val"), options)?;
        notes.extend(more);
        let (train_dir, val_dir) = (dir.join("train"), dir.join("val"));
        let labels = |name: &String| train.classes.iter().position(|c| c == name).map(|at| at as u32);
        let strange = test.classes.iter().find(|name| labels(name).is_none());
        if let Some(name) = strange {
            let expected = format!("one of the {} classes of {}", train.classes.len(), train_dir.display());
            return Err(DataError::damaged(&val_dir, format!("class {name}"), expected));
        }
        for name in train.classes.iter().filter(|name| !test.classes.contains(name)) {
            notes.push(format!("{}: no image of the class {name}", val_dir.display()));
        }
        let of: Vec<u32> = test.classes.iter().filter_map(labels).collect();
        let targets = test.targets.iter().filter_map(Target::class).map(|l| Target::Class(of[l as usize])).collect();
        let test = Dataset { targets, classes: train.classes.clone(), ..test };
        Ok(Splits { train, test, notes })
    }
}

/// One split, labelled by its own classes.
fn list(dir: &Path, options: &ReadOptions) -> Result<(Dataset, Vec<String>), DataError> {
    let missing = |e: DataError| match e {
        DataError::Io { path, error } => DataError::damaged(path, error.to_string(), EXPECTED),
        e => e,
    };
    let tars = entries(dir).map_err(missing)?.into_iter();
    let tars: Vec<PathBuf> = tars.filter(|p| p.extension().is_some_and(|e| e == "tar") && p.is_file()).collect();
    if !tars.is_empty() {
        return Ok((shards(dir, &tars)?, Vec::new()));
    }
    let folder = ImageFolder::open(dir, options.allow_empty_classes).map_err(missing)?;
    let (files, targets) = folder.images.into_iter().map(|(file, label)| (file, Target::Class(label))).unzip();
    Ok((
        Dataset { images: ImageSource::Files(files), targets, classes: folder.classes, ..Dataset::default() },
        folder.notes,
    ))
}

fn shards(dir: &Path, tars: &[PathBuf]) -> Result<Dataset, DataError> {
    let (mut all, mut names) = (Shards::default(), Vec::new());
    for tar in tars {
        for Member { class, part } in all.open(tar)? {
            all.push(part);
            names.push(class);
        }
    }
    if names.is_empty() {
        return Err(DataError::damaged(dir, "no images", EXPECTED));
    }
    let classes = in_order(names.iter().cloned().collect::<BTreeSet<_>>());
    let label = |name: &String| classes.iter().position(|c| c == name).unwrap_or_default();
    let targets = names.iter().map(|name| Target::Class(label(name) as u32)).collect();
    Ok(Dataset { images: ImageSource::Shards(all), targets, classes, ..Dataset::default() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    fn tar(path: &Path, members: &[(&str, &str)]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut out = tar::Builder::new(fs::File::create(path).unwrap());
        for (name, data) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_cksum();
            out.append_data(&mut header, name, data.as_bytes()).unwrap();
        }
        out.finish().unwrap();
    }

    fn said(dir: &Path) -> String {
        Folder.load(dir, &ReadOptions::default()).unwrap_err().to_string().replace(&dir.display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_for_each_class_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["train/b/1.jpg", "train/a/2.PNG", "train/a/1.webp", "train/a/read.me", "val/b/9.jpeg"]);
        let Splits { train, test: val, .. } = Folder.load(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!(train.classes, ["a", "b"]);
        assert_eq!((train.targets, val.targets), ([0, 0, 1].map(Target::Class).to_vec(), vec![Target::Class(1)]));
        assert!(train.images.name(0).ends_with("train/a/1.webp") && val.images.name(0).ends_with("val/b/9.jpeg"));
    }

    #[test]
    fn shards_give_the_same_from_a_class_file_or_the_folder_inside() {
        let dir = tempfile::tempdir().unwrap();
        tar(
            &dir.path().join("train/0.tar"),
            &[("x/1.jpg", "one"), ("x/1.cls", "10\n"), ("x/2.cls", "9"), ("x/2.png", "two")],
        );
        tar(&dir.path().join("train/1.tar"), &[("10/3.v2.jpg", "three"), ("10/3.json", "{}")]);
        tar(&dir.path().join("val/0.tar"), &[("4.jpg", "four"), ("4.txt", "9")]);
        let Splits { train, test: val, .. } = Folder.load(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!(train.classes, ["9", "10"], "numbers are ordered as numbers");
        assert_eq!(
            (&train.targets[..], &val.targets[..]),
            (&[1, 0, 1].map(Target::Class)[..], &[Target::Class(0)][..])
        );
        let read = |i| train.images.read(i).unwrap();
        assert_eq!([0, 1, 2].map(read), ["one", "two", "three"].map(|s| super::super::RawImage::File(s.into())));
        assert!(train.images.name(2).ends_with("train/1.tar: 10/3.v2.jpg"), "{}", train.images.name(2));
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(said(dir.path()), @"DIR/train: found No such file or directory (os error 2), expected DIR/train and DIR/val, each with <class>/*.{jpg,png,webp,bmp,gif,tiff} or *.tar");
        touch(dir.path(), &["train/a/1.jpg", "val/c/1.txt"]);
        insta::assert_snapshot!(said(dir.path()), @r"
        DIR/val: found 1 class without a usable image, expected images in each (data.allow_empty_classes: true goes on without them):
          c: 1 file of other formats (1.txt)
        ");
        touch(dir.path(), &["val/c/1.jpg"]);
        insta::assert_snapshot!(said(dir.path()), @"DIR/val: found class c, expected one of the 1 classes of DIR/train");
        tar(&dir.path().join("val/0.tar"), &[("4.jpg", "four")]);
        insta::assert_snapshot!(said(dir.path()), @"DIR/val/0.tar: found 4.jpg without a class, expected 4.cls, 4.txt or a folder of the class's name");
        let whole = fs::read(dir.path().join("val/0.tar")).unwrap();
        fs::write(dir.path().join("val/0.tar"), &whole[..514]).unwrap();
        insta::assert_snapshot!(said(dir.path()), @"DIR/val/0.tar: found 514 bytes, the member 4.jpg ends at 516, expected a whole tar file");
    }
}
