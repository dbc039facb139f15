//! Detections and class maps of images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenas_dense::class_map::color;
use mobilenas_dense::draw::{draw_box, draw_map, draw_mask};
use mobilenas_dense::mask::Rle;
use mobilenas_dense::metrics::coco::Found;
use mobilenas_dense::rcnn::Instance;
use mobilenas_dense::{BBox, ClassMap};
use mobilenas_heads::{Head, HeadOptions};
use mobilenas_host::write::write_whole;
use mobilenas_host::{errln, outln};
use mobilenas_image::{Area, Picture, cut_picture, decode};
use mobilenas_record::metric::SHOWN;
use mobilenas_task::Outputs;
use serde_json::{Value as Json, json};
use tch::Tensor;

use super::super::Input;
use super::super::loaded::{Loaded, NetArgs};
use super::{DenseOutput, Does, kind, normalization, run};

/// Detections and class maps of images.
///
/// # Errors
/// When libtorch or the disk refuses.
pub fn predict(
    (net, loaded): (&NetArgs, &Loaded),
    head: (&dyn Head, &HeadOptions),
    names: Option<Vec<String>>,
    images: &[PathBuf],
    output: &DenseOutput,
    as_json: bool,
) -> Result<i32> {
    if let Some(dir) = &output.draw {
        fs::create_dir_all(dir).map_err(|e| Input(format!("{}: {e}, expected a folder", dir.display())))?;
    }
    if !as_json {
        outln!("{}", net.title(loaded))?;
    }
    let ids = loaded.about.get("class_ids").and_then(|text| serde_json::from_str(text).ok());
    let mut teller = Teller { does: Does::of(head), loaded, names, ids, output, as_json, rows: Vec::new() };
    let mut damaged = false;
    for (place, path) in images.iter().enumerate() {
        match decode(path) {
            Ok(image) => {
                let picture = image.into();
                let outputs = run(loaded, &input(loaded, &picture)?, kind(net))?;
                teller.tell((path, place), picture, &outputs)?;
            }
            Err(e) => {
                damaged = true;
                errln!("error: {e}");
            }
        }
    }
    if as_json {
        outln!("{}", Json::from(teller.rows))?;
    }
    Ok(if damaged { 2 } else { 0 })
}

/// Tells what is in each image: prints it, or keeps it for one JSON array, and draws it.
struct Teller<'a> {
    does: Does,
    loaded: &'a Loaded,
    /// Names of the classes.
    names: Option<Vec<String>>,
    /// COCO's ids of the classes.
    ids: Option<Vec<u64>>,
    output: &'a DenseOutput,
    as_json: bool,
    rows: Vec<Json>,
}

