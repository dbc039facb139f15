//! Boxes and class maps drawn into images, to be looked at.

use mobilenas_image::Picture;

use crate::class_map::color;
use crate::mask::Rle;
use crate::{BBox, ClassMap, IGNORED, Sample};

/// The share of the class's colour in a pixel of a class map or a mask.
const SHARE: u32 = 128;
/// The grey of ignored pixels.
const UNKNOWN: [u8; 3] = [128; 3];

/// A sample with its boxes and its class map, in VOC's colours: class k of boxes has that of label k + 1.
pub fn drawn(sample: &Sample) -> Picture {
    let mut picture = sample.image.colored();
    if let Some(map) = &sample.target.map {
        draw_map(&mut picture, map);
    }
    for b in &sample.target.boxes {
        draw_box(&mut picture, &b.bbox, color((b.class % 254) as u8 + 1));
    }
    picture
}

/// Mixes the colour of each pixel's class into a coloured picture of the map's size. That of label 0 is black.
pub fn draw_map(picture: &mut Picture, map: &ClassMap) {
    for (pixel, label) in picture.levels.chunks_exact_mut(3).zip(&map.labels) {
        mix(pixel, if *label == IGNORED { UNKNOWN } else { color(*label) });
    }
}

/// Mixes a colour into the pixels of a mask.
pub fn draw_mask(picture: &mut Picture, mask: &Rle, color: [u8; 3]) {
    let levels = mask.decode();
    picture.levels.chunks_exact_mut(3).zip(levels).filter(|(_, l)| *l == 1).for_each(|(pixel, _)| mix(pixel, color));
}

fn mix(pixel: &mut [u8], color: [u8; 3]) {
    for (level, c) in pixel.iter_mut().zip(color) {
        *level = ((u32::from(*level) * (256 - SHARE) + u32::from(c) * SHARE) / 256) as u8;
    }
}

/// Draws the edges of a box into a coloured picture: the outermost pixels inside of it.
pub fn draw_box(picture: &mut Picture, bbox: &BBox, color: [u8; 3]) {
    let (w, h) = (picture.width, picture.height);
    let inside = bbox.clipped(w as f64, h as f64);
    let (x1, y1) = (inside.x1.floor() as usize, inside.y1.floor() as usize);
    let (x2, y2) = (inside.x2.ceil() as usize, inside.y2.ceil() as usize);
    if x1 >= x2 || y1 >= y2 {
        return;
    }
    let across = (x1..x2).flat_map(|x| [(x, y1), (x, y2 - 1)]);
    let down = (y1..y2).flat_map(|y| [(x1, y), (x2 - 1, y)]);
    for (x, y) in across.chain(down) {
        let at = 3 * (y * w + x);
        picture.levels[at..at + 3].copy_from_slice(&color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DenseTarget, TargetBox};

    fn red(p: &Picture) -> Vec<u8> {
        p.levels.chunks(3).map(|c| c[0]).collect()
    }

    #[test]
    fn boxes_are_edges_and_maps_are_mixed_in() {
        let image = Picture { levels: vec![100; 20], ..Picture::black(5, 4, 1) };
        let map = ClassMap { width: 5, height: 4, labels: [vec![1], vec![IGNORED], vec![0; 18]].concat() };
        let bbox = BBox::new(1.0, 1.0, 4.0, 4.0);
        let boxes = vec![TargetBox { bbox, class: 3 }];
        let found = drawn(&Sample { image, target: DenseTarget { boxes, map: Some(map), ..DenseTarget::default() } });
        // VOC's first colour is a red of 128, its fourth has none.
        assert_eq!(
            red(&found),
            [
                114, 114, 50, 50, 50, //
                50, 0, 0, 0, 50, //
                50, 0, 50, 0, 50, //
                50, 0, 0, 0, 50,
            ]
        );
        assert_eq!(found.pixel(1, 1), [0, 0, 128]);
    }

    #[test]
    fn what_is_outside_is_not_drawn() {
        let black = Picture::black(3, 3, 3);
        let mut picture = black.clone();
        draw_box(&mut picture, &BBox::new(5.0, 0.0, 9.0, 2.0), [9; 3]);
        draw_box(&mut picture, &BBox::new(1.0, 2.0, 1.0, 2.0), [9; 3]);
        assert_eq!(picture, black);
        draw_box(&mut picture, &BBox::new(-4.0, 1.5, 9.0, 7.0), [9; 3]);
        assert_eq!(red(&picture), [0, 0, 0, 9, 9, 9, 9, 9, 9]);
        let mask = Rle::encode(&[0, 0, 0, 0, 1, 0, 0, 0, 0], 3, 3);
        draw_mask(&mut picture, &mask, [255; 3]);
        assert_eq!(picture.pixel(1, 1), [132; 3]);
    }
}
