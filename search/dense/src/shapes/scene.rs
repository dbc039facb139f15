//! One scene.

use mobilenas_image::{Area, Picture, cut_picture};
use mobilenas_space::families::Interpolation;
use mobilenas_space::seed::{Purpose, rng};
use rand::{Rng, RngExt as _};

use super::{ShapesConfig, Sprites};
use crate::mask::Rle;
use crate::{ClassMap, DenseError};

/// An object of a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Its class.
    pub class: u32,
    /// Its visible pixels.
    pub mask: Rle,
    /// The share of its pixels that are visible.
    pub visible: f64,
}

/// A scene with its objects, the lowest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The image, in colour.
    pub image: Picture,
    /// Its objects.
    pub objects: Vec<Placed>,
    /// 0 is the background, class k is k + 1.
    pub map: ClassMap,
}

/// A level above this is part of an object.
const INSIDE: u8 = 16;
/// An object covers at least so many pixels, and at least this share of each object stays visible.
const LEAST_PIXELS: usize = 40;
const LEAST_VISIBLE: f64 = 0.4;
/// Places tried for an object before it is left out.
const TRIALS: u32 = 20;

/// An object before it is drawn: its pixels with their levels.
struct Cutout {
    class: u32,
    tint: [f32; 3],
    pixels: Vec<(usize, u8)>,
}

/// Composes scene number `index` of split number `split`: the same whatever else is composed.
///
/// # Errors
/// When there are no images, or the sizes do not go together.
pub fn compose(sprites: &Sprites, config: &ShapesConfig, split: u64, index: u64) -> Result<Scene, DenseError> {
    let wrong = |found: String, expected: &str| DenseError::Shapes { found, expected: expected.to_string() };
    let whole = sprites.labels.len() * sprites.width * sprites.height;
    if sprites.labels.is_empty() || sprites.levels.len() != whole || whole == 0 {
        let found = format!("{} levels for {} images", sprites.levels.len(), sprites.labels.len());
        return Err(wrong(found, "images of one size with a class each"));
    }
    let sides = (config.min_side, config.max_side, config.min_object, config.max_object);
    if config.min_side > config.max_side
        || config.min_object > config.max_object
        || 2 * config.min_object > config.min_side
    {
        return Err(wrong(
            format!("sides {sides:?}"),
            "min_side <= max_side, min_object <= max_object, and scenes of twice the smallest object",
        ));
    }
    let mut rng = rng(config.seed, Purpose::Scenes, split, index);
    let side = |rng: &mut dyn Rng| rng.random_range(config.min_side..=config.max_side) as usize;
    let (width, height) = (side(&mut rng), side(&mut rng));
    let mut image = background(width, height, &mut rng);
    let wanted = rng.random_range(1..=config.max_objects.max(1));
    let mut placed: Vec<Cutout> = Vec::new();
    // Which object each pixel shows.
    let mut owner: Vec<Option<usize>> = vec![None; width * height];
    // The first object has nothing to cover; a scene is never empty, since images with enough pixels are found.
    let mut tries = 0;
    while (placed.len() as u32) < wanted && (tries < wanted * TRIALS || placed.is_empty()) && tries < 10_000 {
        tries += 1;
        let Some(cutout) = cut(sprites, config, (width, height), &mut rng)? else { continue };
        let mut left: Vec<usize> = (0..placed.len()).map(|i| owner.iter().filter(|o| **o == Some(i)).count()).collect();
        cutout.pixels.iter().filter_map(|(at, _)| owner[*at]).for_each(|i| left[i] -= 1);
        let fits = |(left, c): (&usize, &Cutout)| *left as f64 >= LEAST_VISIBLE * c.pixels.len() as f64;
        if left.iter().zip(&placed).all(fits) {
            cutout.pixels.iter().for_each(|(at, _)| owner[*at] = Some(placed.len()));
            placed.push(cutout);
        }
    }
    placed.iter().for_each(|c| draw(&mut image, c));
    let mut map = ClassMap::filled(width, height, 0);
    let mut objects = Vec::with_capacity(placed.len());
    for (i, cutout) in placed.iter().enumerate() {
        let levels: Vec<u8> = owner.iter().map(|o| u8::from(*o == Some(i))).collect();
        let mask = Rle::encode(&levels, width, height);
        levels.iter().zip(&mut map.labels).filter(|(l, _)| **l == 1).for_each(|(_, m)| *m = cutout.class as u8 + 1);
        let visible = mask.area() as f64 / cutout.pixels.len() as f64;
        objects.push(Placed { class: cutout.class, mask, visible });
    }
    Ok(Scene { image, objects, map })
}

