//! Scenes as files: one folder that is a dataset in COCO's layout and in Pascal VOC's.

use std::fs;
use std::path::{Path, PathBuf};

use quick_xml::escape::escape;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::{Scene, ShapesConfig, Sprites, compose};
use crate::DenseError;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Scenes.
    pub images: usize,
    /// Objects in them.
    pub objects: usize,
}

/// Scenes that are composed at a time.
const BATCH: u64 = 256;

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: u64,
    category_id: u32,
    bbox: [f64; 4],
    area: u64,
    iscrowd: u8,
    segmentation: serde_json::Value,
}

/// Composes the scenes of both splits and writes them into a folder, which is made and has to be empty or not there.
/// The training scenes show images of the first set, the others those of the second.
///
/// # Errors
/// When the disk refuses, something is in the folder, or the settings do not go together.
pub fn write(
    dir: &Path,
    sprites: [&Sprites; 2],
    classes: &[String],
    config: &ShapesConfig,
) -> Result<Written, DenseError> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(DenseError::file(dir, "a folder that is not empty", "an empty one, or none"));
    }
    let highest = sprites.iter().flat_map(|s| s.labels).max().copied().unwrap_or(0) as usize;
    if highest >= classes.len() || classes.len() > 254 {
        let found = format!("{} names for classes up to {highest}", classes.len());
        return Err(DenseError::Shapes { found, expected: "a name for each class, at most 254".into() });
    }
    // Beside it first, so that no half of a dataset is taken for a whole one.
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = dir.with_file_name(name);
    if part.exists() {
        fs::remove_dir_all(&part).map_err(DenseError::io(&part))?;
    }
    let written = all(&part, sprites, classes, config)?;
    if dir.exists() {
        fs::remove_dir(dir).map_err(DenseError::io(dir))?;
    }
    fs::rename(&part, dir).map_err(DenseError::io(dir))?;
    Ok(written)
}

fn all(dir: &Path, sprites: [&Sprites; 2], classes: &[String], config: &ShapesConfig) -> Result<Written, DenseError> {
    let folders =
        ["JPEGImages", "Annotations", "SegmentationClass", "annotations", "ImageSets/Main", "ImageSets/Segmentation"];
    for folder in folders.map(|f| dir.join(f)) {
        fs::create_dir_all(&folder).map_err(DenseError::io(&folder))?;
    }
    put(dir.join("classes.txt"), classes.join("\n") + "\n")?;
    let (mut images, mut objects) = (0, 0);
    for (split, (name, count)) in [("train", config.train), ("val", config.val)].into_iter().enumerate() {
        let from = images as u64;
        let (mut listed, mut annotations, mut names) = (Vec::new(), Vec::new(), String::new());
        // By batches, so that memory does not grow with the dataset.
        for batch in (0..u64::from(count)).step_by(BATCH as usize) {
            let indices = batch..(batch + BATCH).min(u64::from(count));
            let made = indices.into_par_iter().map(|index| {
                let scene = compose(sprites[split], config, split as u64, index)?;
                files(dir, from + index + 1, &scene, classes)?;
                Ok(((scene.image.width, scene.image.height), scene.objects))
            });
            for (size, placed) in made.collect::<Result<Vec<_>, DenseError>>()? {
                images += 1;
                let (id, file) = (images as u64, stem(images as u64));
                names.push_str(&format!("{file}\n"));
                listed.push(json!({"id": id, "file_name": format!("{file}.png"), "width": size.0, "height": size.1}));
                for object in placed {
                    objects += 1;
                    annotations.push(Annotation {
                        id: objects,
                        image_id: id,
                        category_id: object.class + 1,
                        bbox: object.mask.bbox().xywh(),
                        area: object.mask.area(),
                        iscrowd: 0,
                        segmentation: json!({"size": [size.1, size.0], "counts": object.mask.to_text()}),
                    });
                }
            }
        }
        let category = |(id, name): (usize, &String)| json!({"id": id, "name": name});
        let categories: Vec<_> = (1..).zip(classes).map(category).collect();
        let told = json!({"images": listed, "annotations": annotations, "categories": categories});
        put(dir.join(format!("annotations/instances_{name}.json")), told.to_string())?;
        for kind in ["Main", "Segmentation"] {
            put(dir.join(format!("ImageSets/{kind}/{name}.txt")), &names)?;
        }
    }
    Ok(Written { images, objects })
}

fn stem(id: u64) -> String {
    format!("{id:06}")
}

fn put(path: PathBuf, bytes: impl AsRef<[u8]>) -> Result<(), DenseError> {
    fs::write(&path, bytes).map_err(DenseError::io(path))
}

/// The image, its XML and its class map.
fn files(dir: &Path, id: u64, scene: &Scene, classes: &[String]) -> Result<(), DenseError> {
    let name = stem(id);
    let png = |path: PathBuf, bytes: Result<Vec<u8>, String>| match bytes {
        Ok(bytes) => put(path, bytes),
        Err(found) => Err(DenseError::file(path, found, "to write it")),
    };
    png(dir.join(format!("JPEGImages/{name}.png")), image_png(scene))?;
    png(dir.join(format!("SegmentationClass/{name}.png")), scene.map.write_png())?;
    put(dir.join(format!("Annotations/{name}.xml")), xml(&name, scene, classes))
}

fn image_png(scene: &Scene) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, scene.image.width as u32, scene.image.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    let said = |e: png::EncodingError| e.to_string();
    let mut writer = encoder.write_header().map_err(said)?;
    writer.write_image_data(&scene.image.levels).map_err(said)?;
    writer.finish().map_err(said)?;
    Ok(bytes)
}

/// Half hidden objects are difficult; pixels count from 1.
fn xml(name: &str, scene: &Scene, classes: &[String]) -> String {
    let (width, height) = (scene.image.width, scene.image.height);
    let mut text = format!(
        "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{name}.png</filename>\n  <size><width>{width}</width>\
         <height>{height}</height><depth>3</depth></size>\n  <segmented>1</segmented>\n"
    );
    for object in &scene.objects {
        let [x1, y1, x2, y2] = object.mask.bbox().xyxy();
        let (class, difficult) = (escape(&classes[object.class as usize]), u8::from(object.visible < 0.5));
        text.push_str(&format!(
            "  <object><name>{class}</name><truncated>0</truncated><occluded>{}</occluded>\
             <difficult>{difficult}</difficult>\
             <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n",
            u8::from(object.visible < 1.0),
            x1 + 1.0,
            y1 + 1.0,
        ));
    }
    text + "</annotation>\n"
}
