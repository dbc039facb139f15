//! COCO's layout: `DIR/annotations/instances_SPLIT.json`, and images in `DIR/SPLIT`, `DIR/images` or `DIR/JPEGImages`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::check::{Listed, checked, inside};
use super::coco_json::{Annotation, Category, IntoShape, Json, Segmentation};
use super::damage::DamageLog;
use super::{Class, Damage, DenseDataset, DenseReader, Object, ReadOptions};
use crate::DenseError;

/// The reader.
#[derive(Clone, Copy, Debug)]
pub struct Coco;

const EXPECTED: &str = "COCO's JSON: `images`, `annotations` and `categories`";

impl DenseReader for Coco {
    fn name(&self) -> &'static str {
        "coco"
    }

    fn help(&self) -> &'static str {
        "DIR/annotations/instances_SPLIT.json with images in DIR/SPLIT, DIR/images or DIR/JPEGImages"
    }

    fn load(&self, dir: &Path, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError> {
        let json = dir.join("annotations").join(format!("instances_{split}.json"));
        let folders = [split, "images", "JPEGImages"].map(|name| dir.join(name));
        let images = folders.iter().find(|f| f.is_dir()).unwrap_or(&folders[0]);
        if options.masks {
            read::<Segmentation>(&json, images, options)
        } else {
            read::<IgnoredAny>(&json, images, options)
        }
    }
}

fn read<S: IntoShape + DeserializeOwned>(
    path: &Path,
    folder: &Path,
    options: &ReadOptions,
) -> Result<DenseDataset, DenseError> {
    let file = File::open(path).map_err(|e| DenseError::file(path, e.to_string(), EXPECTED))?;
    let json: Json<S> =
        serde_json::from_reader(BufReader::new(file)).map_err(|e| DenseError::file(path, e.to_string(), EXPECTED))?;
    let classes = classes(path, json.categories)?;
    let mut log = DamageLog::default();
    let mut images: BTreeMap<u64, Listed> = BTreeMap::new();
    for image in json.images {
        let Some(file) = inside(folder, &image.file_name) else {
            let told = format!(
                "image {}: found the file name {:?}, expected one inside of the folder",
                image.id, image.file_name
            );
            log.lost(Damage::FileName, told);
            continue;
        };
        if images.contains_key(&image.id) {
            log.lost(Damage::DuplicateId, format!("image {}: found it a second time, expected each id once", image.id));
            continue;
        }
        let stated = Some((image.width, image.height));
        images.insert(image.id, Listed { id: image.id, path: file, stated, objects: Vec::new(), map: None });
    }
    let mut ids = BTreeSet::new();
    for (place, annotation) in json.annotations.into_iter().enumerate() {
        let name = annotation.id.map_or(format!("annotation at place {place}"), |id| format!("annotation {id}"));
        let image = annotation.image_id;
        if annotation.id.is_some_and(|id| !ids.insert(id)) {
            log.lost(Damage::DuplicateId, format!("{name}: found it a second time, expected each id once"));
            continue;
        }
        match (images.get_mut(&image), object(annotation, &classes)) {
            (Some(listed), Ok(object)) => listed.objects.push((name, object)),
            (None, _) => {
                log.lost(Damage::UnknownImage, format!("{name}: found image {image}, expected one that is listed"));
            }
            (_, Err((what, told))) => log.lost(what, format!("{name}: {told}")),
        }
    }
    checked(path, images.into_values().collect(), (classes, None), options, log)
}

/// In the order of their ids.
fn classes(path: &Path, categories: Vec<Category>) -> Result<Vec<Class>, DenseError> {
    let mut classes: Vec<Class> = categories.into_iter().map(|c| Class { id: c.id, name: c.name }).collect();
    classes.sort_by_key(|c| c.id);
    if let Some(pair) = classes.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let found = format!("the categories {} and {} with the id {}", pair[0].name, pair[1].name, pair[0].id);
        return Err(DenseError::file(path, found, "an id of its own for each"));
    }
    if classes.is_empty() {
        return Err(DenseError::file(path, "no categories", "at least one"));
    }
    Ok(classes)
}

fn object<S: IntoShape>(annotation: Annotation<S>, classes: &[Class]) -> Result<Object, (Damage, String)> {
    let found = annotation.category_id;
    let class = classes.binary_search_by_key(&found, |c| c.id);
    let class =
        class.map_err(|_| (Damage::UnknownCategory, format!("found category {found}, expected one that is listed")))?;
    let bbox = annotation.bbox;
    let xywh: [f64; 4] = bbox.as_slice().try_into().map_err(|_| {
        (Damage::NoBox, format!("found a box of {} numbers, expected left, top, width and height", bbox.len()))
    })?;
    let shape = annotation.segmentation.map(IntoShape::shape).transpose();
    let shape = shape.map_err(|e| (Damage::MaskUnreadable, e.to_string()))?.flatten();
    let plain = Object::of_box(xywh, class as u32);
    Ok(Object { area: annotation.area.unwrap_or(plain.area), crowd: annotation.iscrowd != 0, shape, ..plain })
}
