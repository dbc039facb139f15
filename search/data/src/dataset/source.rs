//! Where images come from: levels in memory, files, or shards.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use super::Shards;
use mobilenas_image::Picture;

/// InMemoryImages of one size, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InMemoryImages {
    /// Number of images.
    pub n: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// Levels of a pixel: 1 or 3.
    pub channels: usize,
    /// `n * height * width * channels` levels, image by image, row by row, pixel by pixel.
    pub pixels: Vec<u8>,
}

impl InMemoryImages {
    /// Levels of an image.
    pub fn size(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The levels of one image.
    pub fn levels(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.size()..(i + 1) * self.size()]
    }
}

/// The images of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// In memory.
    Memory(InMemoryImages),
    /// A file each.
    Files(Vec<PathBuf>),
    /// Members of tar files.
    Shards(Shards),
}

/// An image as its source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawImage {
    /// Its levels.
    Pixels(Picture),
    /// An image file's bytes.
    File(Vec<u8>),
}

impl Default for ImageSource {
    fn default() -> ImageSource {
        ImageSource::Files(Vec::new())
    }
}

impl ImageSource {
    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            ImageSource::Memory(i) => i.n,
            ImageSource::Files(f) => f.len(),
            ImageSource::Shards(s) => s.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// InMemoryImages in memory, if that is where they are.
    pub fn memory(&self) -> Option<&InMemoryImages> {
        match self {
            ImageSource::Memory(i) => Some(i),
            _ => None,
        }
    }

    /// Reads an image.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, i: usize) -> Result<RawImage, String> {
        match self {
            ImageSource::Memory(all) => {
                let (width, height, channels) = (all.width, all.height, all.channels);
                Ok(RawImage::Pixels(Picture { width, height, channels, levels: all.levels(i).to_vec() }))
            }
            ImageSource::Files(f) => fs::read(&f[i]).map(RawImage::File).map_err(|e| e.to_string()),
            ImageSource::Shards(s) => s.read(i).map(RawImage::File),
        }
    }

    /// What an image is called in messages.
    pub fn name(&self, i: usize) -> Cow<'_, str> {
        match self {
            ImageSource::Memory(_) => format!("image {i}").into(),
            ImageSource::Files(f) => f[i].display().to_string().into(),
            ImageSource::Shards(s) => s.name(i).into(),
        }
    }
}
