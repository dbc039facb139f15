//! CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in their binary form: records of labels and 3072 levels, plane by plane.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DataError, Dataset, DatasetReader, ImageSource, InMemoryImages, ReadOptions, Splits};
use crate::Target;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// One of the two: where its files are, and how many labels stand before an image; the last one counts.
#[derive(Debug)]
pub(super) struct Layout {
    name: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    inner: &'static str,
    labels: usize,
    classes: usize,
    images: [usize; 2],
}

pub(super) static CIFAR_10: Layout = Layout {
    name: "cifar-10",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    inner: "cifar-10-batches-bin",
    labels: 1,
    classes: 10,
    images: [50_000, 10_000],
};

pub(super) static CIFAR_100: Layout = Layout {
    name: "cifar-100",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    inner: "cifar-100-binary",
    labels: 2,
    classes: 100,
    images: [50_000, 10_000],
};

impl DatasetReader for Layout {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        "50,000 and 10,000 colour images of 32x32 pixels, the binary version's files"
    }

    fn classes(&self) -> Option<u32> {
        Some(self.classes as u32)
    }

    /// From a folder, or from the folder that the archive makes in it.
    fn load(&self, dir: &Path, _: &ReadOptions) -> Result<Splits, DataError> {
        let inner = dir.join(self.inner);
        let dir = if inner.is_dir() { inner } else { dir.to_path_buf() };
        let names = names(&dir, self)?;
        let train: Vec<PathBuf> = self.train.iter().map(|f| dir.join(f)).collect();
        let train = read(&train, self, self.images[0], &names)?;
        let test = read(&[dir.join(self.test)], self, self.images[1], &names)?;
        Ok(Splits { train, test, notes: Vec::new() })
    }
}

fn file(path: &Path, layout: &Layout) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let all: Vec<&str> = layout.train.iter().copied().chain([layout.test, layout.names]).collect();
            DataError::damaged(path, "no file", format!("the binary version's files {}", all.join(", ")))
        }
        _ => DataError::Io { path: path.to_path_buf(), error: e },
    })
}

fn names(folder: &Path, layout: &Layout) -> Result<Vec<String>, DataError> {
    let path = folder.join(layout.names);
    let text = String::from_utf8_lossy(&file(&path, layout)?).into_owned();
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_string).collect();
    match names.len() == layout.classes {
        true => Ok(names),
        false => Err(DataError::damaged(path, format!("{} names", names.len()), format!("{}", layout.classes))),
    }
}

fn read(files: &[PathBuf], layout: &Layout, n: usize, names: &[String]) -> Result<Dataset, DataError> {
    let (record, share) = (layout.labels + 3 * PLANE, n / files.len().max(1));
    let (mut pixels, mut targets) = (Vec::with_capacity(n * 3 * PLANE), Vec::with_capacity(n));
    for path in files {
        let bytes = file(path, layout)?;
        if bytes.len() != share * record {
            let expected = format!("{} ({share} records of {record})", share * record);
            return Err(DataError::damaged(path, format!("{} bytes", bytes.len()), expected));
        }
        for (i, one) in bytes.chunks_exact(record).enumerate() {
            let (head, planes) = one.split_at(layout.labels);
            let label = usize::from(head[layout.labels - 1]);
            if label >= layout.classes {
                let expected = format!("labels below {}", layout.classes);
                return Err(DataError::damaged(path, format!("label {label} at {i}"), expected));
            }
            targets.push(Target::Class(label as u32));
            let (red, rest) = planes.split_at(PLANE);
            let (green, blue) = rest.split_at(PLANE);
            pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((r, g), b)| [*r, *g, *b]));
        }
    }
    let images = InMemoryImages { n: targets.len(), height: SIDE, width: SIDE, channels: 3, pixels };
    Ok(Dataset { images: ImageSource::Memory(images), targets, classes: names.to_vec(), ..Dataset::default() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    static SMALL: Layout = Layout {
        name: "small",
        train: &["a.bin", "b.bin"],
        test: "t.bin",
        names: "n.txt",
        inner: "in",
        labels: 2,
        classes: 3,
        images: [4, 1],
    };

    fn record(coarse: u8, fine: u8, seed: usize) -> Vec<u8> {
        [coarse, fine]
            .into_iter()
            .chain((0..3 * PLANE).map(|i| (i / PLANE * 50 + i % PLANE % 7 + seed) as u8))
            .collect()
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("n.txt"), "apple\nbear\ncat\n\n").unwrap();
        fs::write(dir.path().join("a.bin"), [record(9, 0, 1), record(9, 2, 2)].concat()).unwrap();
        fs::write(dir.path().join("b.bin"), [record(9, 1, 3), record(9, 1, 4)].concat()).unwrap();
        fs::write(dir.path().join("t.bin"), record(0, 2, 5)).unwrap();
        dir
    }

    fn error(dir: &tempfile::TempDir) -> String {
        SMALL
            .load(dir.path(), &ReadOptions::default())
            .unwrap_err()
            .to_string()
            .replace(&dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn records_become_pixels_and_the_last_label_counts() {
        let Splits { train, test, .. } = SMALL.load(folder().path(), &ReadOptions::default()).unwrap();
        assert_eq!(
            (&train.targets[..], &test.targets[..]),
            (&[0, 2, 1, 1].map(Target::Class)[..], &[Target::Class(2)][..])
        );
        assert_eq!(train.classes, ["apple", "bear", "cat"]);
        let images = train.images.memory().unwrap();
        assert_eq!((images.n, images.width, images.height, images.channels), (4, 32, 32, 3));
        // Image 2, pixel 8: red, green and blue of it.
        assert_eq!(images.levels(2)[3 * 8..3 * 9], [4, 54, 104]);
    }

    #[test]
    fn damage_is_named() {
        let dir = folder();
        fs::write(dir.path().join("b.bin"), [record(9, 1, 3), record(9, 3, 4)].concat()).unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR/b.bin: found label 3 at 1, expected labels below 3");
        fs::write(dir.path().join("b.bin"), record(9, 1, 3)).unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR/b.bin: found 3074 bytes, expected 6148 (2 records of 3074)");
        fs::remove_file(dir.path().join("b.bin")).unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR/b.bin: found no file, expected the binary version's files a.bin, b.bin, t.bin, n.txt");
        fs::write(dir.path().join("n.txt"), "apple\n").unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR/n.txt: found 1 names, expected 3");
    }
}
