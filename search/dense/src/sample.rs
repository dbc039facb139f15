//! An image with what it is labelled with, and how both move.

use mobilenas_image::{Area, Picture, cut_picture};
use mobilenas_space::families::Interpolation;

use crate::mask::Rle;
use crate::{BBox, ClassMap, DenseError, IGNORED};

/// An object's box in pixels of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetBox {
    /// The box.
    pub bbox: BBox,
    /// The place of its class among the dataset's, from 0.
    pub class: u32,
}

/// What an image is labelled with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DenseTarget {
    /// Boxes of objects.
    pub boxes: Vec<TargetBox>,
    /// The mask of each box, of the image's size; none where masks are not read.
    pub masks: Vec<Rle>,
    /// The class of each pixel, of the image's size.
    pub map: Option<ClassMap>,
}

/// An image with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The image.
    pub image: Picture,
    /// What it is labelled with.
    pub target: DenseTarget,
}

/// Which boxes stay when a part of an image is cut out; they are clipped to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep {
    /// Those whose centre is inside, as in SSD.
    Center,
    /// Those that keep this share of their area.
    Share(f64),
}

impl Sample {
    /// The part of image and target inside an area, which lies in the image.
    pub fn cropped(&self, area: Area, keep: Keep) -> Sample {
        let (corner, size) = ((area.x as usize, area.y as usize), (area.width as usize, area.height as usize));
        let (x, y, w, h) = (f64::from(area.x), f64::from(area.y), f64::from(area.width), f64::from(area.height));
        let cut = |b: &TargetBox| {
            let bbox = b.bbox.shifted(-x, -y).clipped(w, h);
            let (cx, cy) = b.bbox.center();
            let stays = match keep {
                Keep::Center => x < cx && cx < x + w && y < cy && cy < y + h,
                Keep::Share(share) => bbox.area() >= share * b.bbox.area(),
            };
            (stays && bbox.width() > 0.0 && bbox.height() > 0.0).then_some(TargetBox { bbox, ..*b })
        };
        let cut: Vec<Option<TargetBox>> = self.target.boxes.iter().map(cut).collect();
        let with_mask = self.target.masks.iter().zip(&cut).filter(|(_, cut)| cut.is_some());
        let masks = with_mask.map(|(m, _)| m.part(corner, size)).collect();
        let map = self.target.map.as_ref().map(|m| m.part(corner, size));
        let target = DenseTarget { boxes: cut.into_iter().flatten().collect(), masks, map };
        Sample { image: self.image.part(corner, size), target }
    }

    /// Mirrors both left to right.
    pub fn mirror(&mut self) {
        let width = self.image.width as f64;
        self.image.mirror();
        for b in &mut self.target.boxes {
            (b.bbox.x1, b.bbox.x2) = (width - b.bbox.x2, width - b.bbox.x1);
        }
        self.target.masks.iter_mut().for_each(|m| *m = m.mirrored());
        if let Some(map) = &mut self.target.map {
            map.labels.chunks_exact_mut(map.width.max(1)).for_each(<[u8]>::reverse);
        }
    }

    /// Image and target at another size; a class map's pixel is the nearest one's.
    ///
    /// # Errors
    /// When a side is 0.
    pub fn resized(&self, (width, height): (u32, u32), how: Interpolation) -> Result<Sample, DenseError> {
        let (w, h) = (self.image.width as u32, self.image.height as u32);
        let whole = Area { x: 0, y: 0, width: w, height: h };
        let image = cut_picture(&self.image, whole, (width, height), how)
            .map_err(|found| DenseError::Resize { found, from: (w, h) })?;
        let (sx, sy) = (f64::from(width) / f64::from(w), f64::from(height) / f64::from(h));
        let boxes = self.target.boxes.iter().map(|b| TargetBox { bbox: b.bbox.scaled(sx, sy), ..*b }).collect();
        let size = (width as usize, height as usize);
        let map = self.target.map.as_ref().map(|m| m.resized(size.0, size.1));
        let masks = self.target.masks.iter().map(|m| m.resized(size.0, size.1)).collect();
        Ok(Sample { image, target: DenseTarget { boxes, masks, map } })
    }

