//! A part of an image, resized: what a training image is made by. Filters and edges are Pillow's; the arithmetic is that
//! of the crate that resizes, within one level of it.

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use mobilenas_space::families::Interpolation;

use super::decode::{CUT_SHORT, decode_bytes, is_jpeg, jpeg_ends};
use super::jpeg::{Upper, upper};
use crate::data::Picture;

/// A part of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its leftmost column.
    pub x: u32,
    /// Its uppermost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

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
    let corner = (area.x as usize, area.y as usize);
    let part = picture.part(corner, (area.width as usize, area.height as usize));
    if (area.width, area.height) == (width, height) {
        return Ok(part);
    }
    let kind = if part.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let filter = match how {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    let from = ImageRef::new(area.width, area.height, &part.levels, kind).map_err(|e| e.to_string())?;
    let mut into = Image::new(width, height, kind);
    let done = RESIZER.with_borrow_mut(|r| r.resize(&from, &mut into, &options));
    done.map_err(|e| e.to_string())?;
    let (width, height) = (width as usize, height as usize);
    Ok(Picture { width, height, channels: part.channels, levels: into.into_vec() })
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
