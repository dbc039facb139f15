//! From an entry to a sample, and to what a metric compares.

use mobilenas_image::decode;

use super::{DenseDataset, ImageEntry, MapRule};
use crate::mask::Rle;
use crate::metrics::coco::Truth;
use crate::{DenseError, DenseTarget, Sample, TargetBox};

impl DenseDataset {
    /// An image with its target. Boxes are clipped to the image; crowds are left out, since nothing is trained to find
    /// them.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn sample(&self, i: usize) -> Result<Sample, DenseError> {
        self.images[i].sample(self.maps.as_ref())
    }
}

impl ImageEntry {
    /// The image with its target, as [`DenseDataset::sample`] gives it.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn sample(&self, maps: Option<&MapRule>) -> Result<Sample, DenseError> {
        let entry = self;
        let image = decode(&entry.path).map_err(|e| DenseError::file(&entry.path, e.found, "an image"))?;
        let (width, height) = image.dimensions();
        if (width, height) != (entry.width, entry.height) {
            let expected = format!("{} x {}", entry.width, entry.height);
            return Err(DenseError::file(&entry.path, format!("{width} x {height} pixels once upright"), expected));
        }
        let (w, h) = (f64::from(width), f64::from(height));
        let single = || entry.objects.iter().filter(|o| !o.crowd);
        let boxes = single().map(|o| TargetBox { bbox: o.bbox().clipped(w, h), class: o.class }).collect();
        let masks = match single().all(|o| o.shape.is_some()) {
            true => single().filter_map(|o| o.shape.as_ref()).map(|s| s.rle(height as usize, width as usize)).collect(),
            false => Ok(Vec::new()),
        };
        let masks = masks.map_err(|e| DenseError::file(&entry.path, e.to_string(), "a mask of each object"))?;
        let map = match (maps, &entry.map) {
            (Some(rule), Some(path)) => Some(rule.read(path)?),
            _ => None,
        };
        Ok(Sample { image: image.into(), target: DenseTarget { boxes, masks, map } })
    }

    /// Its objects for COCO's average precision, by their boxes as the file has them; a category is the class's place.
    pub fn truths(&self) -> Vec<Truth<[f64; 4]>> {
        let truth = |o: &super::Object| Truth { region: o.xywh, category: o.class, area: o.area, crowd: o.crowd };
        self.objects.iter().map(truth).collect()
    }

    /// Its objects for COCO's average precision, by their masks.
    ///
    /// # Errors
    /// When an object has none.
    pub fn mask_truths(&self) -> Result<Vec<Truth<Rle>>, DenseError> {
        let none = || DenseError::file(&self.path, "an object without a mask", "one for each");
        let truth = |o: &super::Object| {
            let region = o.shape.as_ref().ok_or_else(none)?.rle(self.height as usize, self.width as usize)?;
            Ok(Truth { region, category: o.class, area: o.area, crowd: o.crowd })
        };
        self.objects.iter().map(truth).collect()
    }
}
