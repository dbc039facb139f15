//! The part of a JPEG that a training image is cut from. A decoder can begin nowhere but at the first row, but it may stop
//! below the part: rows that are not wanted cost nothing.

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::limit::within_limit;
use crate::picture::{Area, Picture};

/// What a JPEG's header says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where the two bytes of its height stand.
    at: usize,
    /// Columns and rows.
    pub(super) size: (u32, u32),
    /// Rows that are coded together.
    unit: u32,
    /// Colour components.
    components: u8,
    /// Whether one scan holds the whole image, row after row.
    by_rows: bool,
    /// Where the first scan begins.
    pub(super) scan: usize,
}

impl Frame {
    /// Steps over the segments before the first scan; `None` for what is no JPEG, or breaks off.
    pub(super) fn read(data: &[u8]) -> Option<Frame> {
        const START_OF_SCAN: u8 = 0xda;
        let (mut at, mut frame) = (2, None);
        while let [0xff, marker, high, low] = *data.get(at..at + 4)? {
            let long = usize::from(u16::from_be_bytes([high, low]));
            match marker {
                // Fill bytes.
                0xff => {
                    at += 1;
                    continue;
                }
                START_OF_SCAN => {
                    let all = |f: &Frame| data.get(at + 4) == Some(&f.components);
                    return frame.map(|f: Frame| Frame { scan: at, by_rows: f.by_rows && all(&f), ..f });
                }
                // Frames of all kinds; the three between are tables.
                0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                    frame = Some(Frame::of(data.get(at + 4..at + 2 + long)?, at + 5, marker)?);
                }
                _ => {}
            }
            at += 2 + long;
        }
        None
    }

    fn of(segment: &[u8], at: usize, marker: u8) -> Option<Frame> {
        let [_, h0, h1, w0, w1, ref components @ ..] = *segment else { return None };
        let of = |a, b| u32::from(u16::from_be_bytes([a, b]));
        let rows = components.get(1..)?.chunks_exact(3).map(|c| u32::from(c[1] & 15)).max().filter(|r| *r > 0)?;
        let size = (of(w0, w1), of(h0, h1));
        Some(Frame {
            at,
            size,
            unit: 8 * rows,
            components: *components.first()?,
            by_rows: matches!(marker, 0xc0 | 0xc1),
            scan: 0,
        })
    }
}

fn decoder(data: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    let options = DecoderOptions::default().set_strict_mode(false).jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(data), options.set_max_width(usize::MAX).set_max_height(usize::MAX))
}

/// The upper rows of a coloured, upright JPEG of one scan, and the area chosen by its size that lies in them. `None` for
/// others: they are read whole.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn upper<F: FnOnce((u32, u32)) -> Area>(data: &[u8], area: F) -> Result<Upper<F>, String> {
    let Some(frame) = Frame::read(data).filter(|f| f.by_rows && f.size.1 > 0) else { return Ok(Upper::No(area)) };
    let mut first = decoder(data);
    let damaged = |e: zune_jpeg::errors::DecodeErrors| format!("damaged ({e})");
    first.decode_headers().map_err(damaged)?;
    let upright = |exif: &Vec<u8>| matches!(Orientation::from_exif_chunk(exif), None | Some(Orientation::NoTransforms));
    let coloured = matches!(first.input_colorspace(), Some(ColorSpace::YCbCr | ColorSpace::RGB));
    if !coloured || !first.exif().is_none_or(upright) {
        return Ok(Upper::No(area));
    }
    within_limit(frame.size)?;
    let area = area(frame.size);
    // Colours are found between two rows of units: one more than the area touches.
    let rows = ((area.y + area.height).div_ceil(frame.unit) + 1) * frame.unit;
    let rows = rows.min(frame.size.1);
    let mut levels = vec![0; 3 * frame.size.0 as usize * rows as usize];
    if rows == frame.size.1 {
        first.decode_into(&mut levels).map_err(damaged)?;
    } else {
        let mut short = data.to_vec();
        short[frame.at..frame.at + 2].copy_from_slice(&(rows as u16).to_be_bytes());
        decoder(&short).decode_into(&mut levels).map_err(damaged)?;
    }
    let (width, height) = (frame.size.0 as usize, rows as usize);
    Ok(Upper::Yes(Picture { width, height, channels: 3, levels }, area))
}

/// What [`upper`] finds.
pub(super) enum Upper<F> {
    /// The upper rows, and the area in them.
    Yes(Picture, Area),
    /// Nothing was read: the choice comes back.
    No(F),
}
