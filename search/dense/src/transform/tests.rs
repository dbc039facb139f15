//! Image and target move alike, boxes stay inside, and a seed gives the same bits.

use std::collections::BTreeMap;

use mobilenas_image::Picture;
use mobilenas_space::seed::{Purpose, rng};
use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use super::*;
use crate::{BBox, ClassMap, DenseTarget, IGNORED, Sample, TargetBox};

fn at(slot: u64) -> ChaCha8Rng {
    rng(3, Purpose::Augment, 0, slot)
}

fn short_side(min: u32, max: u32, longest: u32) -> RandomResize {
    RandomResize { short_side: Some(ShortSideRange { min, max, longest }), ratio: None }
}

/// No distortion.
fn off() -> DistortConfig {
    DistortConfig { probability: 0.0, ..DistortConfig::default() }
}

/// Black, with up to four bright rectangles; the map says 1 to 4 there. A rectangle's red is 100 and its number in
/// tens.
fn sample(slot: u64) -> Sample {
    let mut rng = rng(1, Purpose::Augment, 0, slot);
    let (width, height) = (rng.random_range(40..200usize), rng.random_range(40..200usize));
    let mut image = Picture::black(width, height, 3);
    let mut map = ClassMap::filled(width, height, 0);
    let mut boxes = Vec::new();
    for label in 1..=rng.random_range(0..5u8) {
        // In quarters of the image, so that none covers another.
        let (left, top) = ((label as usize - 1) % 2 * width / 2, (label as usize - 1) / 2 * height / 2);
        let x = left + rng.random_range(0..width / 4);
        let y = top + rng.random_range(0..height / 4);
        let (w, h) = (rng.random_range(6..width / 4), rng.random_range(6..height / 4));
        for row in y..y + h {
            for column in x..x + w {
                image.levels[3 * (row * width + column)] = 100 + 10 * label;
                map.labels[row * width + column] = label;
            }
        }
        let bbox = BBox::from_xywh([x, y, w, h].map(|v| v as f64));
        boxes.push(TargetBox { bbox, class: u32::from(label) });
    }
    Sample { image, target: DenseTarget { boxes, map: Some(map), ..DenseTarget::default() } }
}

/// The label that a pixel's red tells; none where resizing mixed levels.
fn label(pixel: &[u8]) -> Option<u8> {
    match pixel[0] {
        0 => Some(0),
        red if red > 100 && red % 10 == 0 => Some(red / 10 - 10),
        _ => None,
    }
}

/// Away from edges image and map say the same, and each box is tight around the pixels of its label, within `slack`.
fn assert_alike(s: &Sample, slack: f64) {
    let map = s.target.map.as_ref().unwrap();
    let (w, h) = (s.image.width, s.image.height);
    assert_eq!((map.width, map.height, map.labels.len(), s.image.levels.len()), (w, h, w * h, 3 * w * h));
    for y in 1..h.saturating_sub(1) {
        for x in 1..w.saturating_sub(1) {
            let of = map.at(x, y);
            let around = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (x, y)));
            let even = around.clone().all(|(x, y)| map.at(x, y) == of);
            let said = around.map(|(x, y)| label(s.image.pixel(x, y))).collect::<Vec<_>>();
            if even && of != IGNORED && said.iter().all(|l| *l == said[0] && l.is_some()) {
                assert_eq!(said[0], Some(of), "({x}, {y}) of {w} x {h}");
            }
        }
    }
    for b in &s.target.boxes {
        let [x1, y1, x2, y2] = b.bbox.xyxy();
        assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= w as f64 && y2 <= h as f64 && x1 < x2 && y1 < y2, "{b:?}");
        let own = (0..w * h).filter(|i| u32::from(map.labels[*i]) == b.class).map(|i| (i % w, i / w));
        let found = own.fold(None, |all: Option<[usize; 4]>, (x, y)| {
            let [a, b, c, d] = all.unwrap_or([x, y, x, y]);
            Some([a.min(x), b.min(y), c.max(x), d.max(y)])
        });
        let [a, b, c, d] = found.unwrap().map(|v| v as f64);
        let off = [x1 - a, y1 - b, x2 - c - 1.0, y2 - d - 1.0];
        assert!(off.iter().all(|v| v.abs() <= slack), "{off:?}");
    }
}

#[test]
fn ssd_crops_keep_image_and_target_together() {
    // The rectangles are small: larger overlaps are rare.
    let crop = SsdCrop { min_ious: vec![0.0, 0.02, 0.05, 0.1], min_pixels: 20, ..SsdCrop::default() };
    let (mut cut, mut lost) = (0, 0);
    for slot in 0..300 {
        let before = sample(slot);
        let (all, whole) = (before.target.boxes.len(), before.image.clone());
        let after = crop.apply(before, &mut at(slot));
        assert_alike(&after, 0.0);
        assert_eq!(after.target.boxes.is_empty(), all == 0, "a box is always inside");
        cut += usize::from(after.image != whole);
        lost += all - after.target.boxes.len();
        let (w, h) = (after.image.width, after.image.height);
        assert!(after.image == whole || (w >= 20 && h >= 20 && w <= 2 * h && h <= 2 * w));
    }
    assert!(cut > 100 && lost > 50, "{cut} {lost}");
    // 1 is reached by a part that is a box alone: never here.
    let never = SsdCrop { min_ious: vec![1.0], ..SsdCrop::default() };
    assert_eq!(never.apply(sample(1), &mut at(1)), sample(1));
}