impl Teller<'_> {
    fn tell(&mut self, image: (&Path, usize), mut picture: Picture, outputs: &Outputs) -> Result<()> {
        let (path, _) = image;
        if !self.as_json {
            outln!("{}", path.display())?;
        }
        match self.does {
            Does::Detect(how) => {
                let size = (picture.width as u32, picture.height as u32);
                let found = how.detect(outputs)?.into_iter().flatten().map(|d| (d.in_image(size.0, size.1), None));
                self.objects(image, &mut picture, found.collect())?;
            }
            Does::Instances(ref how) => {
                let (width, height) = (picture.width, picture.height);
                let found = how.detect(outputs)?.into_iter().flat_map(|found| {
                    let one = |(i, one): (usize, &Instance)| {
                        let bbox = one.in_image(found.size, width as u32, height as u32);
                        (bbox, Some(found.mask(i, (width, height))))
                    };
                    found.instances.iter().enumerate().map(one).collect::<Vec<_>>()
                });
                self.objects(image, &mut picture, found.collect())?;
            }
            Does::Segment(how) => {
                let (width, height) = (picture.width, picture.height);
                let labels = how.class_maps(outputs, &[(width, height)])?.pop().unwrap_or_default();
                self.map(path, &mut picture, &ClassMap { width, height, labels })?;
            }
        }
        let Some(dir) = &self.output.draw else { return Ok(()) };
        let file = dir.join(format!("{}.png", stem(path)));
        if file.exists() && fs::canonicalize(&file).ok() == fs::canonicalize(path).ok() {
            bail!(Input(format!("{}: is the image itself, expected another folder for --draw", file.display())));
        }
        put(&file, &picture.png().map_err(Input)?)
    }

    fn name(&self, class: usize) -> String {
        self.names.as_ref().and_then(|n| n.get(class)).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Boxes, with masks where the network has them.
    fn objects(
        &mut self,
        (path, place): (&Path, usize),
        picture: &mut Picture,
        found: Vec<(Found<[f64; 4]>, Option<Rle>)>,
    ) -> Result<()> {
        let least = self.output.threshold.unwrap_or(if self.as_json { 0.0 } else { SHOWN });
        for (found, mask) in found.into_iter().filter(|(d, _)| d.score >= least) {
            let [x, y, width, height] = found.region;
            let class = found.category as usize;
            let color = color((class % 254) as u8 + 1);
            mask.iter().for_each(|mask| draw_mask(picture, mask, color));
            draw_box(picture, &BBox::from_xywh(found.region), color);
            if self.as_json {
                let id = self.ids.as_ref().and_then(|ids| ids.get(class)).copied().unwrap_or(class as u64 + 1);
                let mut row = json!({
                    "image_id": image_id(path, place), "file_name": path.display().to_string(),
                    "category_id": id, "category": self.name(class), "bbox": found.region, "score": found.score,
                });
                if let Some(mask) = mask {
                    row["segmentation"] = json!({ "size": [mask.height(), mask.width()], "counts": mask.to_text() });
                }
                self.rows.push(row);
            } else {
                let percent = 100.0 * found.score;
                outln!("  {percent:>6.2} %  {:<24} {x:.1} {y:.1} {width:.1} {height:.1}", self.name(class))?;
            }
        }
        Ok(())
    }

    fn map(&mut self, path: &Path, picture: &mut Picture, map: &ClassMap) -> Result<()> {
        draw_map(picture, map);
        let mut shares = vec![0usize; self.loaded.classes as usize];
        map.labels.iter().for_each(|l| shares[usize::from(*l)] += 1);
        let share = |n: usize| n as f64 / map.labels.len().max(1) as f64;
        let there = shares.iter().enumerate().filter(|(_, n)| **n > 0);
        if self.as_json {
            let classes = there.map(|(c, n)| json!({ "index": c, "class": self.name(c), "share": share(*n) }));
            let classes: Vec<Json> = classes.collect();
            self.rows.push(json!({ "file_name": path.display().to_string(), "classes": classes }));
        } else {
            for (c, n) in there {
                outln!("  {:>6.2} %  {}", 100.0 * share(*n), self.name(c))?;
            }
        }
        match &self.output.draw {
            Some(dir) => put(&dir.join(format!("{}.map.png", stem(path))), &map.write_png().map_err(Input)?),
            None => Ok(()),
        }
    }
}

/// COCO's number of an image where its name is one, else its place on the command line.
fn image_id(path: &Path, place: usize) -> u64 {
    stem(path).parse().unwrap_or(place as u64)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(write_whole(path, bytes)
        .map_err(|e| Input(format!("{}: {e}, expected a place for the file", path.display())))?)
}

/// An image as the network wants it, `[1, 3, H, W]`: resized to a square, whatever the ratio of its sides.
fn input(loaded: &Loaded, picture: &Picture) -> Result<Tensor> {
    let side = loaded.pipeline.side;
    let area = Area { x: 0, y: 0, width: picture.width as u32, height: picture.height as u32 };
    let square = cut_picture(picture, area, (side, side), loaded.pipeline.how.interpolation).map_err(Input)?;
    let mut values = vec![0f32; square.levels.len()];
    normalization(loaded).planes(&square, &mut values);
    Ok(Tensor::f_from_slice(&values)?.f_view([1, 3, i64::from(side), i64::from(side)])?)
}
