//! Images of a set as normalised values: augmented for training, as they are for scoring.

use std::sync::Arc;

use mobilenas_space::families::{Interpolation, Preprocessing};
use mobilenas_torch::weights::About;
use rand::Rng;
use rayon::prelude::*;

use super::{Batch, Budget, Damage, Norm};
use crate::data::{Labelled, Picture, Raw};
use crate::images::decode::{decode_bytes, dimensions};
use crate::images::{Area, Pipeline, cut_file, cut_picture};
use crate::train::TrainError;
use crate::train::augment::Augment;

/// A set of images, and how they are brought to a network.
#[derive(Clone, Debug)]
pub struct View {
    /// The images.
    pub data: Arc<Labelled>,
    /// How levels are normalised.
    pub norm: Norm,
    /// How photos are resized and cut where no random crop does it.
    pub frame: Pipeline,
    /// The side images are brought to, in pixels; none for images in memory that keep theirs.
    pub side: Option<u32>,
    /// What cannot be read.
    pub damage: Arc<Damage>,
    /// Memory for decoding.
    pub budget: Arc<Budget>,
}

impl View {
    /// A view of images at their own size; of files at 224 pixels, framed as is most usual.
    pub fn new(data: Arc<Labelled>, norm: Norm, damaged: f64) -> View {
        let damage = Arc::new(Damage::new(data.images.len(), damaged));
        let frame = Pipeline { side: 224, how: Preprocessing::plain(0.875) };
        View { data, norm, frame, side: None, damage, budget: Arc::default() }
    }

    /// What goes into weights files that were trained on these images: normalisation, classes, framing of photos.
    pub fn words(&self) -> About {
        let [mean, std] = self.norm.words();
        let mut words = About::from([
            ("pixel_mean".to_string(), mean),
            ("pixel_std".to_string(), std),
            ("classes".to_string(), serde_json::json!(self.data.classes).to_string()),
        ]);
        if self.data.images.memory().is_none() {
            words.insert("preprocessing".to_string(), self.frame.to_string());
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

    /// Writes a training image's values.
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
    ) -> Result<(), String> {
        let raw = self.data.images.read(i)?;
        let moves = how.moves(rng);
        let (_, h, w) = self.shape(side);
        let size = (w as u32, h as u32);
        let picture = match (&how.crop, &raw) {
            (Some(crop), Raw::File(data)) => {
                let _loan = self.lend(data)?;
                cut_file(data, |size| crop.draw(size, rng), size, crop.interpolation)?
            }
            (Some(crop), Raw::Levels(p)) => {
                let area = crop.draw((p.width as u32, p.height as u32), rng);
                cut_picture(p, area, size, crop.interpolation)?
            }
            (None, _) => self.framed(raw, side)?,
        };
        let picture = how.levels(picture, moves, rng);
        how.planes(&picture, &self.norm, rng, out);
        Ok(())
    }

    /// An image as it is in the set.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn whole(&self, i: usize) -> Result<Picture, String> {
        match self.data.images.read(i)? {
            Raw::File(data) => {
                let _loan = self.lend(&data)?;
                Ok(decode_bytes(&data)?.into())
            }
            Raw::Levels(picture) => Ok(picture),
        }
    }

    /// Writes an image's values as they are scored.
    ///
    /// # Errors
    /// What is wrong with the image.
    pub fn plain(&self, i: usize, out: &mut [f32]) -> Result<(), String> {
        let picture = self.framed(self.data.images.read(i)?, None)?;
        self.norm.planes(&picture, out);
        Ok(())
    }

    /// An image at the view's size, nothing drawn.
    fn framed(&self, raw: Raw, side: Option<u32>) -> Result<Picture, String> {
        let (_, h, w) = self.shape(side);
        match raw {
            Raw::File(data) => {
                let _loan = self.lend(&data)?;
                let frame = Pipeline { side: h as u32, how: self.frame.how };
                Ok(frame.cut(&decode_bytes(&data)?).into())
            }
            Raw::Levels(p) if (p.width, p.height) == (w, h) => Ok(p),
            Raw::Levels(p) => {
                let short = p.width.min(p.height) as u32;
                let (x, y) = ((p.width as u32 - short) / 2, (p.height as u32 - short) / 2);
                let area = Area { x, y, width: short, height: short };
                cut_picture(&p, area, (w as u32, h as u32), Interpolation::Bilinear)
            }
        }
    }

    /// Memory for a file's levels: decoders hold up to two copies of them.
    fn lend(&self, data: &[u8]) -> Result<super::budget::Loan<'_>, String> {
        let (w, h) = dimensions(data)?;
        self.budget.lend(2 * 3 * w as usize * h as usize)
    }

    /// Batches of the images at the given positions as they are scored, in order, one at a time. Damaged images are left
    /// out, so that a batch may be shorter.
    ///
    /// # Errors
    /// In the items: when there are too many damaged images, or libtorch refuses.
    pub fn batches<'a>(
        &'a self,
        indices: &'a [usize],
        size: usize,
    ) -> impl Iterator<Item = Result<Batch, TrainError>> + 'a {
        indices.chunks(size.max(1)).map(|part| self.plain_batch(part))
    }

    fn plain_batch(&self, indices: &[usize]) -> Result<Batch, TrainError> {
        let shape = self.shape(None);
        let size = shape.0 * shape.1 * shape.2;
        let mut values = vec![0f32; indices.len() * size];
        let read = values.par_chunks_mut(size).zip(indices.par_iter()).map(|(out, &i)| match self.plain(i, out) {
            Ok(()) => Ok(true),
            Err(why) => self.damage.note(i, &self.data.images.name(i), &why).map(|()| false),
        });
        let whole = read.collect::<Result<Vec<bool>, _>>()?;
        let mut kept = 0;
        for (slot, _) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
            values.copy_within(slot * size..(slot + 1) * size, kept * size);
            kept += 1;
        }
        values.truncate(kept * size);
        let sound = indices.iter().zip(&whole).filter(|(_, whole)| **whole);
        let labels: Vec<i64> = sound.map(|(i, _)| i64::from(self.data.labels[*i])).collect();
        Batch::new(&values, &labels, shape)
    }
}
