//! A contact sheet: training images after augmentation beside the originals.

use mobilenas_data::{DataError, DataLoader, Normalization, Target};
use mobilenas_dense::draw::drawn;
use mobilenas_dense::{DenseTarget, Sample, TargetBox};
use mobilenas_image::{Area, Picture, cut_picture};
use mobilenas_reports::plot::{Anchor, Color, Picture as Drawing, Shape, bitmap};
use mobilenas_space::families::Interpolation;

/// An image before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// As it is in the set; none if it is damaged, and another stands in for it.
    pub before: Option<Picture>,
    /// As a network gets it.
    pub after: Picture,
    /// What it should be taken for.
    pub words: String,
}

/// The first images of a step.
///
/// # Errors
/// When there are too many damaged images.
pub fn pairs(loader: &DataLoader, step: u64, most: usize) -> Result<Vec<Pair>, DataError> {
    let (batch, images) = (loader.at(step)?, loader.images());
    let (channels, height, width) = batch.shape;
    let size = channels * height * width;
    let one = |(slot, image): (usize, usize)| {
        let label = batch.targets[slot].class().unwrap_or_default();
        let classes = images.data.classes.len();
        let mixed = batch.mixed.as_ref().map(|m| &m[slot * classes..(slot + 1) * classes]);
        let after = pixels(&batch.values[slot * size..(slot + 1) * size], batch.shape, &images.norm);
        if let Target::Dense(label) = &batch.targets[slot] {
            let entry = images.data.targets[image].dense();
            return Pair {
                before: entry.and_then(|l| l.sample().ok()).map(|sample| drawn(&sample)),
                after: drawn(&Sample { image: after, target: label.target.clone() }),
                words: boxes(&images.data.classes, &label.target),
            };
        }
        Pair { before: images.whole(image).ok(), after, words: words(&images.data.classes, label as usize, mixed) }
    };
    Ok(loader.positions(step).into_iter().take(most).enumerate().map(one).collect())
}

