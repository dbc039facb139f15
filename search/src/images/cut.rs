//! A part of an image, resized: what a training image is made by.

use mobilenas_space::families::Interpolation;

use super::decode::{CUT_SHORT, decode_bytes, is_jpeg, jpeg_ends};
use super::jpeg::{Upper, upper};
use super::resize::{Source, resized_part};
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
    let from = Source { levels: &picture.levels, width: picture.width, channels: picture.channels, area };
    let levels = resized_part(from, (width, height), (0, 0), (width, height), how);
    Ok(Picture { width: width as usize, height: height as usize, channels: picture.channels, levels })
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
