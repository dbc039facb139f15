//! A folder of one's own images: `DIR/train` and `DIR/val`, each with a folder for each class or with tar shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::shards::{Member, Shards};
use super::{DataError, Dataset, ImageSource};
use crate::Target;
use crate::image::folder::{NoFolder, folders, is_image, sorted};

const EXPECTED: &str = "DIR/train and DIR/val, each with <class>/*.{jpg,jpeg,png,webp} or *.tar";

fn missing(e: NoFolder) -> DataError {
    DataError::damaged(e.path, e.found, EXPECTED)
}

/// One split: its images, and the name of each one's class.
struct Listed {
    images: ImageSource,
    names: Vec<String>,
}

/// Lists the training images and the test images, which are those of `val`.
pub(super) fn load(dir: &Path) -> Result<(Dataset, Dataset), DataError> {
    let (train, val) = (dir.join("train"), dir.join("val"));
    let (a, b) = (list(&train)?, list(&val)?);
    let classes = in_order(a.names.iter().cloned().collect());
    let index: BTreeMap<&str, u32> = classes.iter().zip(0..).map(|(c, i)| (c.as_str(), i)).collect();
    let labelled = |path: &Path, l: Listed| -> Result<Dataset, DataError> {
        let label = |name: &String| {
            let strange = || format!("one of the {} classes of {}", classes.len(), train.display());
            index
                .get(name.as_str())
                .map(|class| Target::Class(*class))
                .ok_or_else(|| DataError::damaged(path, format!("class {name}"), strange()))
        };
        let targets = l.names.iter().map(label).collect::<Result<_, _>>()?;
        Ok(Dataset { images: l.images, targets, classes: classes.clone() })
    };
    Ok((labelled(&train, a)?, labelled(&val, b)?))
}

/// Sorted names; by number, where all of them are numbers.
fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    if let Ok(mut numbered) =
        names.iter().map(|n| n.parse().map(|k: u64| (k, n.clone()))).collect::<Result<Vec<_>, _>>()
    {
        numbered.sort();
        names = numbered.into_iter().map(|(_, n)| n).collect();
    }
    names
}

fn list(dir: &Path) -> Result<Listed, DataError> {
    let tars: Vec<_> = sorted(dir)
        .map_err(missing)?
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "tar") && p.is_file())
        .collect();
    let listed = if tars.is_empty() { class_folders(dir)? } else { shards(&tars)? };
    match listed.images.is_empty() {
        true => Err(DataError::damaged(dir, "no images", EXPECTED)),
        false => Ok(listed),
    }
}

fn class_folders(dir: &Path) -> Result<Listed, DataError> {
    let (mut files, mut names) = (Vec::new(), Vec::new());
    for path in folders(dir).map_err(missing)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for file in sorted(&path).map_err(missing)?.into_iter().filter(|f| is_image(f)) {
            files.push(file);
            names.push(name.clone());
        }
    }
    Ok(Listed { images: ImageSource::Files(files), names })
}

fn shards(tars: &[std::path::PathBuf]) -> Result<Listed, DataError> {
    let (mut all, mut names) = (Shards::default(), Vec::new());
    for tar in tars {
        for Member { class, part } in all.open(tar)? {
            all.push(part);
            names.push(class);
        }
    }
    Ok(Listed { images: ImageSource::Shards(all), names })
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
        load(dir).unwrap_err().to_string().replace(&dir.display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_for_each_class_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["train/b/1.jpg", "train/a/2.PNG", "train/a/1.webp", "train/a/read.me", "val/b/9.jpeg"]);
        let (train, val) = load(dir.path()).unwrap();
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
        let (train, val) = load(dir.path()).unwrap();
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
        insta::assert_snapshot!(said(dir.path()), @"DIR/train: found No such file or directory (os error 2), expected DIR/train and DIR/val, each with <class>/*.{jpg,jpeg,png,webp} or *.tar");
        touch(dir.path(), &["train/a/1.jpg", "val/c/1.txt"]);
        insta::assert_snapshot!(said(dir.path()), @"DIR/val: found no images, expected DIR/train and DIR/val, each with <class>/*.{jpg,jpeg,png,webp} or *.tar");
        touch(dir.path(), &["val/c/1.jpg"]);
        insta::assert_snapshot!(said(dir.path()), @"DIR/val: found class c, expected one of the 1 classes of DIR/train");
        tar(&dir.path().join("val/0.tar"), &[("4.jpg", "four")]);
        insta::assert_snapshot!(said(dir.path()), @"DIR/val/0.tar: found 4.jpg without a class, expected 4.cls, 4.txt or a folder of the class's name");
        let whole = fs::read(dir.path().join("val/0.tar")).unwrap();
        fs::write(dir.path().join("val/0.tar"), &whole[..514]).unwrap();
        insta::assert_snapshot!(said(dir.path()), @"DIR/val/0.tar: found 514 bytes, the member 4.jpg ends at 516, expected a whole tar file");
    }
}