/// The classes of an image's boxes.
fn boxes(classes: &[String], target: &DenseTarget) -> String {
    let name = |b: &TargetBox| classes.get(b.class as usize).map_or("?", String::as_str);
    target.boxes.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A class's name; of mixed images, the two likeliest with their shares.
fn words(classes: &[String], label: usize, targets: Option<&[f32]>) -> String {
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let Some(targets) = targets else { return name(label).to_string() };
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by(|a, b| targets[*b].total_cmp(&targets[*a]));
    // What smoothing gives to every class is no share of an image.
    let (off, whole) = (targets[order[order.len() - 1]], targets.iter().sum::<f32>());
    let share = |c: usize| 100.0 * (targets[c] - off) / (whole - off * targets.len() as f32).max(1e-6);
    match order.get(1) {
        Some(&second) if share(second) >= 1.0 => {
            format!("{} {:.0} %, {} {:.0} %", name(order[0]), share(order[0]), name(second), share(second))
        }
        _ => name(label).to_string(),
    }
}

/// Normalised values `[C, H, W]` back to pixels.
fn pixels(values: &[f32], (channels, height, width): (usize, usize, usize), norm: &Normalization) -> Picture {
    let mut out = Picture::black(width, height, channels);
    for (channel, plane) in values.chunks_exact((height * width).max(1)).enumerate() {
        let (mean, std) = norm.channel(channel);
        for (pixel, v) in out.levels.chunks_exact_mut(channels).zip(plane) {
            pixel[channel] = ((v * std + mean) * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    }
    out
}

const INK: Color = Color { 0: 31, 1: 41, 2: 51 };
const CELL: u32 = 128;
const GAP: u32 = 8;
const LABEL: u32 = 18;
const TITLE: u32 = 46;
/// Pairs in a row.
const ACROSS: u32 = 4;

/// The sheet as levels; every pair is the original on the left and what became of it on the right.
///
/// # Errors
/// In words, if it cannot be drawn.
pub fn sheet(pairs: &[Pair], title: [&str; 2]) -> Result<Picture, String> {
    let rows = (pairs.len() as u32).div_ceil(ACROSS);
    let (across, down) = (2 * CELL + 3 * GAP, CELL + LABEL + GAP);
    let size = (GAP + ACROSS * across, TITLE + rows * down);
    let place = |i: usize| (GAP + i as u32 % ACROSS * across, TITLE + i as u32 / ACROSS * down);
    let text = |at: (u32, u32), size: f64, bold: bool, text: &str| Shape::Text {
        at: (at.0.into(), at.1.into()),
        anchor: Anchor::Left,
        size,
        bold,
        color: INK,
        text: text.to_string(),
    };
    let mut shapes = vec![text((GAP, 18), 14.0, true, title[0]), text((GAP, 36), 11.0, false, title[1])];
    for (i, pair) in pairs.iter().enumerate() {
        let (x, y) = place(i);
        shapes.push(text((x, y + CELL + 13), 11.0, false, &shortened(&pair.words)));
    }
    let levels = bitmap(&Drawing { size, shapes })?.levels(1);
    let mut out = Picture { width: size.0 as usize, height: size.1 as usize, channels: 3, levels };
    for (i, pair) in pairs.iter().enumerate() {
        let (x, y) = place(i);
        match &pair.before {
            Some(before) => paste(&mut out, &fitted(before)?, (x, y)),
            None => paste(&mut out, &Picture { levels: vec![200; 12], ..Picture::black(2, 2, 3) }, (x, y)),
        }
        paste(&mut out, &fitted(&pair.after)?, (x + CELL + GAP, y));
    }
    Ok(out)
}

/// Not wider than two cells.
fn shortened(words: &str) -> String {
    const MOST: usize = 42;
    match words.chars().count() {
        n if n > MOST => words.chars().take(MOST - 1).chain(['…']).collect(),
        _ => words.to_string(),
    }
}

/// A picture as large as a cell lets it be; small ones are enlarged to whole blocks.
fn fitted(picture: &Picture) -> Result<Picture, String> {
    let (w, h, cell) = (picture.width, picture.height, CELL as usize);
    let long = w.max(h).max(1);
    if long * 2 <= cell {
        let times = cell / long;
        let mut out = Picture::black(w * times, h * times, picture.channels);
        for y in 0..out.height {
            for x in 0..out.width {
                let at = (y * out.width + x) * out.channels;
                out.levels[at..at + picture.channels].copy_from_slice(picture.pixel(x / times, y / times));
            }
        }
        return Ok(out);
    }
    let side = |s: usize| ((s * cell / long).max(1)) as u32;
    let area = Area { x: 0, y: 0, width: w as u32, height: h as u32 };
    cut_picture(picture, area, (side(w), side(h)), Interpolation::Bilinear)
}

fn paste(sheet: &mut Picture, picture: &Picture, (x, y): (u32, u32)) {
    for row in 0..picture.height {
        for column in 0..picture.width {
            let at = ((y as usize + row) * sheet.width + x as usize + column) * 3;
            match picture.pixel(column, row) {
                [grey] => sheet.levels[at..at + 3].fill(*grey),
                rgb => sheet.levels[at..at + 3].copy_from_slice(rgb),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shares_of_mixed_images() {
        let classes = ["bag", "coat", "shoe"].map(str::to_string);
        assert_eq!(words(&classes, 1, None), "coat");
        // 0.7 and 0.3 of 0.9, and 0.1 / 3 for each.
        let off = 0.1 / 3.0;
        assert_eq!(words(&classes, 1, Some(&[off + 0.27, off + 0.63, off])), "coat 70 %, bag 30 %");
        assert_eq!(words(&classes, 1, Some(&[off, off + 0.9, off])), "coat");
    }

    #[test]
    fn pairs_stand_side_by_side_under_a_title() {
        let of = |level: u8, side: usize| Picture { levels: vec![level; side * side], ..Picture::black(side, side, 1) };
        let pair = |a, b| Pair { before: Some(of(a, 28)), after: of(b, 200), words: "coat".into() };
        let s = sheet(&[pair(50, 60), pair(70, 80)], ["name", "more"]).unwrap();
        let at = |x: u32, y: u32| s.pixel(x as usize, y as usize)[0];
        assert_eq!([at(GAP, TITLE), at(2 * GAP + CELL, TITLE), at(4 * GAP + 2 * CELL, TITLE)], [50, 60, 70]);
        assert!(s.levels[..s.width * 3 * 40].iter().any(|l| *l < 100), "a title");
    }
}