#[test]
fn detection_images_are_square_and_boxes_stay_inside() {
    let how = DetectionTransform {
        crop: SsdCrop { min_pixels: 20, ..SsdCrop::default() },
        distort: off(),
        interpolation: Interpolation::Bilinear,
        ..DetectionTransform::default()
    };
    for slot in 0..200 {
        let side = if slot % 2 == 0 { 64 } else { 96 };
        let after = how.training(sample(slot), side as u32, &mut at(slot)).unwrap();
        assert_eq!((after.image.width, after.image.height), (side, side));
        // A pixel of the class map goes to the nearest: up to one pixel of the larger of both sizes off.
        assert_alike(&after, 1.0 + side as f64 / 20.0);
    }
}

#[test]
fn segmentation_crops_have_one_size_and_ignore_what_is_padded() {
    let how = SegmentationTransform {
        resize: short_side(50, 150, 200),
        interpolation: Interpolation::Bilinear,
        distort: off(),
        ..SegmentationTransform::default()
    };
    let mut padded = 0;
    for slot in 0..200 {
        let mut after = how.training(sample(slot), 100, &mut at(slot)).unwrap();
        assert_eq!((after.image.width, after.image.height), (100, 100));
        // Boxes that a crop cuts keep a fifth of their area: the map still shows it.
        after.target.boxes.retain(|b| b.bbox.width() > 3.0 && b.bbox.height() > 3.0);
        assert_alike(&after, 5.0);
        padded += usize::from(after.target.map.unwrap().labels[99 * 100 + 99] == IGNORED);
    }
    assert!((10..190).contains(&padded), "{padded}");
}

#[test]
fn no_class_fills_a_crop_where_another_part_is_mixed() {
    // The right tenth is another class: one crop in nine by chance alone has too much of the left one.
    let mut map = ClassMap::filled(200, 100, 4);
    (0..200 * 100).filter(|i| i % 200 >= 180).for_each(|i| map.labels[i] = 2);
    let image = Picture::black(200, 100, 3);
    let s = Sample { image, target: DenseTarget { map: Some(map), ..DenseTarget::default() } };
    let count = |max_class_share| {
        let crop = RandomCrop { max_class_share };
        (0..200).filter(|slot| crop.apply(&s, 50, &mut at(*slot)).target.map.unwrap().labels.contains(&2)).count()
    };
    let (free, ruled) = (count(1.0), count(0.75));
    assert!(free < 50 && ruled > 90, "{free} {ruled}");
}

#[test]
fn colours_change_and_places_do_not() {
    let mut seen = 0;
    for slot in 0..100 {
        let before = sample(slot);
        let mut image = before.image.clone();
        DistortConfig::default().apply(&mut image, &mut at(slot));
        seen += usize::from(image != before.image);
        // Equal colours become equal ones.
        let mut becomes = BTreeMap::new();
        for (then, now) in before.image.levels.chunks(3).zip(image.levels.chunks(3)) {
            assert_eq!(becomes.entry(then).or_insert(now), &now);
        }
        let mut same = before.image.clone();
        off().apply(&mut same, &mut at(slot));
        assert_eq!(same, before.image);
    }
    assert!(seen > 70, "{seen}");
}

#[test]
fn a_seed_gives_the_same_bits() {
    let (detection, segmentation) = (DetectionTransform::default(), SegmentationTransform::default());
    for slot in 0..5 {
        let twice = |_| detection.training(sample(slot), 96, &mut at(slot)).unwrap();
        let [a, b] = [0, 1].map(twice);
        assert_eq!(a, b);
        let twice = |_| segmentation.training(sample(slot), 128, &mut at(slot)).unwrap();
        let [a, b] = [0, 1].map(twice);
        assert_eq!(a, b);
    }
}

#[test]
fn sizes_are_the_references() {
    let half = RatioRange { min: 0.5, max: 0.5, long_side: 2048, short_side: 512 };
    let half = RandomResize { short_side: None, ratio: Some(half) };
    assert_eq!(half.draw((683, 512), &mut at(0)), (342, 256));
    assert_eq!(short_side(256, 256, 300).draw((500, 375), &mut at(0)), (300, 225));
    assert_eq!(RandomResize::default().draw((500, 375), &mut at(0)), (500, 375));
    let json = serde_json::to_value(SegmentationTransform::default()).unwrap();
    assert_eq!(json["resize"]["short_side"]["max"], 768);
    assert_eq!(serde_json::from_value::<SegmentationTransform>(json).unwrap(), SegmentationTransform::default());
}
