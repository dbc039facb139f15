//! Image files to levels of red, green and blue.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, RgbImage};

use super::jpeg::Frame;

/// An image file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {found}, expected a JPEG, PNG, WebP, BMP, GIF or TIFF image")]
pub struct Damaged {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub found: String,
}

/// Reads an image of any kind these formats have, an animation's first frame: grey levels are repeated, CMYK is converted, 16
/// bits become 8, alpha is left out, and the camera's orientation is undone. The bytes say which format it is, not the name.
///
/// # Errors
/// When the file is missing, damaged or cut short.
pub fn decode(path: &Path) -> Result<RgbImage, Damaged> {
    let damaged = |found: String| Damaged { path: path.display().to_string(), found };
    let data = fs::read(path).map_err(|e| damaged(e.to_string()))?;
    decode_bytes(&data).map_err(damaged)
}

/// Reads an image file's bytes, as [`decode`] does.
///
/// # Errors
/// What is wrong with them.
pub fn decode_bytes(data: &[u8]) -> Result<RgbImage, String> {
    let reader = reader(data)?;
    if is_jpeg(data) && !jpeg_ends(data) {
        return Err(CUT_SHORT.into());
    }
    let damaged = |e: image::ImageError| format!("damaged ({e})");
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// A reader of one of the formats.
fn reader(data: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    if data.is_empty() {
        return Err("an empty file".into());
    }
    let reader = ImageReader::new(Cursor::new(data)).with_guessed_format().map_err(|e| e.to_string())?;
    match reader.format() {
        Some(
            ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Bmp
            | ImageFormat::Gif
            | ImageFormat::Tiff,
        ) => Ok(reader),
        _ => Err("another format".into()),
    }
}

/// Columns and rows of an image file, as its header says.
///
/// # Errors
/// What is wrong with the header.
pub fn dimensions(data: &[u8]) -> Result<(u32, u32), String> {
    if let Some(frame) = is_jpeg(data).then(|| Frame::read(data)).flatten() {
        return Ok(frame.size);
    }
    reader(data)?.into_dimensions().map_err(|e| format!("damaged ({e})"))
}

/// What is said of a JPEG that breaks off.
pub(super) const CUT_SHORT: &str = "cut short";

pub(super) fn is_jpeg(data: &[u8]) -> bool {
    data.starts_with(&[0xff, 0xd8, 0xff])
}

/// Whether a JPEG's last scan ends: the decoder fills what is missing with grey and does not say so. The first scan is
/// looked for by the lengths of what is before it, since previews in there end too.
pub(super) fn jpeg_ends(data: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    Frame::read(data).is_some_and(|f| data[f.scan..].windows(2).rev().any(|w| w == END))
}
