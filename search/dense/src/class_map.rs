//! Class maps: the class of each pixel.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

/// The label of pixels that no loss and no metric looks at.
pub const IGNORED: u8 = 255;

/// The class of each pixel of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMap {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Labels, row by row; [`IGNORED`] where there is none.
    pub labels: Vec<u8>,
}

/// More pixels are taken for damage: no memory is asked for.
const MOST_PIXELS: u64 = 1 << 27;

/// What a class map has to be.
pub(crate) const EXPECTED: &str =
    "a PNG of grey levels or of a palette, at most 8 bits a pixel, each the number of a class";

impl ClassMap {
    /// All pixels of one label.
    pub fn filled(width: usize, height: usize, label: u8) -> ClassMap {
        ClassMap { width, height, labels: vec![label; width * height] }
    }

    /// Reads a PNG file's bytes: the levels or the palette's numbers themselves, whatever colours they stand for.
    ///
    /// # Errors
    /// What was found instead.
    pub fn read_png(data: &[u8]) -> Result<ClassMap, String> {
        let damaged = |e: png::DecodingError| format!("a damaged file ({e})");
        let mut decoder = Decoder::new(Cursor::new(data));
        decoder.set_transformations(Transformations::IDENTITY);
        let (width, height, bits) = fits(decoder.read_header_info().map_err(damaged)?)?;
        let mut reader = decoder.read_info().map_err(damaged)?;
        let mut bytes = vec![0; reader.output_buffer_size().ok_or("an image too large")?];
        let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
        let mut labels = Vec::with_capacity(width * height);
        for row in bytes.chunks_exact(frame.line_size.max(1)).take(height) {
            let packed = 8 / bits as usize;
            labels.extend((0..width).map(|x| {
                let shift = 8 - bits as usize * (x % packed + 1);
                (u32::from(row[x / packed]) >> shift & ((1 << bits) - 1)) as u8
            }));
        }
        Ok(ClassMap { width, height, labels })
    }

    /// Columns and rows of a PNG file of a class map, as its header says.
    ///
    /// # Errors
    /// What was found instead.
    pub fn png_size(data: &[u8]) -> Result<(u32, u32), String> {
        let mut decoder = Decoder::new(Cursor::new(data));
        let info = decoder.read_header_info().map_err(|e| format!("a damaged file ({e})"))?;
        fits(info).map(|(width, height, _)| (width as u32, height as u32))
    }

    /// The bytes of a PNG file with a palette of a colour for each label, as Pascal VOC's files have it.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn write_png(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_palette((0..=u8::MAX).flat_map(color).collect::<Vec<u8>>());
        let said = |e: png::EncodingError| e.to_string();
        let mut writer = encoder.write_header().map_err(said)?;
        writer.write_image_data(&self.labels).map_err(said)?;
        writer.finish().map_err(said)?;
        Ok(bytes)
    }

    /// The label of a pixel.
    pub fn at(&self, x: usize, y: usize) -> u8 {
        self.labels[y * self.width + x]
    }
}

fn fits(info: &png::Info) -> Result<(usize, usize, u32), String> {
    let bits = info.bit_depth as u32;
    if !matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed) || bits > 8 {
        return Err(format!("a PNG of {:?}, {bits} bits", info.color_type));
    }
    if u64::from(info.width) * u64::from(info.height) > MOST_PIXELS {
        return Err(format!("{} x {} pixels", info.width, info.height));
    }
    Ok((info.width as usize, info.height as usize, bits))
}

/// Pascal VOC's colour of a label: its bits, from the lowest, go to red, green and blue in turn, there from the
/// highest.
pub fn color(label: u8) -> [u8; 3] {
    // Of the third channel, only two bits are in a byte.
    let bits = |c: u32| (0..3).map(move |k| (3 * k + c, 7 - k)).filter(|(from, _)| *from < u8::BITS);
    [0, 1, 2].map(|c| bits(c).map(|(from, to)| (label >> from & 1) << to).sum())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn png_of(color: ColorType, depth: BitDepth, (width, height): (u32, u32), data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9; 48]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn numbers_are_read_whatever_the_colours() {
        let map = ClassMap { width: 3, height: 2, labels: vec![0, 1, 20, 255, 7, 254] };
        let bytes = map.write_png().unwrap();
        assert_eq!(ClassMap::read_png(&bytes).unwrap(), map);
        assert_eq!(ClassMap::png_size(&bytes).unwrap(), (3, 2));
        let grey = png_of(ColorType::Grayscale, BitDepth::Eight, (2, 1), &[150, 3]);
        assert_eq!(ClassMap::read_png(&grey).unwrap().labels, [150, 3]);
        let four = png_of(ColorType::Indexed, BitDepth::Four, (3, 2), &[0x12, 0x30, 0x45, 0x60]);
        assert_eq!(ClassMap::read_png(&four).unwrap().labels, [1, 2, 3, 4, 5, 6]);
        let one = png_of(ColorType::Grayscale, BitDepth::One, (9, 1), &[0b1010_0001, 0b1000_0000]);
        assert_eq!(ClassMap::read_png(&one).unwrap().labels, [1, 0, 1, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn what_is_no_class_map_is_said() {
        let said = |bytes: &[u8]| ClassMap::read_png(bytes).unwrap_err();
        assert_eq!(said(&png_of(ColorType::Rgb, BitDepth::Eight, (1, 1), &[1, 2, 3])), "a PNG of Rgb, 8 bits");
        assert_eq!(
            said(&png_of(ColorType::Grayscale, BitDepth::Sixteen, (1, 1), &[1, 2])),
            "a PNG of Grayscale, 16 bits"
        );
        let whole = ClassMap::filled(40, 40, 3).write_png().unwrap();
        let mut large = Vec::new();
        drop(Encoder::new(&mut large, 70_000, 70_000).write_header().unwrap());
        assert_eq!(said(&large), "70000 x 70000 pixels");
        for end in 0..whole.len() - 12 {
            assert!(ClassMap::read_png(&whole[..end]).is_err(), "cut to {end} bytes");
        }
    }

    #[test]
    fn colours_are_vocs() {
        assert_eq!([0, 1, 2, 3, 15, 20, 255].map(color), VOC);
    }

    const VOC: [[u8; 3]; 7] =
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]];
}
