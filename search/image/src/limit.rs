//! How large an image may be.

/// The largest image that is decoded. Pillow refuses more as well, by default: some bytes of a header can ask for more
/// memory than a machine has.
const MAX_PIXELS: u64 = 178_956_970;

/// Refuses an image that is too large to decode, or has no pixel.
pub(super) fn within_limit((width, height): (u32, u32)) -> Result<(), String> {
    match u64::from(width) * u64::from(height) {
        0 => Err(format!("{width} x {height} pixels")),
        pixels if pixels > MAX_PIXELS => Err(format!("{width} x {height} pixels, more than {MAX_PIXELS} in all")),
        _ => Ok(()),
    }
}