    /// Black to the right and below, up to a size; the class map is ignored there, and masks end before.
    pub fn padded(&self, width: usize, height: usize) -> Sample {
        let (w, h) = (width.max(self.image.width), height.max(self.image.height));
        if (w, h) == (self.image.width, self.image.height) {
            return self.clone();
        }
        let mut image = Picture::black(w, h, self.image.channels);
        let (row, into) = (self.image.width * self.image.channels, w * self.image.channels);
        for (from, to) in self.image.levels.chunks_exact(row.max(1)).zip(image.levels.chunks_exact_mut(into)) {
            to[..row].copy_from_slice(from);
        }
        let map = self.target.map.as_ref().map(|m| m.padded(w, h));
        let masks = self.target.masks.iter().map(|m| m.padded(w, h)).collect();
        Sample { image, target: DenseTarget { boxes: self.target.boxes.clone(), masks, map } }
    }

    /// The image as `[C, H, W]` values, each `(level / 255 - mean) / std` of its channel.
    pub fn values(&self, norm: [(f32, f32); 3]) -> Vec<f32> {
        let mut out = vec![0.0; self.image.levels.len()];
        mobilenas_image::planes(&self.image, norm, &mut out);
        out
    }
}

impl Rle {
    /// The mask as a class map, moved as one, and back.
    fn moved(&self, f: impl Fn(&ClassMap) -> ClassMap) -> Rle {
        let map = f(&ClassMap { width: self.width(), height: self.height(), labels: self.decode() });
        let inside: Vec<u8> = map.labels.iter().map(|l| u8::from(*l == 1)).collect();
        Rle::encode(&inside, map.width, map.height)
    }

    /// The part from a corner on.
    pub fn part(&self, corner: (usize, usize), size: (usize, usize)) -> Rle {
        self.moved(|m| m.part(corner, size))
    }

    /// At another size, by the rule of class maps.
    pub fn resized(&self, width: usize, height: usize) -> Rle {
        self.moved(|m| m.resized(width, height))
    }

    fn padded(&self, width: usize, height: usize) -> Rle {
        self.moved(|m| m.padded(width, height))
    }

    /// Left to right.
    pub fn mirrored(&self) -> Rle {
        self.moved(|m| {
            let mut out = m.clone();
            out.labels.chunks_exact_mut(m.width.max(1)).for_each(<[u8]>::reverse);
            out
        })
    }
}

impl ClassMap {
    /// The part from a corner on.
    pub fn part(&self, (x, y): (usize, usize), (width, height): (usize, usize)) -> ClassMap {
        let rows = self.labels.chunks_exact(self.width.max(1)).skip(y).take(height);
        let rows: Vec<&[u8]> = rows.map(|row| &row[x..x + width]).collect();
        ClassMap { width, height, labels: rows.concat() }
    }

