//! The IDX format of MNIST and its relatives, read strictly: header, sizes, and nothing behind.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{DataError, InMemoryImages};

/// Larger counts and sides are taken for damage: nothing is allocated for them.
const MOST: u32 = 10_000_000;
const LARGEST_SIDE: u32 = 1024;
const MOST_BYTES: u64 = 1 << 32;

fn damaged(path: &Path, found: impl Into<String>, expected: impl Into<String>) -> DataError {
    DataError::Damaged { path: path.to_path_buf(), found: found.into(), expected: expected.into() }
}

/// The whole file, unpacked if its name ends in `.gz`, but no more than `limit` bytes and one.
fn unpacked(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let file = File::open(path).map_err(|error| DataError::Io { path: path.to_path_buf(), error })?;
    let reader = BufReader::new(file);
    let packed = path.extension().is_some_and(|e| e == "gz");
    let mut bytes = Vec::new();
    let read = match packed {
        // All members: rubbish behind the first is then an error, not passed over.
        true => MultiGzDecoder::new(reader).take(limit + 1).read_to_end(&mut bytes),
        false => reader.take(limit + 1).read_to_end(&mut bytes),
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(e) if packed => Err(damaged(
            path,
            format!("a gzip stream that breaks ({e}) after {} bytes", bytes.len()),
            "a whole gzip file",
        )),
        Err(error) => Err(DataError::Io { path: path.to_path_buf(), error }),
    }
}

/// The header's numbers, checked against the magic number.
fn header<const N: usize>(path: &Path, bytes: &[u8], magic: u32) -> Result<[u32; N], DataError> {
    let word = |i: usize| bytes.get(4 * i..4 * i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let short = || damaged(path, format!("{} bytes", bytes.len()), format!("a header of {} bytes", 4 * (N + 1)));
    let found = word(0).ok_or_else(short)?;
    if found != magic {
        return Err(damaged(path, format!("magic number {found}"), format!("{magic}")));
    }
    let mut out = [0; N];
    for (i, o) in out.iter_mut().enumerate() {
        *o = word(i + 1).ok_or_else(short)?;
    }
    Ok(out)
}

fn exact(path: &Path, bytes: Vec<u8>, header: usize, body: usize) -> Result<Vec<u8>, DataError> {
    if bytes.len() != header + body {
        return Err(damaged(
            path,
            format!("{} bytes after the header", bytes.len().saturating_sub(header)),
            format!("{body}, as the header says"),
        ));
    }
    let mut bytes = bytes;
    bytes.drain(..header);
    Ok(bytes)
}

/// Reads an `idx3-ubyte` file of images.
///
/// # Errors
/// When it is missing, cut short, too long, or something else.
pub(super) fn images(path: &Path) -> Result<InMemoryImages, DataError> {
    let start = unpacked(path, 15)?;
    let [n, height, width] = header(path, &start, 2051)?;
    if !(1..=MOST).contains(&n) || !(1..=LARGEST_SIDE).contains(&height) || !(1..=LARGEST_SIDE).contains(&width) {
        let expected = format!("1 to {MOST} images of sides 1 to {LARGEST_SIDE}");
        return Err(damaged(path, format!("{n} images of {height}x{width}"), expected));
    }
    let body = u64::from(n) * u64::from(height) * u64::from(width);
    if body > MOST_BYTES {
        return Err(damaged(path, format!("{body} bytes of images"), format!("at most {MOST_BYTES}")));
    }
    let bytes = unpacked(path, 16 + body)?;
    let (n, height, width) = (n as usize, height as usize, width as usize);
    let pixels = exact(path, bytes, 16, n * height * width)?;
    Ok(InMemoryImages { n, height, width, channels: 1, pixels })
}

/// Reads an `idx1-ubyte` file of labels below `classes`.
///
/// # Errors
/// When it is missing, cut short, too long, or something else.
pub(super) fn labels(path: &Path, classes: usize) -> Result<Vec<u8>, DataError> {
    let start = unpacked(path, 7)?;
    let [n] = header(path, &start, 2049)?;
    if !(1..=MOST).contains(&n) {
        return Err(damaged(path, format!("{n} labels"), format!("1 to {MOST}")));
    }
    let bytes = unpacked(path, 8 + u64::from(n))?;
    let labels = exact(path, bytes, 8, n as usize)?;
    match labels.iter().position(|l| usize::from(*l) >= classes) {
        Some(i) => Err(damaged(path, format!("label {} at {i}", labels[i]), format!("labels below {classes}"))),
        None => Ok(labels),
    }
}
