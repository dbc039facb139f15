//! A weights file, opened: what is in it is known before any of its numbers is read, and its checksums are checked with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use mobilenas_space::families::Translate;
use tch::Tensor;

use super::stored::{Dict, EXPECTED, Other, Span, Stored};
use super::torch_file::{self, Layout};
use super::{About, CHECKSUM, Checksum, Named, Wanted, file as fail_at, index, misfits, other, part, safetensors};
use crate::error::NetError;

/// A file with its tensors' names, types and sizes.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    files: Vec<(PathBuf, File)>,
    /// What is in it, under the names that a network's tensors have.
    pub tensors: BTreeMap<String, Stored>,
    /// Tensors that belong to what wrote the file and to no network.
    left_out: Vec<Stored>,
    /// Entries beside the tensors.
    pub others: Vec<Other>,
    /// The words that this program wrote about them.
    pub about: About,
    checksum: Option<String>,
    /// Which part of the file was taken and what became of the names, if anything.
    pub taken: Vec<String>,
}

/// As many bytes tell what a file is.
const BEGIN: u64 = 512;

impl Weights {
    /// Opens a safetensors file, a state dict of PyTorch, or the index of several of them, told apart by how they begin.
    /// `part` names the dictionary of a checkpoint to take; by default the averaged weights (EMA) if there are any.
    ///
    /// # Errors
    /// When it is missing, damaged or cut short, wants anything run, or holds no tensors. Nothing in it is run, and no
    /// more memory is taken than its list of tensors needs.
    pub fn open(path: &Path, part: Option<&str>) -> Result<Weights, NetError> {
        let fail = |found: String| fail_at(path, found, EXPECTED);
        let (mut f, begin) = begin(path).map_err(fail)?;
        let (mut files, mut about) = (Vec::new(), About::new());
        let dict = match index::shards(path, &mut f, &begin).map_err(fail)? {
            Some(shards) => {
                let mut whole = Dict::default();
                for (file, names) in shards {
                    let (shard, dict) = shard(&file, &names, files.len()).map_err(|e| fail_at(&file, e, EXPECTED))?;
                    whole.tensors.extend(dict);
                    files.push((file, shard));
                }
                whole
            }
            None => {
                let (dict, words) = contents(&mut f, &begin).map_err(fail)?;
                files.push((path.to_path_buf(), f));
                about = words;
                dict
            }
        };
        let checksum = about.remove(CHECKSUM);
        let (dict, mut taken) = part::choose(dict, part, path)?;
        // Of a key that a pickle has twice, Python keeps the last.
        let mut tensors: BTreeMap<String, Stored> = dict.tensors.iter().cloned().collect();
        let left_out = part::strip(&mut tensors, &mut taken);
        let others = dict.others.clone();
        Ok(Weights { path: path.to_path_buf(), files, tensors, left_out, others, about, checksum, taken })
    }