    /// At another size: each pixel is the one below its middle, as in Pillow.
    pub fn resized(&self, width: usize, height: usize) -> ClassMap {
        let at = |i: usize, from: usize, to: usize| ((i as f64 + 0.5) * (from as f64 / to as f64)) as usize;
        let columns: Vec<usize> = (0..width).map(|x| at(x, self.width, width).min(self.width - 1)).collect();
        let mut labels = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = &self.labels[at(y, self.height, height).min(self.height - 1) * self.width..];
            labels.extend(columns.iter().map(|x| row[*x]));
        }
        ClassMap { width, height, labels }
    }

    fn padded(&self, width: usize, height: usize) -> ClassMap {
        let mut out = ClassMap::filled(width, height, IGNORED);
        for (from, to) in self.labels.chunks_exact(self.width.max(1)).zip(out.labels.chunks_exact_mut(width)) {
            to[..self.width].copy_from_slice(from);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let image = Picture { width: 4, height: 2, channels: 1, levels: (0..8).collect() };
        let map = ClassMap { width: 4, height: 2, labels: (0..8).collect() };
        let boxes = vec![TargetBox { bbox: BBox::new(0.0, 0.0, 3.0, 2.0), class: 7 }];
        let mask = Rle::encode(&[0, 1, 1, 0, 1, 1, 1, 0], 4, 2);
        Sample { image, target: DenseTarget { boxes, masks: vec![mask], map: Some(map) } }
    }

    fn bbox(s: &Sample) -> Vec<[f64; 4]> {
        s.target.boxes.iter().map(|b| b.bbox.xyxy()).collect()
    }

    #[test]
    fn by_hand() {
        let cut = |x, keep| sample().cropped(Area { x, y: 0, width: 2, height: 2 }, keep);
        let one = cut(1, Keep::Center);
        assert_eq!(
            (one.image.levels.clone(), one.target.map.clone().unwrap().labels),
            (vec![1, 2, 5, 6], vec![1, 2, 5, 6])
        );
        assert_eq!(bbox(&one), [[0.0, 0.0, 2.0, 2.0]]);
        assert_eq!(one.target.masks[0].decode(), [1, 1, 1, 1]);
        assert_eq!(bbox(&cut(2, Keep::Center)), Vec::<[f64; 4]>::new());
        assert_eq!(cut(2, Keep::Center).target.masks, []);
        assert_eq!(bbox(&cut(2, Keep::Share(1.0 / 3.0))), [[0.0, 0.0, 1.0, 2.0]]);
        assert_eq!(bbox(&cut(2, Keep::Share(0.34))), Vec::<[f64; 4]>::new());
        let mut mirrored = sample();
        mirrored.mirror();
        assert_eq!(mirrored.image.levels, [3, 2, 1, 0, 7, 6, 5, 4]);
        assert_eq!(mirrored.target.map.as_ref().unwrap().labels, mirrored.image.levels);
        assert_eq!(bbox(&mirrored), [[1.0, 0.0, 4.0, 2.0]]);
        assert_eq!(mirrored.target.masks[0].decode(), [0, 1, 1, 0, 0, 1, 1, 1]);
        let padded = sample().padded(5, 3);
        assert_eq!(padded.target.masks[0].decode(), [0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(padded.image.levels, [0, 1, 2, 3, 0, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0]);
        assert_eq!(padded.target.map.as_ref().unwrap().labels[4..6], [IGNORED, 4]);
        assert_eq!((bbox(&padded), sample().padded(2, 2)), (bbox(&sample()), sample()));
        let half = sample().resized((2, 1), Interpolation::Bilinear).unwrap();
        assert_eq!(
            (half.target.map.as_ref().unwrap().labels.clone(), bbox(&half)),
            (vec![5, 7], vec![[0.0, 0.0, 1.5, 1.0]])
        );
        assert_eq!(half.target.masks[0].decode(), [1, 0]);
        let e = sample().resized((2, 0), Interpolation::Bilinear).unwrap_err().to_string();
        assert_eq!(e, "resizing from 4 x 2: found 2 x 0 pixels, expected at least one");
        assert_eq!(sample().values([(0.0, 1.0); 3])[7], 7.0 / 255.0);
    }

    /// Pillow 12's `resize` with NEAREST of 0 to 6.
    #[test]
    fn class_maps_are_resized_as_by_pillow() {
        let map = ClassMap { width: 7, height: 1, labels: (0..7).collect() };
        let found = [3, 5, 10].map(|n| map.resized(n, 1).labels);
        assert_eq!(found, [vec![1, 3, 5], vec![0, 2, 3, 4, 6], vec![0, 1, 1, 2, 3, 3, 4, 5, 5, 6]]);
    }
}
