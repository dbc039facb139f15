//! Image files to levels of red, green and blue.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, RgbImage};

use super::jpeg::Frame;
use super::limit::within_limit;

/// Endings of the files that count as images.
const EXTENSIONS: [&str; 10] = ["bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// Whether a file's name ends as an image's does.
pub fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

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
    within_limit(decoder.dimensions())?;
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
    let size = reader(data)?.into_dimensions().map_err(|e| format!("damaged ({e})"))?;
    within_limit(size).map(|()| size)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_ask_for_more_memory_than_there_is() {
        // A BMP of 24 bits whose header says 60,000 x 60,000 and that holds no pixel: 10.8 GB as levels.
        let mut bmp = b"BM".to_vec();
        [54u32, 0, 54, 40, 60_000, 60_000].iter().for_each(|n| bmp.extend(n.to_le_bytes()));
        [1u16, 24].iter().for_each(|n| bmp.extend(n.to_le_bytes()));
        bmp.extend([0; 24]);
        let refused = "60000 x 60000 pixels, more than 178956970 in all".to_string();
        assert_eq!(dimensions(&bmp), Err(refused.clone()));
        assert_eq!(decode_bytes(&bmp), Err(refused));
        assert!(within_limit((13_377, 13_377)).is_ok());
        assert!(within_limit((13_378, 13_378)).is_err());
    }

    #[test]
    fn an_image_without_pixels_is_refused() {
        // A GIF whose screen has no rows; its frame has.
        let mut gif = b"GIF89a".to_vec();
        gif.extend([24, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]);
        gif.extend([0x2c, 0, 0, 0, 0, 24, 0, 16, 0, 0, 2, 2, 0x44, 1, 0, 0x3b]);
        assert_eq!(decode_bytes(&gif), Err("24 x 0 pixels".to_string()));
        assert_eq!(dimensions(&gif), Err("24 x 0 pixels".to_string()));
    }
}
