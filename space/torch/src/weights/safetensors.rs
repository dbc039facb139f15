//! The list of a safetensors file, checked against the file's length.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use safetensors::tensor::{Dtype, Metadata};
use tch::Kind;

use super::stored::{Dict, Span, Stored};
use super::{ABOUT, About, CHECKSUM};

/// The format allows no longer header.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a file holds, and the words that this program wrote about it.
///
/// # Errors
/// When it is no safetensors file, damaged, or cut short: what was found.
pub fn open(f: &mut File, begin: &[u8]) -> Result<(Dict, About), String> {
    let len = f.metadata().map_err(|e| e.to_string())?.len();
    let size = begin.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
    let size = size.ok_or_else(|| format!("a file of {len} bytes"))?;
    if size > LONGEST_HEADER || size > len.saturating_sub(8) {
        return Err(format!("no header of either format: its first 8 bytes would be the length {size} of {len} bytes"));
    }
    let mut header = vec![0; size as usize];
    f.seek(SeekFrom::Start(8)).and_then(|_| f.read_exact(&mut header)).map_err(|e| e.to_string())?;
    let list: Metadata = serde_json::from_slice(&header).map_err(|e| format!("a damaged header ({e})"))?;
    let mut dict = Dict::default();
    let (base, mut end) = (8 + size, 0);
    for (name, info) in list.tensors() {
        let shape = info.shape.iter().map(|d| i64::try_from(*d)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| format!("{name} of size {:?}", info.shape))?;
        let kind = kind_of(info.dtype).ok_or_else(|| format!("{name} of type {:?}", info.dtype))?;
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        end = end.max(to);
        let span = Span { file: 0, start: base + from, bytes: to - from, crc: None };
        dict.tensors.push((name.clone(), Stored { name, kind, shape, stride: None, offset: 0, span }));
    }
    if base.checked_add(end) != Some(len) {
        return Err(format!("{len} bytes where its header says {}", base.saturating_add(end)));
    }
    let Some(words) = list.metadata().as_ref().and_then(|m| m.get(ABOUT)) else { return Ok((dict, About::new())) };
    let about: About = serde_json::from_str(words).map_err(|e| format!("damaged words about its tensors ({e})"))?;
    match about.contains_key(CHECKSUM) {
        true => Ok((dict, about)),
        false => Err("no checksum among the words about its tensors".to_string()),
    }
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}
