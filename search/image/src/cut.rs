//! A part of an image, resized: what a training image is made by. Filters and edges are Pillow's; the arithmetic is that
//! of the crate that resizes, within one level of it and several times as fast.

use std::cell::RefCell;
use std::error::Error;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use mobilenas_space::families::Interpolation;

use super::decode::{CUT_SHORT, decode_bytes, is_jpeg, jpeg_ends};
use super::jpeg::{Upper, upper};
use crate::picture::{Area, Picture};

thread_local! {
    /// Keeps its buffers from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// A part of a picture, resized to `width` x `height`.
///
/// # Errors
/// When a side is 0.
pub fn cut_picture(
    picture: &Picture,
    area: Area,
    (width, height): (u32, u32),
    how: Interpolation,
) -> Result<Picture, String> {
    if width == 0 || height == 0 {
        return Err(format!("{width} x {height} pixels, expected at least one"));
    }
    if (area.width, area.height) == (width, height) {
        return Ok(picture.part((area.x as usize, area.y as usize), (width as usize, height as usize)));
    }
    let resized = if picture.channels == 1 { resized::<U8> } else { resized::<U8x3> };
    let levels = resized(picture, area, (width, height), how).map_err(|e| e.to_string())?;
    let (width, height) = (width as usize, height as usize);
    Ok(Picture { width, height, channels: picture.channels, levels })
}

/// The levels of the part. The pixel's type is known here, so that code for two of the thirteen types is compiled.
fn resized<P: PixelTrait>(
    picture: &Picture,
    area: Area,
    (width, height): (u32, u32),
    how: Interpolation,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let filter = match how {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    let whole = TypedImageRef::<P>::from_buffer(picture.width as u32, picture.height as u32, &picture.levels)?;
    // Nothing beyond the area's edges is looked at.
    let from = TypedCroppedImage::from_ref(&whole, area.x, area.y, area.width, area.height)?;
    let mut levels = vec![0; width as usize * height as usize * picture.channels];
    let mut into = TypedImage::<P>::from_buffer(width, height, &mut levels)?;
    RESIZER.with_borrow_mut(|r| r.resize_typed(&from, &mut into, &options))?;
    Ok(levels)
}

/// A part of an image file's upright picture, resized to `width` x `height`; the part is chosen by the picture's size. What
/// is damaged below the part may go unnoticed: it is not read.
///
/// # Errors
/// What is wrong with the file.
pub fn cut_file(
    data: &[u8],
    area: impl FnOnce((u32, u32)) -> Area,
    size: (u32, u32),
    how: Interpolation,
) -> Result<Picture, String> {
    if is_jpeg(data) && !jpeg_ends(data) {
        return Err(CUT_SHORT.into());
    }
    match upper(data, area)? {
        Upper::Yes(rows, area) => cut_picture(&rows, area, size, how),
        Upper::No(area) => {
            let whole = decode_bytes(data)?;
            let area = area(whole.dimensions());
            cut_picture(&whole.into(), area, size, how)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, channels: usize, level: impl Fn(usize) -> u8) -> Picture {
        let levels = (0..width * height * channels).map(level).collect();
        Picture { width, height, channels, levels }
    }

    /// An area in the middle gives what the same pixels give as an image of their own, whether they shrink or grow.
    #[test]
    fn an_area_is_resized_as_if_it_were_alone() {
        for channels in [1, 3] {
            let whole = picture(23, 17, channels, |i| (i * i * 31 % 251) as u8);
            let alone = whole.part((5, 3), (11, 9));
            let (area, all) = (Area { x: 5, y: 3, width: 11, height: 9 }, Area { x: 0, y: 0, width: 11, height: 9 });
            for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
                for size in [(4, 5), (11, 3), (30, 26)] {
                    let found = cut_picture(&whole, area, size, how).unwrap();
                    assert_eq!(found.levels.len(), channels * (size.0 * size.1) as usize);
                    assert_eq!(found, cut_picture(&alone, all, size, how).unwrap(), "{channels} to {size:?}, {how:?}");
                }
            }
        }
    }

    /// A grey image is each channel of the coloured one that repeats it, and one level stays one level.
    #[test]
    fn channels_do_not_mix() {
        let grey = picture(12, 10, 1, |i| (i * 7 % 256) as u8);
        let levels = grey.levels.iter().flat_map(|l| [*l, 255 - *l, 90]).collect();
        let coloured = Picture { channels: 3, levels, ..grey.clone() };
        let area = Area { x: 1, y: 2, width: 10, height: 7 };
        let cut = |p: &Picture| cut_picture(p, area, (6, 6), Interpolation::Bilinear).unwrap().levels;
        let (one, three) = (cut(&grey), cut(&coloured));
        assert!(one.iter().zip(three.chunks_exact(3)).all(|(g, rgb)| *g == rgb[0] && rgb[2] == 90));
        assert!(one.iter().any(|l| *l != one[0]));
    }
}
