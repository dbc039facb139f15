//! A dataset with its transforms: augmented for training, plain for scoring.

use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenas_space::families::{Interpolation, Preprocessing};
use rand::Rng;
use rayon::prelude::*;

use super::{Batch, DamagedImages, MemoryBudget, Normalization, budget};
use crate::dataset::{Dataset, RawImage};
use crate::transform::Augment;
use crate::{DataError, Labels, Target};
use mobilenas_image::decode::{decode_bytes, dimensions};
use mobilenas_image::{Area, Picture, Pipeline, cut_file, cut_picture};

/// A set of images, and how they are brought to a network.
#[derive(Clone, Debug)]
pub struct TransformedDataset {
    /// The images.
    pub data: Arc<Dataset>,
    /// How levels are normalised.
    pub norm: Normalization,
    /// How photos are resized and cut where no random crop does it.
    pub frame: Pipeline,
    /// The side images are brought to, in pixels; none for images in memory that keep theirs.
    pub side: Option<u32>,
    /// What cannot be read.
    pub damaged: Arc<DamagedImages>,
    /// Memory for decoding.
    pub budget: Arc<MemoryBudget>,
}

impl TransformedDataset {
    /// A view of images at their own size; of files at 224 pixels, framed as is most usual.
    pub fn new(data: Arc<Dataset>, norm: Normalization, damaged_share: f64) -> TransformedDataset {
        let damaged = Arc::new(DamagedImages::new(data.images.len(), damaged_share));
        let frame = Pipeline { side: 224, how: Preprocessing::plain(0.875) };
        TransformedDataset { data, norm, frame, side: None, damaged, budget: Arc::default() }
    }

    /// What goes into weights files that were trained on these images: normalisation, classes, framing of photos.
    pub fn words(&self) -> BTreeMap<String, String> {
        let [mean, std] = self.norm.words();
        let mut words = BTreeMap::from([
            ("pixel_mean".to_string(), mean),
            ("pixel_std".to_string(), std),
            ("classes".to_string(), serde_json::json!(self.data.classes).to_string()),
        ]);
        if !self.data.class_ids.is_empty() {
            words.insert("class_ids".to_string(), serde_json::json!(self.data.class_ids).to_string());
        }
        if self.data.images.memory().is_none() {
            // With boxes or a class map, images are resized whole.
            let whole = self.data.labels != Labels::Classes;
            let crop_pct = if whole { 1.0 } else { self.frame.how.crop_pct };
            words.insert("crop_pct".to_string(), crop_pct.to_string());
            words.insert("interpolation".to_string(), self.frame.how.interpolation.name().to_string());
            if !whole {
                words.insert("preprocessing".to_string(), self.frame.to_string());
            }
        }
        words
    }

    /// Channels, height and width of the values of one image, at a side or the view's own.
    pub fn shape(&self, side: Option<u32>) -> (usize, usize, usize) {
        let memory = self.data.images.memory();
        match (side.or(self.side), memory) {
            (None, Some(all)) => (all.channels, all.height, all.width),
            (side, memory) => {
                let side = side.unwrap_or(self.frame.side) as usize;
                (memory.map_or(3, |all| all.channels), side, side)
            }
        }
    }

    /// Writes a training image's values; gives its target, which moved with it.
    ///
    /// # Errors
    /// What is wrong with the image.
    pub fn training(
        &self,
        i: usize,
        how: &Augment,
        side: Option<u32>,
        rng: &mut dyn Rng,
        out: &mut [f32],
    ) -> Result<Target, String> {
        if let Target::Dense(label) = &self.data.targets[i] {
            let _loan = self.lend_size((label.entry.width, label.entry.height))?;
            let (_, h, _) = self.shape(side);
            let sample = label.sample().map_err(|e| e.to_string())?;
            let moved = match &how.dense {
                Some(dense) => dense.training(sample, h as u32, rng),
                None => sample.resized((h as u32, h as u32), self.frame.how.interpolation),
            };
            let moved = moved.map_err(|e| e.to_string())?;
            self.norm.planes(&moved.image, out);
            return Ok(Target::Dense(Arc::new(label.transformed(moved.target, None))));
        }
        let raw = self.data.images.read(i)?;
        let moves = how.moves(rng);
        let (_, h, w) = self.shape(side);
        let size = (w as u32, h as u32);
        let picture = match (&how.crop, &raw) {
            (Some(crop), RawImage::File(data)) => {
                let _loan = self.lend(data)?;
                cut_file(data, |size| crop.draw(size, rng), size, crop.interpolation)?
            }
            (Some(crop), RawImage::Pixels(p)) => {
                let area = crop.draw((p.width as u32, p.height as u32), rng);
                cut_picture(p, area, size, crop.interpolation)?
            }
            (None, _) => self.framed(raw, side)?,
        };
        let picture = how.levels(picture, moves, rng);
        how.planes(&picture, &self.norm, rng, out);
        Ok(self.data.targets[i].clone())
    }

