//! Fashion-MNIST (Xiao et al., 2017): 60,000 and 10,000 grey images of 28x28 pixels in ten classes.

use std::path::{Path, PathBuf};

use super::{DataError, Dataset, DatasetReader, ImageSource, ReadOptions, Splits, idx};
use crate::Target;

/// Its files, each with or without `.gz`: training images and labels, test images and labels.
pub const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

fn find(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let candidates = [folder.join(format!("{name}.gz")), folder.join(name)];
    candidates.into_iter().find(|p| p.is_file()).ok_or_else(|| DataError::Missing {
        folder: folder.to_path_buf(),
        missing: name.to_string(),
        files: FILES.join(", "),
    })
}

fn pair(images: &Path, labels: &Path) -> Result<Dataset, DataError> {
    let (i, l) = (idx::images(images)?, idx::labels(labels, CLASSES.len())?);
    if i.n != l.len() {
        let (found, expected) = (format!("{} labels", l.len()), format!("{}, one for each image", i.n));
        return Err(DataError::Damaged { path: labels.to_path_buf(), found, expected });
    }
    Ok(Dataset {
        images: ImageSource::Memory(i),
        targets: l.into_iter().map(|c| Target::Class(u32::from(c))).collect(),
        classes: CLASSES.map(str::to_string).to_vec(),
        ..Dataset::default()
    })
}

/// The reader.
pub(super) struct FashionMnist;

