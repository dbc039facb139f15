//! Weights in several files, and the index that says which tensor is in which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

/// The longest index that is read: a line a tensor.
const MOST: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files of an index beside it, each with the names of its tensors; `None` for a file that is no index.
pub fn shards(path: &Path, f: &mut File, begin: &[u8]) -> Result<Option<BTreeMap<PathBuf, BTreeSet<String>>>, String> {
    if begin.first() != Some(&b'{') {
        return Ok(None);
    }
    let mut text = Vec::new();
    f.seek(SeekFrom::Start(0)).and_then(|_| f.take(MOST).read_to_end(&mut text)).map_err(|e| e.to_string())?;
    let Ok(index) = serde_json::from_slice::<Index>(&text) else { return Ok(None) };
    let mut all: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        let mut parts = Path::new(&file).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(format!("an index that names {file:?}, which is no file beside it"));
        }
        all.entry(path.with_file_name(&file)).or_default().insert(tensor);
    }
    Ok(Some(all))
}
