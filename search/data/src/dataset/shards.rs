//! Tar shards in WebDataset's layout. Members that share a path up to the first dot of their name are one sample: an image,
//! and a `.cls` or `.txt` that names its class; without one the folder inside the shard does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::DataError;
use mobilenas_image::is_image;

/// Where an image's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    shard: usize,
    from: u64,
    len: usize,
    name: String,
}

/// An image of a shard with its class's name.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) class: String,
    pub(super) part: Part,
}

/// The images of tar files: listed once, each read where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shards {
    files: Vec<PathBuf>,
    parts: Vec<Part>,
}

/// A class's name is not longer.
const LONGEST_NAME: u64 = 1024;

/// The path up to the first dot of its last part.
fn key(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    path[name..].find('.').map_or(path, |dot| &path[..name + dot])
}

impl Shards {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// What an image is called in messages.
    pub fn name(&self, i: usize) -> String {
        let part = &self.parts[i];
        format!("{}: {}", self.files[part.shard].display(), part.name)
    }

    /// The bytes of an image.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read(&self, i: usize) -> Result<Vec<u8>, String> {
        let part = &self.parts[i];
        let mut bytes = vec![0; part.len];
        let file = File::open(&self.files[part.shard]).map_err(|e| e.to_string())?;
        file.read_exact_at(&mut bytes, part.from).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    /// Lists the images of one more tar file.
    pub(super) fn open(&mut self, path: &Path) -> Result<Vec<Member>, DataError> {
        let shard = self.files.len();
        self.files.push(path.to_path_buf());
        let file = File::open(path).map_err(DataError::io(path))?;
        let length = file.metadata().map_err(DataError::io(path))?.len();
        let whole = |e: std::io::Error| DataError::damaged(path, e.to_string(), "a whole tar file");
        let mut archive = tar::Archive::new(file);
        let (mut parts, mut classes) = (Vec::new(), BTreeMap::new());
        for entry in archive.entries_with_seek().map_err(whole)? {
            let mut entry = entry.map_err(whole)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let (from, len) = (entry.raw_file_position(), entry.size());
            if from + len > length {
                let found = format!("{length} bytes, the member {name} ends at {}", from + len);
                return Err(DataError::damaged(path, found, "a whole tar file"));
            }
            if name.ends_with(".cls") || name.ends_with(".txt") {
                let mut text = String::new();
                entry.by_ref().take(LONGEST_NAME).read_to_string(&mut text).map_err(whole)?;
                classes.insert(key(&name).to_string(), text.trim().to_string());
            } else if is_image(Path::new(&name)) {
                parts.push(Part { shard, from, len: len as usize, name });
            }
        }
        parts.into_iter().map(|part| member(path, part, &classes)).collect()
    }
}

fn member(path: &Path, part: Part, classes: &BTreeMap<String, String>) -> Result<Member, DataError> {
    let key = key(&part.name);
    let folder = Path::new(&part.name).parent().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned());
    let class = classes.get(key).cloned().or(folder).filter(|c| !c.is_empty());
    let none = || {
        let expected = format!("{key}.cls, {key}.txt or a folder of the class's name");
        DataError::damaged(path, format!("{} without a class", part.name), expected)
    };
    Ok(Member { class: class.ok_or_else(none)?, part })
}
