//! One image's levels.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

/// An image: rows of pixels, each of one (grey) or three (red, green, blue) levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Levels of a pixel: 1 or 3.
    pub channels: usize,
    /// `height * width * channels` levels, row by row, pixel by pixel.
    pub levels: Vec<u8>,
}

impl Picture {
    /// All black.
    pub fn black(width: usize, height: usize, channels: usize) -> Picture {
        Picture { width, height, channels, levels: vec![0; width * height * channels] }
    }

    /// The same in colour: grey levels repeated as red, green and blue.
    pub fn colored(&self) -> Picture {
        match self.channels {
            3 => self.clone(),
            _ => Picture { channels: 3, levels: self.levels.iter().flat_map(|l| [*l; 3]).collect(), ..*self },
        }
    }

    /// A PNG file.
    ///
    /// # Errors
    /// When it has no pixels.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let kind = if self.channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new(&mut bytes);
        let written = encoder.write_image(&self.levels, self.width as u32, self.height as u32, kind);
        written.map_err(|e| e.to_string()).map(|()| bytes)
    }

    /// The levels of a pixel.
    pub fn pixel(&self, x: usize, y: usize) -> &[u8] {
        let at = (y * self.width + x) * self.channels;
        &self.levels[at..at + self.channels]
    }

    /// The part from a corner on.
    pub fn part(&self, (x, y): (usize, usize), (width, height): (usize, usize)) -> Picture {
        let (row, from, len) = (self.width * self.channels, x * self.channels, width * self.channels);
        let mut levels = Vec::with_capacity(height * len);
        for line in self.levels.chunks_exact(row.max(1)).skip(y).take(height) {
            levels.extend_from_slice(&line[from..from + len]);
        }
        Picture { width, height, channels: self.channels, levels }
    }

    /// Mirrors it left to right.
    pub fn mirror(&mut self) {
        for row in self.levels.chunks_exact_mut((self.width * self.channels).max(1)) {
            match self.channels {
                3 => row.as_chunks_mut::<3>().0.reverse(),
                _ => row.reverse(),
            }
        }
    }
}

impl From<image::RgbImage> for Picture {
    fn from(image: image::RgbImage) -> Picture {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Picture { width, height, channels: 3, levels: image.into_raw() }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_pixels_stay_whole() {
        let mut p = Picture { width: 3, height: 2, channels: 3, levels: (0..18).collect() };
        p.mirror();
        assert_eq!(p.levels, [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]);
        let mut p = Picture { width: 4, height: 1, channels: 1, levels: (0..4).collect() };
        p.mirror();
        assert_eq!(p.levels, [3, 2, 1, 0]);
    }
}