/// An image at a random size and place, mirrored half of the time; none if too little of it is left.
fn cut(
    sprites: &Sprites,
    config: &ShapesConfig,
    (width, height): (usize, usize),
    rng: &mut dyn Rng,
) -> Result<Option<Cutout>, DenseError> {
    let i = rng.random_range(0..sprites.labels.len());
    let sprite =
        Picture { width: sprites.width, height: sprites.height, channels: 1, levels: sprites.levels(i).to_vec() };
    let largest = f64::from(config.max_object).min(0.75 * width.min(height) as f64);
    let smallest = f64::from(config.min_object).min(largest);
    // Small objects are as frequent as large ones: even in the logarithm.
    let size = (smallest.ln() + (largest.ln() - smallest.ln()) * rng.random::<f64>()).exp();
    let ratio = 0.8 + 0.45 * rng.random::<f64>();
    let side = |v: f64, most: usize| (v.round() as u32).clamp(4, most as u32);
    let (w, h) = (side(size * ratio, width), side(size, height));
    let all = Area { x: 0, y: 0, width: sprites.width as u32, height: sprites.height as u32 };
    let mut picture = cut_picture(&sprite, all, (w, h), Interpolation::Bilinear)
        .map_err(|found| DenseError::Resize { found, from: (all.width, all.height) })?;
    if rng.random_bool(0.5) {
        picture.mirror();
    }
    let (x, y) = (rng.random_range(0..=width - w as usize), rng.random_range(0..=height - h as usize));
    let tint = [0; 3].map(|_| 0.4 + 0.6 * rng.random::<f32>());
    let place = |(i, level): (usize, &u8)| {
        let at = (y + i / picture.width) * width + x + i % picture.width;
        (*level > INSIDE).then_some((at, *level))
    };
    let pixels: Vec<(usize, u8)> = picture.levels.iter().enumerate().filter_map(place).collect();
    let class = sprites.labels[i];
    Ok((pixels.len() >= LEAST_PIXELS).then_some(Cutout { class, tint, pixels }))
}

/// Its levels, lifted off black and tinted.
fn draw(image: &mut Picture, cutout: &Cutout) {
    for (at, level) in &cutout.pixels {
        let bright = 50.0 + f32::from(*level) * (205.0 / 255.0);
        for (k, tint) in cutout.tint.iter().enumerate() {
            image.levels[3 * at + k] = (bright * tint) as u8;
        }
    }
}

/// Patches of two colours that flow into each other, with stripes or without, and noise.
fn background(width: usize, height: usize, rng: &mut dyn Rng) -> Picture {
    let colors: [[f32; 3]; 2] = [(); 2].map(|()| [0; 3].map(|_| 20.0 + 150.0 * rng.random::<f32>()));
    let cells = rng.random_range(2..=6usize);
    let grid: Vec<f32> = (0..(cells + 1) * (cells + 1)).map(|_| rng.random()).collect();
    let (stripes, dx, dy) = (if rng.random_bool(0.5) { 25.0 } else { 0.0 }, rng.random::<f32>(), rng.random::<f32>());
    let mut image = Picture::black(width, height, 3);
    for (i, pixel) in image.levels.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let (gx, gy) = (x / width as f32 * cells as f32, y / height as f32 * cells as f32);
        let (cx, cy) = (gx as usize, gy as usize);
        let (fx, fy) = (gx - cx as f32, gy - cy as f32);
        let at = |x: usize, y: usize| grid[y * (cells + 1) + x];
        let upper = at(cx, cy) * (1.0 - fx) + at(cx + 1, cy) * fx;
        let lower = at(cx, cy + 1) * (1.0 - fx) + at(cx + 1, cy + 1) * fx;
        let mix = upper * (1.0 - fy) + lower * fy;
        // A triangle wave.
        let phase = (0.3 * (x * dx + y * dy)).fract();
        let shade = stripes * ((phase - 0.5).abs() * 4.0 - 1.0) + 24.0 * (rng.random::<f32>() - 0.5);
        for (k, level) in pixel.iter_mut().enumerate() {
            *level = (colors[0][k] * mix + colors[1][k] * (1.0 - mix) + shade).clamp(0.0, 255.0) as u8;
        }
    }
    image
}