impl DatasetReader for FashionMnist {
    fn name(&self) -> &'static str {
        "fashion-mnist"
    }

    fn help(&self) -> &'static str {
        "60,000 and 10,000 grey images of 28x28 pixels in ten classes, in IDX files"
    }

    fn classes(&self) -> Option<u32> {
        Some(CLASSES.len() as u32)
    }

    fn load(&self, dir: &Path, _: &ReadOptions) -> Result<Splits, DataError> {
        let [a, b, c, d] = FILES.map(|name| find(dir, name));
        let (a, b, c, d) = (a?, b?, c?, d?);
        let (train, test) = (pair(&a, &b)?, pair(&c, &d)?);
        if let (Some(t), Some(e)) = (train.images.memory(), test.images.memory())
            && (t.height, t.width) != (e.height, e.width)
        {
            let (found, expected) =
                (format!("images of {}x{}", e.height, e.width), format!("{}x{}", t.height, t.width));
            return Err(DataError::Damaged { path: c, found, expected });
        }
        Ok(Splits { train, test, notes: Vec::new() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn header(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    fn gz(path: &Path, bytes: &[u8]) {
        let mut e = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
        e.write_all(bytes).unwrap();
        e.finish().unwrap();
    }

    /// Six training images of 2x3 and two test images.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, n) in [("train", 6u32), ("t10k", 2)] {
            let mut images = header(&[2051, n, 2, 3]);
            images.extend((0..n * 6).map(|i| i as u8));
            gz(&dir.path().join(format!("{name}-images-idx3-ubyte.gz")), &images);
            let mut labels = header(&[2049, n]);
            labels.extend((0..n).map(|i| i as u8));
            std::fs::write(dir.path().join(format!("{name}-labels-idx1-ubyte")), &labels).unwrap();
        }
        dir
    }

    fn load(dir: &Path) -> Result<Splits, DataError> {
        FashionMnist.load(dir, &ReadOptions::default())
    }

    fn error(dir: &tempfile::TempDir) -> String {
        load(dir.path()).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn reads_packed_and_plain_files() {
        let dir = folder();
        let Splits { train, test, .. } = load(dir.path()).unwrap();
        let images = train.images.memory().unwrap();
        assert_eq!((images.n, images.height, images.width, images.channels), (6, 2, 3, 1));
        assert_eq!(images.pixels[6..12], [6, 7, 8, 9, 10, 11]);
        assert_eq!(test.targets, [0, 1].map(Target::Class));
    }

    #[test]
    fn each_kind_of_damage_has_one_clear_message() {
        let dir = folder();
        let images = dir.path().join("train-images-idx3-ubyte.gz");
        let packed = std::fs::read(&images).unwrap();
        std::fs::write(&images, &packed[..packed.len() - 12]).unwrap();
        let e = error(&dir);
        assert!(e.starts_with("DIR/train-images-idx3-ubyte.gz: found a gzip stream that breaks"), "{e}");

        gz(&images, &header(&[2049, 6, 2, 3]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found magic number 2049, expected 2051");
        gz(&images, &header(&[2051, 6]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 8 bytes, expected a header of 16 bytes");
        gz(&images, &header(&[2051, 6, 2, 3, 0]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 4 bytes after the header, expected 36, as the header says");
        gz(&images, &header(&[2051, u32::MAX, 2, 3]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 4294967295 images of 2x3, expected 1 to 10000000 images of sides 1 to 1024");
    }

    #[test]
    fn nothing_is_passed_over_and_nothing_is_empty() {
        let dir = folder();
        let images = dir.path().join("train-images-idx3-ubyte.gz");
        let packed = std::fs::read(&images).unwrap();
        for end in 0..packed.len() {
            std::fs::write(&images, &packed[..end]).unwrap();
            assert!(load(dir.path()).is_err(), "cut to {end} bytes");
        }
        std::fs::write(&images, [packed.as_slice(), b"rubbish"].concat()).unwrap();
        let e = error(&dir);
        assert!(e.starts_with("DIR/train-images-idx3-ubyte.gz: found a gzip stream that breaks"), "{e}");
        std::fs::write(&images, packed.repeat(2)).unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 37 bytes after the header, expected 36, as the header says");
        gz(&images, &header(&[2051, 0, 2, 3]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 0 images of 2x3, expected 1 to 10000000 images of sides 1 to 1024");
        gz(&images, &header(&[2051, 10_000_000, 1024, 1024]));
        insta::assert_snapshot!(error(&dir), @"DIR/train-images-idx3-ubyte.gz: found 10485760000000 bytes of images, expected at most 4294967296");
    }

    #[test]
    fn the_dataset_itself_reads_whole() {
        // Other tests have an excerpt, where `cargo xtask test` runs them.
        let root = std::env::var_os("MOBILENAS_DATA_WHOLE").or_else(|| std::env::var_os("MOBILENAS_DATA"));
        let root = root.expect("`cargo xtask test` fetches the data and sets it");
        let Splits { train, test, .. } = load(&Path::new(&root).join("fashion-mnist")).unwrap();
        for (set, n) in [(&train, 60_000), (&test, 10_000)] {
            let images = set.images.memory().unwrap();
            assert_eq!((images.n, images.height, images.width), (n, 28, 28));
            assert_eq!((images.pixels.len(), set.targets.len(), set.classes.len()), (n * 28 * 28, n, 10));
            let count = |class| set.targets.iter().filter(|t| **t == Target::Class(class)).count();
            assert!((0..10).all(|class| count(class) == n / 10));
        }
        let split = crate::dataset::split(&train, 5000, None, 1);
        let count =
            |class| split.search_val.indices().iter().filter(|i| train.targets[**i] == Target::Class(class)).count();
        assert!((0..10).all(|class| count(class) == 500));
        assert_eq!(split.train.len(), 55_000);
    }

    #[test]
    fn labels_are_checked() {
        let dir = folder();
        let labels = dir.path().join("t10k-labels-idx1-ubyte");
        let write = |words: &[u32], rest: &[u8]| std::fs::write(&labels, [&header(words), rest].concat()).unwrap();
        write(&[2049, 2], &[1, 10]);
        insta::assert_snapshot!(error(&dir), @"DIR/t10k-labels-idx1-ubyte: found label 10 at 1, expected labels below 10");
        write(&[2049, 3], &[1, 2, 3]);
        insta::assert_snapshot!(error(&dir), @"DIR/t10k-labels-idx1-ubyte: found 3 labels, expected 2, one for each image");
    }

    #[test]
    fn a_missing_file_names_all_four() {
        let dir = folder();
        std::fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
        insta::assert_snapshot!(error(&dir), @"DIR: t10k-labels-idx1-ubyte not found, expected the files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each with or without .gz); `cargo xtask setup` fetches them, or put them there by hand");
    }
}