    /// Gives the tensors the names of a network where the file has those of one of the given namings, in the shapes that
    /// it wants. The names that fit best are taken, the file's own if none fit better. Gives the naming.
    pub fn rename<'a, N: Translate>(&mut self, wanted: &Wanted, namings: &'a [N]) -> Option<&'a N> {
        let unfit = |tensors: &BTreeMap<String, Stored>| {
            misfits(wanted, tensors.iter().map(|(n, t)| (n, t.kind, t.shape.clone()))).len()
        };
        let mut best = (unfit(&self.tensors), None);
        for naming in namings {
            let (mut renamed, mut left_out) = (BTreeMap::new(), Vec::new());
            for (name, stored) in &self.tensors {
                match naming.translate(name) {
                    None => left_out.push(stored.clone()),
                    Some(own) => {
                        let mut stored = stored.clone();
                        stored.take_shape(wanted.get(&own).map(|(shape, _)| shape.as_slice()));
                        renamed.insert(own, stored);
                    }
                }
            }
            let n = unfit(&renamed);
            if n < best.0 && renamed.len() + left_out.len() == self.tensors.len() {
                best = (n, Some((naming, renamed, left_out)));
            }
        }
        let (naming, renamed, left_out) = best.1?;
        self.tensors = renamed;
        self.left_out.extend(left_out);
        self.taken.push(format!("names of {}", naming.source()));
        Some(naming)
    }

    /// Reads all tensors, and checks them against the file's checksums.
    ///
    /// # Errors
    /// When the disk refuses, or the file is damaged.
    pub fn read_all(&mut self) -> Result<Named, NetError> {
        self.read_each(|_, t| Ok(t))
    }

    /// The same, each tensor changed by a function as soon as it is read.
    ///
    /// # Errors
    /// Those of [`Weights::read_all`] and of the function.
    pub fn read_each<E: From<NetError>>(
        &mut self,
        mut change: impl FnMut(&str, Tensor) -> Result<Tensor, E>,
    ) -> Result<Named, E> {
        let mut list: Vec<(Option<&String>, &Stored)> = self.tensors.iter().map(|(n, t)| (Some(n), t)).collect();
        // Tensors that share a storage come one after another; a checksum of the whole goes by the names.
        match &self.checksum {
            Some(_) => {
                list.extend(self.left_out.iter().map(|t| (None, t)));
                list.sort_by(|a, b| a.1.name.cmp(&b.1.name));
            }
            None => list.sort_by_key(|(_, t)| (t.span.file, t.span.start, t.offset)),
        }
        let mut sum = Checksum::of(&self.about);
        let (mut held, mut named) = (None::<(Span, Vec<u8>)>, Named::new());
        for (name, stored) in list {
            let data = match held.take().filter(|(span, _)| *span == stored.span) {
                Some((_, data)) => data,
                None => read(&mut self.files, stored)?,
            };
            sum.add(&stored.name, &data);
            if let Some(name) = name {
                named.insert(name.clone(), change(name, stored.tensor(&data)?)?);
            }
            held = Some((stored.span, data));
        }
        if let Some(expected) = &self.checksum {
            sum.check(expected, &self.path)?;
        }
        Ok(named)
    }
}

/// A regular file, opened, and its first bytes.
fn begin(path: &Path) -> Result<(File, Vec<u8>), String> {
    // Opening a pipe would wait for somebody to write into it.
    let kind = std::fs::metadata(path).map_err(|e| e.to_string())?.file_type();
    if !kind.is_file() {
        return Err(if kind.is_dir() { "a folder" } else { "no regular file" }.to_string());
    }
    let mut f = File::open(path).map_err(|e| e.to_string())?;
    let mut begin = Vec::new();
    f.by_ref().take(BEGIN).read_to_end(&mut begin).map_err(|e| e.to_string())?;
    Ok((f, begin))
}

/// What one file holds.
fn contents(f: &mut File, begin: &[u8]) -> Result<(Dict, About), String> {
    if let Some(layout) = Layout::of(begin) {
        return Ok((torch_file::open(f, layout)?, About::new()));
    }
    // A length below 2^40, then JSON: safetensors, whatever else the length may look like.
    let header = begin.get(5..9) == Some(&[0, 0, 0, b'{']);
    match other::what(begin).filter(|_| !header) {
        Some(what) => Err(what),
        None => safetensors::open(f, begin),
    }
}

/// One of several files, which holds exactly the given tensors. `place` counts the files.
fn shard(path: &Path, names: &BTreeSet<String>, place: usize) -> Result<(File, Vec<(String, Stored)>), String> {
    let (mut f, begin) = begin(path)?;
    let (mut dict, _) = contents(&mut f, &begin)?;
    let has: BTreeSet<&String> = dict.tensors.iter().map(|(n, _)| n).collect();
    if let Some(name) = names.iter().find(|n| !has.contains(n)) {
        return Err(format!("no tensor {name:?}, which its index places here"));
    }
    if let Some(name) = has.into_iter().find(|n| !names.contains(*n)) {
        return Err(format!("a tensor {name:?} that its index does not name"));
    }
    for (_, stored) in &mut dict.tensors {
        stored.span.file = place;
    }
    Ok((f, dict.tensors))
}

/// The bytes of the span that a tensor lies in.
fn read(files: &mut [(PathBuf, File)], stored: &Stored) -> Result<Vec<u8>, NetError> {
    let (span, name) = (stored.span, &stored.name);
    let Some((path, f)) = files.get_mut(span.file) else {
        return Err(NetError::Missing { name: name.clone(), expected: stored.shape.clone() });
    };
    let mut data = vec![0; span.bytes as usize];
    let done = f.seek(SeekFrom::Start(span.start)).and_then(|_| f.read_exact(&mut data));
    done.map_err(|e| fail_at(path, format!("{name} cannot be read ({e})"), "a whole file"))?;
    match span.damage(&data) {
        None => Ok(data),
        Some(damage) => Err(fail_at(path, format!("{name} is {damage}"), "a whole file")),
    }
}
