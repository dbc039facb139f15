//! What is listed, against the files and the sizes of the images.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use mobilenas_image::decode::dimensions;
use rayon::prelude::*;

use super::damage::DamageLog;
use super::{Class, Damage, Damaged, DenseDataset, ImageEntry, MapRule, Object, ReadOptions, Shape};
use crate::DenseError;
use crate::class_map::ClassMap;

/// An image as it is listed.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    /// Its size, where one is stated.
    pub(super) stated: Option<(u32, u32)>,
    /// Its objects, and what each is called in messages.
    pub(super) objects: Vec<(String, Object)>,
    pub(super) map: Option<PathBuf>,
}

/// Boxes may reach so many pixels beyond their image: annotation tools round.
const BEYOND: f64 = 1.0;
/// Enough of most files for their size.
const HEADER: u64 = 4096;

/// The path of a file inside a folder; none if the name leads out of it.
pub(super) fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
    (!name.is_empty() && Path::new(name).components().all(plain)).then(|| folder.join(name))
}

/// The files of a folder by name; hidden ones left out.
pub(super) fn files(folder: &Path, expected: &str) -> Result<Vec<PathBuf>, DenseError> {
    let entries = fs::read_dir(folder).map_err(|e| DenseError::file(folder, e.to_string(), expected))?;
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DenseError::io(folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            all.push(entry.path());
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The dataset of what is listed: what does not hold is left out, within the limit.
pub(super) fn checked(
    path: &Path,
    listed: Vec<Listed>,
    (classes, maps): (Vec<Class>, Option<MapRule>),
    options: &ReadOptions,
    mut log: DamageLog,
) -> Result<DenseDataset, DenseError> {
    log.seen(listed.iter().map(|l| 1 + l.objects.len()).sum());
    let look = |l: &Listed| size(l, options).and_then(|size| map_fits(l, size).map(|()| size));
    let sizes: Vec<Result<(u32, u32), Damaged>> = listed.par_iter().map(look).collect();
    let mut images = Vec::with_capacity(listed.len());
    for (l, size) in listed.into_iter().zip(sizes) {
        match size {
            Ok((width, height)) => {
                let mut objects = Vec::with_capacity(l.objects.len());
                for (name, object) in l.objects {
                    match fits(&object, (width, height)) {
                        Ok(()) => objects.push(object),
                        Err((what, told)) => log.add(what, format!("{name}: {told}")),
                    }
                }
                images.push(ImageEntry { id: l.id, path: l.path, width, height, objects, map: l.map });
            }
            Err(Damaged { what, told }) => log.add(what, told),
        }
    }
    let damaged = log.within(path, options.damaged_limit)?;
    if images.is_empty() {
        let why = damaged.last().map_or(String::new(), |d| format!(" ({})", d.told));
        return Err(DenseError::file(path, format!("no usable image{why}"), "at least one"));
    }
    images.sort_by_key(|i| i.id);
    Ok(DenseDataset { path: path.to_path_buf(), images, classes, maps, damaged })
}

/// The size of an image, as its header or, unchecked, its list says.
fn size(l: &Listed, options: &ReadOptions) -> Result<(u32, u32), Damaged> {
    if let (Some(stated), false) = (l.stated, options.check_images) {
        return Ok(stated);
    }
    let damaged = |what, told: String| Damaged { what, told: format!("{}: {told}", l.path.display()) };
    let header = read_header(&l.path, dimensions).map_err(|e| match e {
        Unread::Missing => damaged(Damage::ImageMissing, "found no such file, expected an image".to_string()),
        Unread::Bad(found) => damaged(Damage::ImageUnreadable, format!("found {found}, expected an image")),
    })?;
    match l.stated {
        Some(stated) if stated != header => {
            let told = format!("found {} x {} pixels, expected {} x {}", header.0, header.1, stated.0, stated.1);
            Err(damaged(Damage::ImageSize, told))
        }
        _ => Ok(header),
    }
}

fn map_fits(l: &Listed, (width, height): (u32, u32)) -> Result<(), Damaged> {
    let Some(map) = &l.map else { return Ok(()) };
    let damaged = |what, told: String| Damaged { what, told: format!("{}: {told}", map.display()) };
    let found = read_header(map, ClassMap::png_size).map_err(|e| match e {
        Unread::Missing => {
            damaged(Damage::MapMissing, format!("found no such file, expected the classes of {}", l.path.display()))
        }
        Unread::Bad(found) => {
            damaged(Damage::MaskUnreadable, format!("found {found}, expected {}", crate::class_map::EXPECTED))
        }
    })?;
    if found != (width, height) {
        let told = format!("found {} x {} pixels, expected {width} x {height}, those of its image", found.0, found.1);
        return Err(damaged(Damage::MaskSize, told));
    }
    Ok(())
}

enum Unread {
    Missing,
    Bad(String),
}

/// Reads what a file's beginning tells, or, if that is not enough, the whole file.
fn read_header<T>(path: &Path, read: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, Unread> {
    let unread = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Unread::Missing,
        _ => Unread::Bad(e.to_string()),
    };
    let mut file = File::open(path).map_err(unread)?;
    let mut data = Vec::new();
    (&mut file).take(HEADER).read_to_end(&mut data).map_err(unread)?;
    read(&data).or_else(|_| {
        file.read_to_end(&mut data).map_err(unread)?;
        read(&data).map_err(Unread::Bad)
    })
}

fn fits(object: &Object, (width, height): (u32, u32)) -> Result<(), (Damage, String)> {
    let [x, y, w, h] = object.xywh;
    if !object.xywh.iter().all(|v| v.is_finite()) || w <= 0.0 || h <= 0.0 {
        return Err((Damage::EmptyBox, format!("found a box of {w} x {h} pixels, expected an area")));
    }
    let (right, bottom) = (f64::from(width) + BEYOND, f64::from(height) + BEYOND);
    if x < -BEYOND || y < -BEYOND || x + w > right || y + h > bottom {
        let told =
            format!("found a box from ({x}, {y}) to ({}, {}), expected it within {width} x {height}", x + w, y + h);
        return Err((Damage::BoxOutside, told));
    }
    if let Some(Shape::Rle(mask)) = &object.shape
        && (mask.width(), mask.height()) != (width as usize, height as usize)
    {
        let told = format!("found a mask of {} x {}, expected {width} x {height}", mask.width(), mask.height());
        return Err((Damage::MaskSize, told));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        let told = |name| inside(Path::new("d"), name).map(|p| p.display().to_string());
        assert_eq!(told("a/b.jpg").as_deref(), Some("d/a/b.jpg"));
        assert_eq!([told("../b.jpg"), told("/b.jpg"), told("a/../../b.jpg"), told("")], [None, None, None, None]);
    }
}
