//! Class maps of one's own: `DIR/SPLIT/images`, `DIR/SPLIT/masks` with a PNG of the same name for each image, and
//! `DIR/classes.txt`. The split `.` is the folder itself.

use std::path::Path;

use mobilenas_image::is_image;

use super::check::{Listed, checked, files};
use super::damage::DamageLog;
use super::voc::read_names;
use super::{DenseDataset, DenseReader, MapRule, ReadOptions};
use crate::DenseError;

/// The reader.
#[derive(Clone, Copy, Debug)]
pub struct MaskFolder;

const EXPECTED: &str = "DIR/SPLIT/images/*.{jpg,png,webp,bmp,gif,tiff} and DIR/SPLIT/masks/*.png of the same names";

impl DenseReader for MaskFolder {
    fn name(&self) -> &'static str {
        "masks"
    }

    fn help(&self) -> &'static str {
        "class maps of your own: DIR/SPLIT/images, DIR/SPLIT/masks/*.png of the same names, DIR/classes.txt"
    }

    fn load(&self, dir: &Path, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError> {
        let rule = MapRule { classes: read_names(&dir.join("classes.txt"))?, zero_is_ignored: false };
        let folder = dir.join(split);
        let listed = pairs(&folder.join("images"), &folder.join("masks"), EXPECTED)?;
        checked(&folder, listed, (Vec::new(), Some(rule)), options, DamageLog::default())
    }
}

/// The images of a folder, each with the class map of its name.
pub(super) fn pairs(images: &Path, maps: &Path, expected: &str) -> Result<Vec<Listed>, DenseError> {
    let images = files(images, expected)?.into_iter().filter(|path| is_image(path));
    let listed = |(id, path): (u64, std::path::PathBuf)| {
        let mut name = path.file_stem().unwrap_or_default().to_os_string();
        name.push(".png");
        Listed { id, map: Some(maps.join(name)), path, stated: None, objects: Vec::new() }
    };
    Ok((0..).zip(images).map(listed).collect())
}