    /// An image as it is in the set.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn whole(&self, i: usize) -> Result<Picture, String> {
        match self.data.images.read(i)? {
            RawImage::File(data) => {
                let _loan = self.lend(&data)?;
                Ok(decode_bytes(&data)?.into())
            }
            RawImage::Pixels(picture) => Ok(picture),
        }
    }

    /// Writes an image's values as they are scored; gives its target. With boxes or a class map it is resized to a square,
    /// whatever the ratio of its sides.
    ///
    /// # Errors
    /// What is wrong with the image.
    pub fn plain(&self, i: usize, out: &mut [f32]) -> Result<Target, String> {
        if let Target::Dense(label) = &self.data.targets[i] {
            let _loan = self.lend_size((label.entry.width, label.entry.height))?;
            let side = self.shape(None).1 as u32;
            let mut sample = label.sample().map_err(|e| e.to_string())?;
            let whole = sample.target.map.take();
            let resized = sample.resized((side, side), self.frame.how.interpolation).map_err(|e| e.to_string())?;
            self.norm.planes(&resized.image, out);
            return Ok(Target::Dense(Arc::new(label.transformed(resized.target, whole))));
        }
        let picture = self.framed(self.data.images.read(i)?, None)?;
        self.norm.planes(&picture, out);
        Ok(self.data.targets[i].clone())
    }

    /// An image at the view's size, nothing drawn.
    fn framed(&self, raw: RawImage, side: Option<u32>) -> Result<Picture, String> {
        let (_, h, w) = self.shape(side);
        match raw {
            RawImage::File(data) => {
                let _loan = self.lend(&data)?;
                let frame = Pipeline { side: h as u32, how: self.frame.how };
                Ok(frame.cut(&decode_bytes(&data)?).into())
            }
            RawImage::Pixels(p) if (p.width, p.height) == (w, h) => Ok(p),
            RawImage::Pixels(p) => {
                let short = p.width.min(p.height) as u32;
                let (x, y) = ((p.width as u32 - short) / 2, (p.height as u32 - short) / 2);
                let area = Area { x, y, width: short, height: short };
                cut_picture(&p, area, (w as u32, h as u32), Interpolation::Bilinear)
            }
        }
    }

    /// Memory for a file's levels: decoders hold up to two copies of them.
    fn lend(&self, data: &[u8]) -> Result<budget::Loan<'_>, String> {
        self.lend_size(dimensions(data)?)
    }

    fn lend_size(&self, (w, h): (u32, u32)) -> Result<budget::Loan<'_>, String> {
        self.budget.lend(2 * 3 * w as usize * h as usize)
    }

    /// Batches of the images at the given positions as they are scored, in order, one at a time. Damaged images are left
    /// out, so that a batch may be shorter.
    ///
    /// # Errors
    /// In the items: when there are too many damaged images.
    pub fn batches<'a>(
        &'a self,
        indices: &'a [usize],
        size: usize,
    ) -> impl Iterator<Item = Result<Batch, DataError>> + 'a {
        indices.chunks(size.max(1)).map(|part| self.plain_batch(part))
    }

    fn plain_batch(&self, indices: &[usize]) -> Result<Batch, DataError> {
        let shape = self.shape(None);
        let size = shape.0 * shape.1 * shape.2;
        let mut values = vec![0f32; indices.len() * size];
        let read = values.par_chunks_mut(size).zip(indices.par_iter()).map(|(out, &i)| match self.plain(i, out) {
            Ok(target) => Ok(Some(target)),
            Err(why) => self.damaged.add(i, &self.data.images.name(i), &why).map(|()| None),
        });
        let read = read.collect::<Result<Vec<Option<Target>>, _>>()?;
        let mut kept = 0;
        for (slot, _) in read.iter().enumerate().filter(|(_, target)| target.is_some()) {
            values.copy_within(slot * size..(slot + 1) * size, kept * size);
            kept += 1;
        }
        values.truncate(kept * size);
        Ok(Batch { values, shape, targets: read.into_iter().flatten().collect(), mixed: None })
    }
}
