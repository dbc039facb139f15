//! One image's levels.

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
}

impl From<image::RgbImage> for Picture {
    fn from(image: image::RgbImage) -> Picture {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Picture { width, height, channels: 3, levels: image.into_raw() }
    }
}
