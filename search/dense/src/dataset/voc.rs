//! Pascal VOC's layout: `DIR/Annotations/*.xml`, `DIR/JPEGImages`, `DIR/SegmentationClass/*.png`, and lists of the
//! images of a split in `DIR/ImageSets`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::check::{Listed, checked, inside};
use super::damage::DamageLog;
use super::{Class, Damage, DenseDataset, DenseReader, MapRule, Object, ReadOptions};
use crate::DenseError;

/// The classes of Pascal VOC 2007 to 2012.
pub(super) const VOC: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

const EXPECTED: &str = "DIR/ImageSets/Main/SPLIT.txt for boxes or DIR/ImageSets/Segmentation/SPLIT.txt for class maps, \
                        with DIR/Annotations, DIR/JPEGImages and DIR/SegmentationClass";

/// The reader of boxes and class maps: an image has what there are lists of.
#[derive(Clone, Copy, Debug)]
pub struct Voc;

#[derive(Debug, Deserialize)]
struct Annotation {
    filename: Option<String>,
    size: Option<Size>,
    #[serde(default)]
    object: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    difficult: u8,
    #[serde(default)]
    truncated: u8,
    bndbox: Option<Corners>,
}

#[derive(Debug, Deserialize)]
struct Corners {
    xmin: f64,
    ymin: f64,
    xmax: f64,
    ymax: f64,
}

impl Corners {
    /// VOC counts pixels from 1, and the last belongs to the box.
    fn xywh(&self) -> [f64; 4] {
        [self.xmin - 1.0, self.ymin - 1.0, self.xmax - self.xmin + 1.0, self.ymax - self.ymin + 1.0]
    }
}

impl DenseReader for Voc {
    fn name(&self) -> &'static str {
        "voc"
    }

    fn help(&self) -> &'static str {
        "Pascal VOC: DIR/Annotations, DIR/JPEGImages, DIR/SegmentationClass, lists in DIR/ImageSets; DIR/classes.txt \
         for classes of your own"
    }

    fn load(&self, dir: &Path, split: &str, options: &ReadOptions) -> Result<DenseDataset, DenseError> {
        let names = class_names(dir)?;
        let classes: Vec<Class> = (1..).zip(&names).map(|(id, name)| Class { id, name: name.clone() }).collect();
        let list = |kind: &str| names_of(&dir.join("ImageSets").join(kind).join(format!("{split}.txt")));
        let (boxes, maps) = (list("Main")?, list("Segmentation")?);
        if boxes.is_none() && maps.is_none() {
            return Err(DenseError::file(dir, format!("no list of the split {split}"), EXPECTED));
        }
        let (boxes, maps) = (boxes.unwrap_or_default(), maps.unwrap_or_default());
        let mut log = DamageLog::default();
        let mut listed = Vec::new();
        for (id, name) in (0..).zip(boxes.union(&maps)) {
            let xml = dir.join("Annotations").join(format!("{name}.xml"));
            // An image of class maps alone needs no XML.
            let told = if boxes.contains(name) || xml.exists() { Some(annotation(&xml)?) } else { None };
            let file = told.as_ref().and_then(|a| a.filename.clone()).unwrap_or_else(|| format!("{name}.jpg"));
            let Some(path) = inside(&dir.join("JPEGImages"), &file) else {
                let told =
                    format!("{}: found the file name {file:?}, expected one inside of the folder", xml.display());
                log.lost(Damage::FileName, told);
                continue;
            };
            let stated = told.as_ref().and_then(|a| a.size.as_ref()).map(|s| (s.width, s.height));
            let all = told.filter(|_| boxes.contains(name)).map(|a| a.object).unwrap_or_default();
            let mut objects = Vec::new();
            for (place, named) in (1..).zip(all) {
                let called = format!("{}: object {place}", xml.display());
                match object(&named, &names) {
                    Ok(object) => objects.push((called, object)),
                    Err((what, told)) => log.lost(what, format!("{called}: {told}")),
                }
            }
            let map = maps.contains(name).then(|| dir.join("SegmentationClass").join(format!("{name}.png")));
            listed.push(Listed { id, path, stated, objects, map });
        }
        let of_maps = std::iter::once("background".to_string()).chain(names).collect();
        let rule = (!maps.is_empty()).then_some(MapRule { classes: of_maps, zero_is_ignored: false });
        checked(dir, listed, (classes, rule), options, log)
    }
}

/// VOC's classes, or those of `classes.txt`.
fn class_names(dir: &Path) -> Result<Vec<String>, DenseError> {
    let own = dir.join("classes.txt");
    if own.exists() { read_names(&own) } else { Ok(VOC.map(str::to_string).to_vec()) }
}

/// Most labels of a class map: one is for what is ignored.
const MOST_CLASSES: usize = 254;

/// The names of a list, one a line.
pub(super) fn read_names(path: &Path) -> Result<Vec<String>, DenseError> {
    let text =
        fs::read_to_string(path).map_err(|e| DenseError::file(path, e.to_string(), "names of classes, one a line"))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_string).collect();
    let once: BTreeSet<&String> = names.iter().collect();
    if once.len() < names.len() || !(1..=MOST_CLASSES).contains(&names.len()) {
        let found = format!("{} names, {} of them different", names.len(), once.len());
        return Err(DenseError::file(
            path,
            found,
            format!("1 to {MOST_CLASSES} different names of classes, one a line"),
        ));
    }
    Ok(names)
}

/// The images of a list, if it is there. What follows a name on its line is not looked at.
fn names_of(path: &Path) -> Result<Option<BTreeSet<String>>, DenseError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(DenseError::io(path))?;
    let names: BTreeSet<String> =
        text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string).collect();
    let leaves = |name: &&String| name.contains(['/', '\\']) || name.starts_with('.');
    match names.iter().find(leaves) {
        Some(name) => Err(DenseError::file(path, format!("{name:?}"), "a name of an image without its ending")),
        None => Ok(Some(names)),
    }
}

fn annotation(path: &Path) -> Result<Annotation, DenseError> {
    const EXPECTED: &str = "an annotation of Pascal VOC";
    let text = fs::read_to_string(path).map_err(|e| DenseError::file(path, e.to_string(), EXPECTED))?;
    quick_xml::de::from_str(&text).map_err(|e| DenseError::file(path, e.to_string(), EXPECTED))
}

fn object(named: &Named, names: &[String]) -> Result<Object, (Damage, String)> {
    let class = names.iter().position(|n| *n == named.name);
    let class = class.ok_or_else(|| {
        (Damage::UnknownCategory, format!("found the class {:?}, expected one of the {}", named.name, names.len()))
    })?;
    let corners = named.bndbox.as_ref();
    let corners = corners.ok_or_else(|| (Damage::NoBox, "found no bndbox, expected one".to_string()))?;
    let plain = Object::of_box(corners.xywh(), class as u32);
    Ok(Object { difficult: named.difficult != 0, truncated: named.truncated != 0, ..plain })
}
