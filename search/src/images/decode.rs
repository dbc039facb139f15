//! Image files to levels of red, green and blue.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, RgbImage};

/// An image file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {found}, expected a JPEG, PNG or WebP image")]
pub struct Damaged {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub found: String,
}

/// Reads an image of any kind the three formats have: grey levels are repeated, CMYK is converted, 16 bits become 8,
/// alpha is left out, and the camera's orientation is undone. The bytes say which format it is, not the name.
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
pub(crate) fn decode_bytes(data: &[u8]) -> Result<RgbImage, String> {
    if data.is_empty() {
        return Err("an empty file".into());
    }
    let reader = ImageReader::new(Cursor::new(data)).with_guessed_format().map_err(|e| e.to_string())?;
    match reader.format() {
        Some(ImageFormat::Jpeg) if !jpeg_ends(data) => return Err("cut short".into()),
        Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) => {}
        _ => return Err("another format".into()),
    }
    let damaged = |e: image::ImageError| format!("damaged ({e})");
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Columns and rows of an image file, as its header says.
///
/// # Errors
/// What is wrong with the header.
pub(crate) fn dimensions(data: &[u8]) -> Result<(u32, u32), String> {
    let reader = ImageReader::new(Cursor::new(data)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.into_dimensions().map_err(|e| format!("damaged ({e})"))
}

/// Whether a JPEG's last scan ends: the decoder fills what is missing with grey and does not say so. Markers before the
/// first scan are stepped over by their lengths, since previews inside them end too.
fn jpeg_ends(data: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut at = 2;
    while let Some(&[a, marker, high, low]) = data.get(at..at + 4) {
        if a != 0xff {
            return true;
        }
        match marker {
            START_OF_SCAN => return data[at..].windows(2).any(|w| w == [0xff, END]),
            // Fill bytes.
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}
